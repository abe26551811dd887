"""Maps the operator's classes to a head's labels, and selects the images that can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from assent.core.errors import DatasetUnusable
from assent.learn.dataset import Example, Skipped, word
from assent.learn.features import Featured
from assent.learn.train import FOLDS, Fitted
from assent.perceive.labels.heads import NONE, ROOTS, category

DOUBTFUL = 0.95  # a held-out score of another class from which a picture may have been put into the wrong folder
MOST_DOUBTFUL = 10


def class_labels(classes: Sequence[str], prefix: str) -> dict[str, str]:
    """Returns the label of each class: its own name where that is a label, else `<prefix>.<word>`; `none` stays `none`.

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
    """Returns the indexes of examples in classes of at least FOLDS images, and the other classes with the reason."""
    sizes = Counter(example.label for example in examples)
    why = f"needs at least {FOLDS} pictures that can be used"
    skipped = [Skipped(f"class {name}", f"{count}: {why}") for name, count in sorted(sizes.items()) if count < FOLDS]
    return [at for at, example in enumerate(examples) if sizes[example.label] >= FOLDS], skipped


def for_validation(
    seen: Featured, order: Sequence[str], columns: Mapping[str, str], trained: Collection[str]
) -> tuple[list[int], list[int], list[Skipped]]:
    """Selects the images for validation that can be used.

    Returns their indexes, the column of each one's label (−1: `none`, where the head has no such column), and the
    others with the reason. `columns`: the label of each class that was trained; `trained`: the sha256 of the images.
    Raises DatasetUnusable where no image with a label is left."""
    kept, classes, skipped = [], [], []
    for at, (example, digest) in enumerate(zip(seen.examples, seen.sha256, strict=True)):
        label = NONE if example.label == NONE else columns.get(example.label)
        if label is None:
            skipped.append(Skipped(str(example.path), f"no class {example.label} was trained"))
        elif digest in trained:
            skipped.append(Skipped(str(example.path), "the head was trained on it"))
        else:
            kept.append(at)
            classes.append(order.index(label) if label in order else -1)
    if all(one < 0 or order[one] == NONE for one in classes):
        raise DatasetUnusable("no picture for validation has a label that was trained, or the head was trained on all")
    return kept, classes, skipped


def doubtful(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], examples: Sequence[Example]
) -> Iterator[str]:
    """Yields images that a model not trained on them is sure belong to another class: perhaps in the wrong folder."""
    wrong = fitted.held_out.copy()
    wrong[np.arange(len(classes)), classes] = 0
    best = wrong.max(axis=1)
    for at in np.argsort(-best, kind="stable")[:MOST_DOUBTFUL]:
        if best[at] >= DOUBTFUL:
            likely = order[int(wrong[at].argmax())]
            yield f"{examples[at].path}: in {examples[at].label}, looks like {likely} ({best[at]:.2f})"
