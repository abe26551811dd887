"""From the operator's classes to a head's labels, and what held-out scores say of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assent.errors import DatasetUnusable
from assent.learn.dataset import Example, Skipped, word
from assent.learn.head import described
from assent.learn.measure import calibration_error, counts, in_any, lowest_threshold, reliability, share
from assent.learn.train import FOLDS, Fitted
from assent.perceive.heads import NONE, ROOTS, HeadFile, HeadLabel, category

# A label is said only where it is likelier than all else together, however easy the pictures were that it was measured
# on: what people post is more varied than any set.
LEAST_SCORE = 0.5
DOUBTFUL = 0.95  # a held-out score of another class from which a picture may have been put into the wrong folder
MOST_DOUBTFUL = 10


def class_labels(classes: Sequence[str], prefix: str) -> dict[str, str]:
    """The label of each class: the class's own name where it is a label, else `<prefix>.<word>`; `none` stays `none`.

    Raises DatasetUnusable for one class only, for two of one label, or for a label that no head may say."""
    found = {name: name if name == NONE or category(name) else f"{prefix}.{word(name)}" for name in classes}
    named = [label for label in found.values() if label != NONE]
    if wrong := sorted(label for label in named if category(label) is None):
        raise DatasetUnusable(
            f"no head may say {', '.join(wrong)}; labels begin with one of: {', '.join(sorted(ROOTS))}"
        )
    if twice := sorted({label for label in named if named.count(label) > 1}):
        raise DatasetUnusable(f"several classes would be called {', '.join(twice)}")
    if len(found) < 2:
        raise DatasetUnusable("training needs pictures of at least two classes; `none` may be one of them")
    return found


def large_enough(examples: Sequence[Example]) -> tuple[list[int], list[Skipped]]:
    """Which examples belong to classes of at least FOLDS pictures, and what is said of the other classes."""
    sizes = Counter(example.label for example in examples)
    why = f"needs at least {FOLDS} pictures that can be used"
    skipped = [Skipped(f"class {name}", f"{count}: {why}") for name, count in sorted(sizes.items()) if count < FOLDS]
    return [at for at, example in enumerate(examples) if sizes[example.label] >= FOLDS], skipped


def describe(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], precision: float, model: bytes, **fields: Any
) -> HeadFile:
    """The head's description: thresholds and figures from held-out scores, columns in `order`."""
    scores, truth = np.round(fitted.held_out, 4), np.array(classes)  # as scores are said and thresholds written
    rows = []
    for column, name in enumerate(order):
        photos, there = int((truth == column).sum()), truth == column
        least = None if name == NONE else lowest_threshold(scores[:, column], there, precision, LEAST_SCORE)
        if least is None:
            rows.append(HeadLabel(name, photos))
            continue
        one = counts(scores[:, column] >= least, there)
        rows.append(HeadLabel(name, photos, least, one.precision, one.recall))
    return described(
        model, label=tuple(rows), features=fitted.model.weight.shape[0], figures=_figures(fitted, rows, truth), **fields
    )


def _figures(fitted: Fitted, rows: Sequence[HeadLabel], truth: NDArray[np.intp]) -> dict[str, float]:
    labels = [at for at, row in enumerate(rows) if row.name != NONE]
    scores = np.round(fitted.held_out[:, labels], 4)
    labelled = np.isin(truth, labels)
    said = scores >= np.array([2.0 if (least := rows[at].threshold) is None else least for at in labels])
    there = truth[:, None] == np.array(labels)
    best = scores.argmax(axis=1)
    right = np.equal(np.array(labels)[best], truth)
    found = {
        "accuracy": share(right[labelled]),
        "precision of what is said": counts(said, there).precision,
        "labelled photos said rightly": share(in_any(said & there)[labelled]),
        "photos of none with a tag": share(in_any(said)[~labelled]),
        "calibration error": calibration_error(reliability(scores.max(axis=1), right)),
        "log loss": fitted.log_loss,
        "temperature": fitted.temperature,
        "C": fitted.strength,
    }
    return {name: value for name, value in found.items() if value is not None}


def doubtful(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], examples: Sequence[Example]
) -> Iterator[str]:
    """Pictures that the model, not having seen them, is sure belong to another class: perhaps in the wrong folder."""
    wrong = fitted.held_out.copy()
    wrong[np.arange(len(classes)), classes] = 0
    best = wrong.max(axis=1)
    for at in np.argsort(-best, kind="stable")[:MOST_DOUBTFUL]:
        if best[at] >= DOUBTFUL:
            likely = order[int(wrong[at].argmax())]
            yield f"{examples[at].path}: in {examples[at].label}, looks like {likely} ({best[at]:.2f})"
