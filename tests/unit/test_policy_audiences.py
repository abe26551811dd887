"""`emit` filters: who is told what, by region, age and surface; whatever is kept says which filter keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assent.core.errors import PolicyInvalid
from assent.core.values import Audience, Event, Perception, Tag, Withheld
from assent.policy.decide import decide
from assent.policy.model import age_band
from tests.unit.policy_files import BREAST, FEET, PHONE, PICTURE, POST, policy, rule, seen

RULES = [rule("r", 'score["nudity"] > 0.0', action="label")]
SEEN = seen((BREAST, 0.9), (FEET, 0.8), (PHONE, 0.7))


def told(tmp_path: Path, event: Event, *filters: dict[str, Any]) -> dict[Audience, list[str]]:
    """Names of tags by audience."""
    verdict = decide(policy(tmp_path, rules=RULES, emit=list(filters)), event, PICTURE, SEEN)
    return {audience: [name for _, name in view.tags] for audience, view in verdict.audience_views.items()}


def test_without_filters_everybody_is_told_all(tmp_path: Path) -> None:
    assert set(map(tuple, told(tmp_path, POST).values())) == {(BREAST, FEET, PHONE)}


def test_the_most_specific_label_of_a_model_is_told_and_rules_see_its_parents(tmp_path: Path) -> None:
    names = ("animal", "animal.dog", "animal.dog.poodle", "animal.cat")
    whole = Perception(tuple(Tag(name, "object", 0.9, None, 0, "m") for name in names), (), ())
    made = policy(
        tmp_path, rules=[rule("r", 'score["animal"] > 0.0', action="label")], labels={"animal": {"threshold": 0.5}}
    )
    verdict = decide(made, POST, PICTURE, whole)
    assert [tag.name for tag in verdict.tags] == ["animal.dog.poodle", "animal.cat"]
    assert verdict.rules[0].because.startswith("animal.dog.poodle")


def test_filters_add_up_and_name_themselves(tmp_path: Path) -> None:
    only = {"id": "only-nudity", "to": ["public", "author"], "only": ["nudity"]}
    never = {"id": "no-feet", "to": ["public"], "never": ["nudity.partial"]}
    found = told(tmp_path, POST, only, never)
    assert (found["platform"], found["author"]) == ([BREAST, FEET, PHONE], [BREAST, FEET])
    assert found["public"] == [BREAST]
    verdict = decide(policy(tmp_path, rules=RULES, emit=[only, never]), POST, PICTURE, SEEN)
    assert set(verdict.withheld) == {
        Withheld("public", FEET, "no-feet"),
        Withheld("public", PHONE, "only-nudity"),
        Withheld("author", PHONE, "only-nudity"),
    }


@pytest.mark.parametrize(
    ("where", "event", "kept"),
    [
        ({"regions": ["DE", "AT"]}, replace(POST, region="DE"), True),
        ({"regions": ["DE", "AT"]}, replace(POST, region="FR"), False),
        ({"regions": ["DE"]}, POST, False),
        ({"surfaces": ["avatar"]}, replace(POST, surface="avatar"), True),
        ({"surfaces": ["avatar"]}, POST, False),
        ({"ages": ["child", "teen"]}, replace(POST, audience_age=17), True),
        ({"ages": ["child", "teen"]}, replace(POST, audience_age=18), False),
        ({"ages": ["unknown"]}, POST, True),
        ({"ages": ["teen"], "regions": ["DE"]}, replace(POST, audience_age=15, region="FR"), False),
        ({"ages": ["teen"], "regions": ["NO"]}, replace(POST, audience_age=15, region="NO"), True),
    ],
)
def test_a_filter_counts_where_the_event_fits(tmp_path: Path, where: dict[str, Any], event: Event, kept: bool) -> None:
    found = told(tmp_path, event, {"id": "f", "to": ["public"], "never": ["nudity"], **where})
    assert found["public"] == ([PHONE] if kept else [BREAST, FEET, PHONE])


@pytest.mark.parametrize(
    ("years", "band"), [(None, "unknown"), (0, "child"), (12, "child"), (13, "teen"), (17, "teen"), (18, "adult")]
)
def test_age_bands(years: int | None, band: str) -> None:
    assert age_band(years) == band


def test_faces_and_matches_by_audience(tmp_path: Path) -> None:
    views = decide(policy(tmp_path, rules=RULES), POST, PICTURE, SEEN).audience_views
    assert {audience: (one.faces, one.matches) for audience, one in views.items()} == {
        "platform": (True, True),
        "author": (True, False),
        "person": (True, True),
        "public": (False, False),
    }
    open_ = {"id": "a", "to": ["author", "public"], "faces": True, "matches": True}
    shut = {"id": "b", "to": ["public"], "surfaces": ["avatar"], "faces": False}
    made = policy(tmp_path, rules=RULES, emit=[open_, shut])
    assert decide(made, POST, PICTURE, SEEN).audience_views["public"].matches
    assert not decide(made, replace(POST, surface="avatar"), PICTURE, SEEN).audience_views["public"].matches


def test_where_nobody_is_recognised_no_match_is_told(tmp_path: Path) -> None:
    made = policy(tmp_path, rules=RULES, matches={"enabled": False})
    assert not made.recognises
    assert not any(one.matches for one in decide(made, POST, PICTURE, SEEN).audience_views.values())


def test_the_platform_cannot_be_kept_from_the_faces_it_has_to_hide(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match="needs the boxes of faces"):
        policy(tmp_path, rules=RULES, emit=[{"id": "f", "to": ["platform"], "faces": False}])
