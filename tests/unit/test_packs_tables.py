"""Every class that a network of a shipped pack knows has one of our labels, or a recorded reason to say nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assent.core.resources import resource
from assent.core.taxonomy import ANIMALS, BY_NAME, FOODS, GOODS, OBJECTS, SCENES, above
from assent.perceive.packs.manifest import SILENT, classes, read_pack, read_table, shipped_packs
from tests.unit.real_models import models_folder

IMAGENET = read_table(resource("models") / "tables/imagenet.tsv")
COCO = read_table(resource("models") / "tables/coco.tsv")
REASONS = {"primate", "health", "role", "execution"}
FILES = [(name, file) for name in shipped_packs() for file in read_pack(name).file if file.table]


def test_the_tables_have_as_many_rows_as_the_networks_have_classes() -> None:
    assert len(IMAGENET) == 1000
    assert len(COCO) == 80


def test_the_classes_are_imagenets_in_its_order() -> None:
    theirs = (models_folder() / "mobilenet_v2/imagenet_labels.txt").read_text().splitlines()
    assert [name for name, _, _ in IMAGENET] == [line.strip() for line in theirs[1:]]


@pytest.mark.parametrize(("pack", "file"), FILES, ids=lambda value: getattr(value, "name", value))
def test_every_class_of_a_shipped_network_has_a_label_or_is_silent(pack: str, file: object) -> None:
    found = read_pack(pack)
    for one in found.file:
        if one.table:
            names = classes(found, one)
            assert len(names) in (2, 18, 80, 1000, 1001)
            assert all(name is None or name in BY_NAME for name in names)


def test_silence_has_one_of_a_few_reasons() -> None:
    assert {reason for _, label, reason in (*IMAGENET, *COCO) if label == SILENT} == REASONS
    assert all(label != SILENT for _, label, _ in COCO)


def test_nothing_is_said_where_people_have_been_called_apes_or_where_a_person_is_described() -> None:
    said = {name: label for name, label, _ in IMAGENET}
    for word in ("gorilla", "chimpanzee", "orangutan", "gibbon", "baboon", "macaque"):
        assert [label for name, label in said.items() if name.startswith(word)] == [SILENT]
    for word in ("groom", "ballplayer", "crutch", "oxygen mask", "neck brace"):
        assert [label for name, label in said.items() if name.startswith(word)] == [SILENT]


def test_clothes_and_buildings_of_a_religion_or_a_people_get_a_word_that_does_not_tell() -> None:
    said = {name.split(",")[0]: label for name, label, _ in IMAGENET}
    for cloth in ("abaya", "kimono", "sarong", "vestment", "poncho", "gown", "military uniform"):
        assert said[cloth] == "product.clothing.garment"
    for place in ("mosque", "church", "monastery", "stupa", "altar"):
        assert said[place] == "scene.building"


def test_no_label_of_things_tells_to_which_group_a_person_belongs() -> None:
    words = r"race|ethnic|religio|gender|disab|nation|mosque|church|muslim|christ|jew|asian|african|black|white"
    labels = (*OBJECTS, *ANIMALS, *FOODS, *GOODS, *SCENES)
    assert [label.name for label in labels if re.search(words, f"{label.name} {label.meaning}".lower())] == []


def test_every_label_of_things_is_said_by_some_class() -> None:
    said = {group for _, label, _ in (*IMAGENET, *COCO) if label != SILENT for group in above(label)}
    assert {label.name for label in (*OBJECTS, *ANIMALS, *FOODS, *GOODS, *SCENES)} == said - {
        "animal",
        "object",
        "scene",
        "product",
    }
    assert len({group for _, label, _ in IMAGENET if label != SILENT for group in above(label)}) >= 300
    manual = (Path(__file__).parents[2] / "docs/models.md").read_text()
    assert f"to a tree of {len(said & {*BY_NAME})} labels" in manual


@pytest.mark.parametrize(("table", "rows"), [("imagenet", IMAGENET), ("coco", COCO)])
def test_each_class_is_at_or_below_the_label_that_it_had_before_the_tree(
    table: str, rows: tuple[tuple[str, ...], ...]
) -> None:
    former = (Path(__file__).parent / f"labels_before_the_tree/{table}.txt").read_text().split()
    assert len(former) == len(rows)
    assert set(former) - {SILENT} <= set(BY_NAME)
    for old, (name, label, _) in zip(former, rows, strict=True):
        assert (label == SILENT) if old == SILENT else old in above(label), name


def test_an_ape_adds_nothing_to_animals() -> None:
    assert [name for name, label, reason in IMAGENET if reason == "primate" and label != SILENT] == []


def test_a_weapon_is_called_one_only_where_nothing_else_looks_like_it() -> None:
    said = {name.split(",")[0]: label for name, label, _ in (*IMAGENET, *COCO)}
    assert (said["revolver"], said["rifle"]) == ("object.weapon.firearm.handgun", "object.weapon.firearm.rifle")
    assert (said["missile"], said["space shuttle"]) == ("object.rocket", "object.rocket.spaceshuttle")
    assert (said["knife"], said["cleaver"]) == ("object.blade.knife", "object.blade.cleaver")
    assert said["holster"].startswith("object.weapon")
