"""The vocabulary: nothing a shipped model says is without a label, and no label is without a meaning."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import get_args

import pytest

from assent.core.resources import resource
from assent.core.taxonomy import BODIES, BY_NAME, LABELS, Label, near_labels, parse_taxonomy
from assent.core.values import Category
from assent.perceive.packs.manifest import classes, read_pack, read_table

NUDENET = {name: label for name, label, _ in read_table(resource("models") / "tables/nudenet.tsv")}
PACKS = sorted(path.stem for path in resource("models").glob("*.toml"))
REKOGNITION_V7 = {
    "Explicit Nudity",
    "Explicit Sexual Activity",
    "Sex Toys",
    "Non-Explicit Nudity",
    "Swimwear or Underwear",  # of the first level: the second tells a gender
    "Obstructed Intimate Parts",
    "Kissing on the Lips",
    "Weapons",
    "Graphic Violence",
    "Alcoholic Beverages",
    "Gambling",  # of the first level, which has no second
    "Products",
}
ATPROTO = {"!hide", "!warn", "!no-unauthenticated", "porn", "sexual", "nudity", "graphic-media"}


@pytest.mark.parametrize("pack", PACKS)
def test_every_class_of_every_shipped_pack_has_a_label(pack: str) -> None:
    found = read_pack(pack)
    labels = [name for file in found.file if file.role == "safety" for name in classes(found, file)]
    assert labels or pack != "embedded"
    assert [name for name in labels if name not in BY_NAME] == []


def test_there_is_a_pack() -> None:
    assert "embedded" in PACKS


def test_the_table_names_each_label_once() -> None:
    assert len(BY_NAME) == len(LABELS)


def test_no_label_of_bodies_is_left_without_a_class() -> None:
    assert set(NUDENET.values()) == {label.name for label in BODIES}


def test_labels_stand_in_the_order_of_the_file() -> None:
    assert [label.name for label in LABELS] == list(BY_NAME)
    assert (LABELS[0].name, LABELS[-1].name) == ("face", "scene.venue.stage")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[scenes]", "[views]", "unknown or missing: scenes, views"),
        ("[scenes]\n", "[more]\n[scenes]\n", "unknown or missing: more"),
        ("[scenes]\n", '[scenes]\nface = { category = "face", meaning = "Twice." }\n', "names labels twice: face"),
        ("face = {", 'face = { colour = "red",', "colour"),
        ('face = { category = "face",', "face = {", "face.category"),
        ('category = "face"', 'category = "person"', "face.category"),
        ('meaning = "A dress."', 'meaning = ""', "product.clothing.dress"),
        ("face = {", '"Face" = {', "Face"),
        ("[scenes]", "[scenes", "Expected"),
        (
            "[scenes]\n",
            '[scenes]\n"object.drone" = { category = "object", meaning = "A drone." }\n',
            "rekognition object.drone",
        ),
        (
            "[scenes]\n",
            '[scenes]\n"drone" = { category = "object", meaning = "A drone." }\n',
            "atproto drone, dsa drone",
        ),
        ('Beer, or the bottle or glass of one.", rekognition = "Alcoholic Beverages"', 'Beer."', "alcohol.beer"),
        ("alcohol.cocktailshaker", "alcohol.wine", "rekognition food.drink.alcohol.cocktailshaker, .*alcohol.wine"),
        ('"food", "scene",\n  "food', '"food", "scene", "smell",\n  "food', "rekognition smell"),
        ("[no_word]\n", '[no_word]\nrekognitoin = ["food"]\n', "rekognitoin"),
    ],
)
def test_a_taxonomy_that_is_not_as_it_should_be_is_refused(old: str, new: str, why: str) -> None:
    text = files("assent.core").joinpath("taxonomy.toml").read_text("utf-8")
    assert old in text
    with pytest.raises(ValueError, match=why):
        parse_taxonomy(text.replace(old, new, 1))


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_a_label_is_a_dotted_path_with_a_meaning_and_known_words(label: Label) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)*", label.name)
    assert label.category in get_args(Category)
    assert label.meaning.endswith(".")
    assert label.rekognition is None or label.rekognition in REKOGNITION_V7
    assert label.atproto is None or label.atproto in ATPROTO


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("slot machine", ("object.gambling.slotmachine",)),
        ("object.slot_machine", ("object.gambling.slotmachine",)),
        ("cat", ("animal.cat",)),
        ("gun", ("object.weapon.firearm.handgun",)),
        ("revolver", ("object.weapon.firearm", "object.weapon.firearm.handgun")),
        ("nudity.explicit.breasts", ("nudity.explicit.breast", "body.covered.breast")),
        ("animal.dgo.teriers", ("animal.dog.terrier",)),
        ("porn", ("nsfw",)),
        ("who", ()),
        ("xyzzy", ()),
        ("", ()),
    ],
)
def test_labels_that_may_be_meant_are_found_by_word_meaning_and_spelling(word: str, meant: tuple[str, ...]) -> None:
    assert near_labels(word, BY_NAME) == meant


def test_no_label_tells_a_gender() -> None:
    assert [label.name for label in LABELS if re.search(r"male|woman|man\b", label.name)] == []
    assert NUDENET["FACE_FEMALE"] == NUDENET["FACE_MALE"] == "face"
    assert NUDENET["FEMALE_GENITALIA_EXPOSED"] == NUDENET["MALE_GENITALIA_EXPOSED"]


def test_whatever_is_explicit_maps_to_a_word_in_both_vocabularies() -> None:
    explicit = [label for label in LABELS if label.name.startswith("nudity.explicit.")]
    assert explicit
    assert all(label.rekognition and label.atproto for label in explicit)
