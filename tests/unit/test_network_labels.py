"""What is said of labelled pictures, counted by hand: parents are right too, and what is finer is not judged."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from assent.core.resources import resource
from assent.core.taxonomy import BY_NAME
from assent.core.values import Perception, Tag
from assent.learn.classes import Meaning
from assent.learn.dataset import Example
from assent.learn.network_labels import ScoredImages, image_tables, score_images
from assent.learn.perceive_examples import PerceivedExamples
from assent.learn.report import Table
from assent.policy.load import load_policy
from assent.policy.model import Policy

LABELS = ("animal.dog", "animal.dog.retriever", "animal.cat", "food.drink.other", "food.drink.coffee", "food.drink")
Said = dict[str, float]


@cache
def _policy() -> Policy:
    return load_policy(resource("policies") / "default.yaml")


def scored(*pictures: tuple[str, Said]) -> ScoredImages:
    """Pictures of a class each, with what a network says of them; the class `none` has no label."""
    perceptions = [
        Perception(
            tuple(Tag(name, BY_NAME[name].category, score, None, 0, "net") for name, score in said.items()), (), ()
        )
        for _, said in pictures
    ]
    examples = tuple(Example(Path("a.jpg"), name) for name, _ in pictures)
    meanings = {name: Meaning((name,) if name != "none" else ()) for name, _ in pictures}
    return score_images(PerceivedExamples(examples, tuple(perceptions), (), ()), meanings, LABELS, ["net"], _policy())


def table(name: str, images: ScoredImages) -> Table:
    meanings = {name: Meaning((name,)) for name in images.classes}
    return next(table for table in image_tables(images, meanings) if table.name == name)


def row(name: str, first: str, images: ScoredImages) -> tuple[object, ...]:
    return next(row for row in table(name, images).rows if row[0] == first)


COFFEE: Said = {"food.drink": 0.9, "food.drink.other": 0.9, "food.drink.coffee": 0.8}
RETRIEVER: Said = {"animal.dog": 0.9, "animal.dog.retriever": 0.8}


def test_a_picture_is_right_for_its_label_and_for_all_above_it() -> None:
    images = scored(*[("food.drink.coffee", COFFEE)] * 30, ("none", COFFEE))
    for label in ("food.drink.coffee", "food.drink.other", "food.drink"):
        said = row("labels", label, images)
        assert said[1:6] == (30, 0.6, 31, 30, pytest.approx(30 / 31))
        assert said[7] == 1.0  # recall
    assert row("summary", "photos of none on which anything is said", images)[1:4] == (1, 1, 1.0)


def test_a_finer_label_than_the_class_is_neither_right_nor_wrong() -> None:
    images = scored(*[("animal.dog", RETRIEVER)] * 30)
    assert row("labels", "animal.dog", images)[3:6] == (30, 30, 1.0)
    assert [each[0] for each in table("labels", images).rows] == ["animal.dog"]
    assert row("summary", "photos of a class on which it, or a finer label, is said", images)[1:4] == (30, 30, 1.0)
    assert table("confused", images).rows == ()


def test_a_finer_label_is_wrong_where_the_class_lies_beside_it() -> None:
    images = scored(*[("animal.dog.terrier", RETRIEVER)] * 2)
    assert row("confused", "animal.dog.terrier", images) == ("animal.dog.terrier", 2, "animal.dog.retriever", 2)
    assert row("summary", "labels said, the most specific: right", images)[1:3] == (0, 2)


def test_no_figure_stands_where_too_few_pictures_were_measured() -> None:
    images = scored(*[("animal.dog", RETRIEVER)] * 29, ("animal.cat", {"animal.cat": 0.3}))
    assert table("labels", images).rows == ()
    assert row("too-few", "animal.dog", images) == ("animal.dog", 29, 0.7, 29, 29)
    assert row("too-few", "animal.cat", images) == ("animal.cat", 1, 0.6, 0, 0)
    assert table("thresholds", images).rows == ()


def test_precision_is_counted_at_each_threshold() -> None:
    low: Said = {"animal.cat": 0.42}
    images = scored(*[("animal.cat", {"animal.cat": 0.9})] * 30, *[("none", low)] * 10)
    counted = {each[1]: each[2:5] for each in table("thresholds", images).rows}
    assert (counted[0.4], counted[0.45]) == ((40, 30, 30), (30, 30, 30))
