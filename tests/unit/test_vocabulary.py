"""What other vocabularies call our labels, which model says them, and `assent labels`."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest
from typer.testing import CliRunner

from assent.cli import app
from assent.core.taxonomy import BODIES, BY_NAME, LABELS, Label
from assent.perceive.labels.sources import sources
from assent.perceive.packs.manifest import classes, read_pack
from assent.policy.input import groups
from assent.policy.schema import StatementCategory


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_words_of_the_transparency_database_are_its_own(label: Label) -> None:
    assert label.dsa is None or label.dsa in get_args(StatementCategory)
    assert label.keyword is None or re.fullmatch(r"[A-Z]+(_[A-Z]+)*", label.keyword)
    assert label.dsa is not None or label.keyword is None  # a keyword specifies a category


def test_whatever_is_explicit_was_read_or_is_listed_can_be_stated() -> None:
    wanted = [label for label in LABELS if label.name.startswith(("nudity.explicit.", "text.", "hash."))]
    assert len(wanted) >= 13
    assert [label.name for label in wanted if label.dsa is None] == []
    assert {label.keyword for label in wanted if label.name.startswith("nudity")} == {"NUDITY"}


def test_no_label_claims_more_than_was_seen() -> None:
    """A detector of body parts, words or known files knows nothing of age, consent or crime."""
    said = {label.dsa for label in LABELS if label.category in ("safety", "text", "hash")}
    assert said <= {None, "OTHER_VIOLATION_TC", "VIOLENCE"}
    assert [label.name for label in LABELS if label.dsa == "VIOLENCE" and not label.name.startswith("violence.")] == []


def test_every_class_of_the_default_pack_has_its_label_and_its_model() -> None:
    said = sources()
    pack = read_pack("embedded")
    assert set(classes(pack, pack.one("safety"))) == {label.name for label in BODIES}
    assert all("nudenet-320n" in said[label.name] for label in BODIES)
    assert set(said) <= set(BY_NAME)


def test_labels_are_listed_with_model_threshold_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSENT_POLICY", raising=False)
    done = CliRunner().invoke(app, ["labels", "nudity.explicit", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    assert [row["label"] for row in rows] == sorted(name for name in BY_NAME if name.startswith("nudity.explicit."))
    assert rows[1] == {
        "label": "nudity.explicit.breast",
        "category": "safety",
        "meaning": "An uncovered female breast.",
        "model": "nudenet-320n",
        "threshold": 0.6,
        "rekognition": "Explicit Nudity",
        "atproto": "nudity",
        "dsa": "OTHER_VIOLATION_TC",
        "keyword": "NUDITY",
        "also": None,
        "classes": [],
    }


def listed(*words: str) -> str:
    done = CliRunner().invoke(app, ["labels", *words], env={"COLUMNS": "240"})
    assert done.exit_code == 0, done.output
    return done.output


def paths(lines: list[str]) -> list[str]:
    """The whole names in a tree whose lines hold the last parts, indented."""
    names: list[str] = []
    path: list[str] = []
    for line in lines:
        level = (len(line) - len(line.lstrip())) // 2
        path = [*path[:level], line.split()[0]]
        names.append(".".join(path))
    return names


def test_all_are_listed_for_people_as_a_tree() -> None:
    _, *lines = listed("--all").splitlines()
    assert paths(lines) == sorted(groups(), key=lambda name: name.split("."))


def test_without_a_group_two_levels_are_listed_with_what_lies_below() -> None:
    _, *lines, empty, last = listed().splitlines()
    assert paths(lines) == [name for name in sorted(groups(), key=lambda name: name.split(".")) if name.count(".") < 2]
    assert len(lines) < 100
    assert (empty, last.split()[0]) == ("", str(len(LABELS)))
    (cats,) = [line.split() for line in lines if line.startswith("  cat ")]
    assert cats == ["cat", str(sum(name.startswith("animal.cat.") for name in BY_NAME)), "0.60", "A", "cat."]


def test_a_group_is_listed_with_what_its_labels_stand_for() -> None:
    head, cat, *below = listed("animal.cat").splitlines()
    assert head.split()[:2] == ["label", "from"]
    assert cat.split("  ")[0] == "animal.cat"
    assert any(line.startswith("  tabby") and "tiger cat" in line for line in below)
    assert "also food.drink.other" in listed("food.drink.coffee")
    assert "only by yolox-nano, yolox-s-2022nov" in listed("animal.wild.giraffe")
    assert "by no shipped model; rekognition Graphic Violence" in listed("violence")


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("nothing", "No label of group nothing.\n"),
        ("slot machine", "Did you mean object.gambling.slotmachine?"),
        ("Espresso", "Did you mean food.drink.coffee?"),
    ],
)
def test_what_is_no_label_is_answered_with_those_that_may_be_meant(word: str, answer: str) -> None:
    done = CliRunner().invoke(app, ["labels", word])
    assert done.exit_code == 1
    assert answer in done.output
