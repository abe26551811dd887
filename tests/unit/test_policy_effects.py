"""What rules do beside their action: say, keep, rename, hide, send to review, notify. The strongest action wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assent.core.values import Action, ReviewQueue, Withheld
from assent.policy.decide import decide
from tests.unit.policy_files import BREAST, FEET, PHONE, PICTURE, POST, policy, rule, seen

ALWAYS = "faces.count >= 0"


@pytest.mark.parametrize(
    ("actions", "wins"),
    [(("label", "block", "limit"), "block"), (("review", "limit"), "review"), (("allow", "label"), "label")],
)
def test_the_strongest_action_wins_whatever_the_order(tmp_path: Path, actions: tuple[str, ...], wins: str) -> None:
    rules = [
        rule(f"r{n}", f"faces.count >= {-n}", action=action, notify=["author"]) for n, action in enumerate(actions)
    ]
    assert decide(policy(tmp_path, rules=rules), POST, PICTURE, seen()).action.name == wins


@pytest.mark.parametrize(
    ("labels", "name", "counts_from"),
    [
        ({"nudity": 0.5}, BREAST, 0.5),
        ({"nudity": 0.5, "nudity.explicit": 0.7}, BREAST, 0.7),
        ({"nudity": 0.5, "nudity.explicit": 0.7}, FEET, 0.5),
        ({"nudity": 0.9, BREAST: 0.3}, BREAST, 0.3),
    ],
)
def test_the_longest_name_that_fits_gives_the_threshold(
    tmp_path: Path, labels: dict[str, float], name: str, counts_from: float
) -> None:
    rules = [rule("r", f'score["{name}"] > 0.0', action="label")]
    made = policy(tmp_path, labels={label: {"threshold": limit} for label, limit in labels.items()}, rules=rules)
    below = decide(made, POST, PICTURE, seen((name, counts_from - 0.001)))
    at = decide(made, POST, PICTURE, seen((name, counts_from)))
    assert (below.action, below.tags) == (Action.allow, ())
    assert (at.action, [tag.name for tag in at.tags]) == (Action.label, [name])


def test_a_suppression_holds_for_all_and_names_its_rule(tmp_path: Path) -> None:
    made = policy(tmp_path, rules=[rule("no-feet", ALWAYS, suppress=["nudity.partial"])])
    verdict = decide(made, POST, PICTURE, seen((FEET, 0.9), (BREAST, 0.8)))
    assert [tag.name for tag in verdict.tags] == [BREAST]
    assert all(view.tags == ((1, BREAST),) for view in verdict.audience_views.values())
    kept = {Withheld(audience, FEET, "no-feet") for audience in ("platform", "author", "person", "public")}
    assert set(verdict.withheld) == kept


def test_what_labels_keep_is_said_where_a_rule_says_it(tmp_path: Path) -> None:
    labels = {"nudity": {"threshold": 0.5, "emit": False}, "text": {"threshold": 0.5}}
    rules = [rule("say-it", "event.surface == 'avatar'", emit=["nudity.explicit"])]
    made = policy(tmp_path, labels=labels, rules=rules)
    post = decide(made, POST, PICTURE, seen((BREAST, 0.9)))
    assert post.tags == ()
    assert {one.by for one in post.withheld} == {"labels.nudity"}
    avatar = decide(made, replace(POST, surface="avatar"), PICTURE, seen((BREAST, 0.9)))
    assert [tag.name for tag in avatar.tags] == [BREAST]


def test_a_suppression_is_stronger_than_an_emission(tmp_path: Path) -> None:
    labels = {"nudity": {"threshold": 0.5, "emit": False}}
    rules = [rule("say", ALWAYS, emit=[BREAST]), rule("keep", "faces.count < 9", suppress=[BREAST])]
    verdict = decide(policy(tmp_path, labels=labels, rules=rules), POST, PICTURE, seen((BREAST, 0.9)))
    assert (verdict.tags, {one.by for one in verdict.withheld}) == ((), {"keep"})


def test_a_label_is_told_by_another_name_and_judged_by_its_own(tmp_path: Path) -> None:
    rules = [
        rule("first", ALWAYS, rename={"nudity": "adult", BREAST: "nude"}),
        rule("second", "faces.count < 9", action="limit", rename={"nudity": "other"}),
    ]
    verdict = decide(policy(tmp_path, rules=rules), POST, PICTURE, seen((BREAST, 0.9), (FEET, 0.8)))
    assert [tag.name for tag in verdict.tags] == ["nude", "adult"]
    assert verdict.tags[0].score == 0.9


def test_boxes_are_hidden_once_and_only_of_the_named(tmp_path: Path) -> None:
    made = policy(tmp_path, rules=[rule("hide", ALWAYS, redact=["nudity.explicit"])])
    assert decide(made, POST, PICTURE, seen((BREAST, 0.9), (BREAST, 0.8), (FEET, 0.9))).redact == ((10, 10, 20, 20),)
    assert decide(made, POST, PICTURE, seen((FEET, 0.9))).redact == ()


def test_the_most_urgent_queue_is_the_one(tmp_path: Path) -> None:
    rules = [
        rule("slow", ALWAYS, review={"queue": "slow", "priority": 1}),
        rule("fast", "faces.count < 9", review={"queue": "fast", "priority": 9}),
        rule("other", "faces.count < 8", action="label"),
    ]
    verdict = decide(policy(tmp_path, rules=rules), POST, PICTURE, seen())
    assert (verdict.action, verdict.review) == (Action.label, ReviewQueue("fast", 9))


def test_review_without_a_queue_goes_to_the_default_one(tmp_path: Path) -> None:
    made = policy(tmp_path, rules=[rule("look", f'score["{PHONE}"] > 0.0', action="review")])
    assert decide(made, POST, PICTURE, seen((PHONE, 0.9))).review == ReviewQueue("default", 0)
    assert decide(made, POST, PICTURE, seen()).review is None


def test_who_is_notified(tmp_path: Path) -> None:
    rules = [rule("a", ALWAYS, notify=["author"]), rule("b", "faces.count < 9", notify=["author", "public"])]
    assert decide(policy(tmp_path, rules=rules), POST, PICTURE, seen()).notify == ("author", "public")


def test_a_reason_names_the_strongest_tag_the_condition_is_about(tmp_path: Path) -> None:
    made = policy(tmp_path, rules=[rule("r", 'score["nudity"] > 0.0 || text.has_contact', action="label")])
    both = decide(made, POST, PICTURE, seen((BREAST, 0.7), (FEET, 0.95), (PHONE, 0.6)))
    assert both.rules[0].because == f"{FEET} 0.95 ≥ 0.50"
    assert decide(made, POST, PICTURE, seen((PHONE, 0.6))).rules[0].because == f"{PHONE} 0.60 ≥ 0.50"
