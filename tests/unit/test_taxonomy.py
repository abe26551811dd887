"""The vocabulary: nothing a shipped model says is without a label, and no label is without a meaning."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from assent.core.resources import resource
from assent.core.taxonomy import BODIES, BY_NAME, LABELS, NUDENET, Label
from assent.core.values import Category
from assent.perceive.packs.manifest import read_pack

PACKS = sorted(path.stem for path in resource("models").glob("*.toml"))
REKOGNITION_V7 = {
    "Explicit Nudity",
    "Explicit Sexual Activity",
    "Sex Toys",
    "Non-Explicit Nudity",
    "Obstructed Intimate Parts",
    "Kissing on the Lips",
    "Weapons",
    "Alcoholic Beverages",
}
ATPROTO = {"!hide", "!warn", "!no-unauthenticated", "porn", "sexual", "nudity", "graphic-media"}


@pytest.mark.parametrize("pack", PACKS)
def test_every_class_of_every_shipped_pack_has_a_label(pack: str) -> None:
    classes = [label for file in read_pack(pack).file if file.role == "safety" for label in file.labels]
    assert classes or pack != "embedded"
    assert [name for name in classes if NUDENET.get(name) not in BY_NAME] == []


def test_there_is_a_pack() -> None:
    assert "embedded" in PACKS


def test_the_table_names_each_label_once() -> None:
    assert len(BY_NAME) == len(LABELS)


def test_no_label_of_bodies_is_left_without_a_class() -> None:
    assert set(NUDENET.values()) == {label.name for label in BODIES}


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_a_label_is_a_dotted_path_with_a_meaning_and_known_words(label: Label) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)*", label.name)
    assert label.category in get_args(Category)
    assert label.meaning.endswith(".")
    assert label.rekognition is None or label.rekognition in REKOGNITION_V7
    assert label.atproto is None or label.atproto in ATPROTO


def test_no_label_tells_a_gender() -> None:
    assert [label.name for label in LABELS if re.search(r"male|woman|man\b", label.name)] == []
    assert NUDENET["FACE_FEMALE"] == NUDENET["FACE_MALE"] == "face"
    assert NUDENET["FEMALE_GENITALIA_EXPOSED"] == NUDENET["MALE_GENITALIA_EXPOSED"]


def test_whatever_is_explicit_maps_to_a_word_in_both_vocabularies() -> None:
    explicit = [label for label in LABELS if label.name.startswith("nudity.explicit.")]
    assert explicit
    assert all(label.rekognition and label.atproto for label in explicit)
