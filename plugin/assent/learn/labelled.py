"""Maps the operator's classes to a head's labels, and selects the images that can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from assent.core.errors import DatasetUnusable
from assent.learn.classifier import FOLDS, Fitted
from assent.learn.dataset import Example, Skipped, label_word
from assent.learn.features import ExampleFeatures
from assent.perceive.labels.heads import HEAD_ROOTS, NONE, category

DOUBTFUL = 0.95  # a held-out score of another class from which an image may have been put into the wrong folder
MOST_DOUBTFUL = 10


def class_labels(classes: Sequence[str], prefix: str) -> dict[str, str]:
    """Returns the label of each class: its own name where that is a label, else `<prefix>.<word>`; `none` stays `none`.

    Raises DatasetUnusable for one class only, for two of one label, or for a label that no head may say."""
    labels = {name: name if name == NONE or category(name) else f"{prefix}.{label_word(name)}" for name in classes}
    named = [label for label in labels.values() if label != NONE]
    if wrong := sorted(label for label in named if category(label) is None):
        raise DatasetUnusable(
            f"no head may say {', '.join(wrong)}; labels begin with one of: {', '.join(sorted(HEAD_ROOTS))}"
        )
    if twice := sorted({label for label in named if named.count(label) > 1}):
        raise DatasetUnusable(f"several classes would be called {', '.join(twice)}")
    if len(labels) < 2:
        raise DatasetUnusable("training needs pictures of at least two classes; `none` may be one of them")
    return labels


def select_trainable(examples: Sequence[Example]) -> tuple[list[int], list[Skipped]]:
    """Returns the indexes of examples in classes of at least FOLDS images, and the other classes with the reason."""
    sizes = Counter(example.label for example in examples)
    reason = f"needs at least {FOLDS} pictures that can be used"
    small = [(name, count) for name, count in sorted(sizes.items()) if count < FOLDS]
    skipped = [Skipped(f"class {name}", f"{count}: {reason}") for name, count in small]
    return [index for index, example in enumerate(examples) if sizes[example.label] >= FOLDS], skipped


def select_for_validation(
    validation: ExampleFeatures, order: Sequence[str], labels: Mapping[str, str], trained: Collection[str]
) -> tuple[list[int], list[int], list[Skipped]]:
    """Selects the images for validation that can be used.

    Returns their indexes, the column of each one's label (−1: `none`, where the head has no such column), and the
    others with the reason. `order` names the columns; `labels`: the label of each class that was trained; `trained`:
    the sha256 of the images. Raises DatasetUnusable where no image with a label is left."""
    selected, classes, skipped = [], [], []
    for index, (example, digest) in enumerate(zip(validation.examples, validation.sha256, strict=True)):
        label = NONE if example.label == NONE else labels.get(example.label)
        if label is None:
            skipped.append(Skipped(str(example.path), f"no class {example.label} was trained"))
        elif digest in trained:
            skipped.append(Skipped(str(example.path), "the head was trained on it"))
        else:
            selected.append(index)
            classes.append(order.index(label) if label in order else -1)
    if all(column < 0 or order[column] == NONE for column in classes):
        raise DatasetUnusable("no picture for validation has a label that was trained, or the head was trained on all")
    return selected, classes, skipped


def doubtful(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], examples: Sequence[Example]
) -> Iterator[str]:
    """Yields images that a model not trained on them is sure belong to another class: perhaps in the wrong folder."""
    others = fitted.held_out.copy()
    others[np.arange(len(classes)), classes] = 0
    best = others.max(axis=1)
    for index in np.argsort(-best, kind="stable")[:MOST_DOUBTFUL]:
        if best[index] >= DOUBTFUL:
            likely = order[int(others[index].argmax())]
            example = examples[index]
            yield f"{example.path}: in {example.label}, looks like {likely} ({best[index]:.2f})"
