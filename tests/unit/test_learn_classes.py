"""A class of labelled pictures stands for a label: named in full, by its last word, or as the network calls it."""

from __future__ import annotations

import pytest

from assent.learn.classes import Vocabulary, class_meaning, vocabulary
from assent.perceive.packs.model_set import default_backbone


@pytest.fixture(scope="module")
def known() -> Vocabulary:
    return vocabulary([default_backbone()])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("food.drink.coffee", ("food.drink.coffee",)),
        ("Coffee", ("food.drink.coffee",)),
        ("dog", ("animal.dog",)),  # not animal.wild.dog
        ("Golden Retriever", ("animal.dog.retriever",)),  # as the network calls a class
        ("espresso", ("food.drink.coffee",)),
        ("T-shirt", ("product.clothing",)),  # a head's label: the nearest above it that the network gives
        ("food.fruit.pear", ("food.fruit.pear",)),  # no label; below one that is
        ("coffee; dog", ("food.drink.coffee", "animal.dog")),
        ("none", ()),
    ],
)
def test_a_class_stands_for_labels(known: Vocabulary, name: str, labels: tuple[str, ...]) -> None:
    assert class_meaning(name, known) == (labels, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pear", "no network in use gives such a label"),
        ("face", "no network in use gives such a label"),
        ("coffee; pear", "no network in use gives such a label"),
        ("crane", "could be animal.bird.crane or object.vehicle.work.crane: name one in full"),
        ("gorilla", "nothing is said of it, see the network's table"),
    ],
)
def test_a_class_without_a_label_is_left_out_with_the_reason(known: Vocabulary, name: str, reason: str) -> None:
    assert class_meaning(name, known) == ((), reason)
