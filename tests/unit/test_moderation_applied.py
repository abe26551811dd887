"""Moderator decisions on a file are applied when the file comes again, and hide nothing that they were not shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assent.core.values import Action, Analysis, ModeratedVerdict, ModerationHistory, ModeratorDecision, Perception, Tag
from assent.policy.decide import decide
from assent.policy.model import Policy
from assent.policy.moderated import MODERATOR, apply_moderation
from tests.unit.policy_files import BREAST, FEET, PHONE, PICTURE, POST, policy, rule, seen

AT = datetime(2026, 11, 25, tzinfo=UTC)
NUDE = rule("nude", f'score["{BREAST}"] > 0.0', action="review")
BARE = rule("bare", f'score["{FEET}"] > 0.0', action="label")
CALLS = rule("calls", f'score["{PHONE}"] > 0.0', action="block")
GENITALIA, BUTTOCKS = "nudity.explicit.genitalia", "nudity.explicit.buttocks"


@pytest.fixture
def rules(tmp_path: Path) -> Policy:
    return policy(tmp_path, rules=[NUDE, BARE, CALLS])


def decided(action: Action, **shown: Any) -> ModeratorDecision:
    """On an image with an exposed breast, which the policy sent to review."""
    first = {"automated_action": Action.review, "automated_rules": frozenset({"nude"}), "scores": {BREAST: 0.9}}
    return ModeratorDecision(action, AT, **{**first, **shown})


def moderate(rules: Policy, perception: Perception, history: ModerationHistory) -> ModeratedVerdict | None:
    analysis = Analysis(PICTURE, perception, (), decide(rules, POST, PICTURE, perception))
    return apply_moderation(rules, POST, analysis, history)


def names(moderated: ModeratedVerdict) -> list[str]:
    return [tag.name for tag in moderated.verdict.tags]


def test_nothing_said_changes_nothing(rules: Policy) -> None:
    assert moderate(rules, seen((BREAST, 0.9)), ModerationHistory({})) is None
    assert (
        moderate(rules, seen((BREAST, 0.9)), ModerationHistory({FEET: False, BREAST: True})) is None
    )  # neither makes a difference


def test_a_denied_label_does_not_count(rules: Policy) -> None:
    moderated = moderate(rules, seen((BREAST, 0.9), (FEET, 0.8)), ModerationHistory({BREAST: False}))
    assert moderated is not None
    assert (names(moderated), moderated.removed, moderated.added) == ([FEET], (BREAST,), ())
    assert (moderated.verdict.action, moderated.verdict.review, moderated.automated.action) == (
        Action.label,
        None,
        Action.review,
    )
    assert moderated.verdict.audience_views["author"].tags == ((1, FEET),)


def test_a_confirmed_label_counts_and_only_the_platform_is_told(rules: Policy) -> None:
    moderated = moderate(rules, seen((BREAST, 0.9), (PHONE, 0.2)), ModerationHistory({PHONE: True}))
    assert moderated is not None
    assert (moderated.verdict.action, moderated.added) == (Action.block, (PHONE,))
    assert moderated.verdict.tags[-1] == Tag(PHONE, "text", 1.0, None, 0, MODERATOR)
    assert all(n < 2 for view in moderated.verdict.audience_views.values() for n, _ in view.tags)
    unlisted = moderate(rules, seen(), ModerationHistory({"object.chair": True}))
    assert unlisted is None  # no label of the vocabulary
    unlisted = moderate(rules, seen(), ModerationHistory({"body.covered.feet": True}))
    assert unlisted is not None
    assert names(unlisted) == ["body.covered.feet"]  # a person said it, whatever the policy lists


@pytest.mark.parametrize("action", [Action.allow, Action.label, Action.limit, Action.block])
def test_their_action_holds_for_what_they_were_shown(rules: Policy, action: Action) -> None:
    moderated = moderate(rules, seen((BREAST, 0.95)), ModerationHistory({}, decided(action)))
    assert moderated is not None
    assert moderated.holds
    assert (moderated.verdict.action, moderated.verdict.review) == (action, None)
    assert [rule.id for rule in moderated.verdict.rules] == [MODERATOR]
    assert moderated.automated.review is not None


@pytest.mark.parametrize(
    ("tags", "said", "shown", "action", "news"),
    [
        ([(BREAST, 0.9), (PHONE, 0.9)], {}, {}, Action.block, "the policy asks for block, then for review"),
        ([(BREAST, 0.9), (FEET, 0.9)], {}, {}, Action.review, "rule bare holds, and did not then"),
        ([(BREAST, 0.9), (GENITALIA, 0.9)], {}, {}, Action.review, f"{GENITALIA} counts, and did not then"),
        # It was seen then, but below the threshold.
        ([(BREAST, 0.9), (GENITALIA, 0.9)], {}, {"scores": {BREAST: 0.9, GENITALIA: 0.4}}, Action.review, GENITALIA),
        # What they denied hides nothing else.
        ([(BREAST, 0.9), (FEET, 0.9)], {BREAST: False}, {}, Action.label, "rule bare holds"),
    ],
)
def test_what_they_were_not_shown_is_decided_by_the_policy(
    rules: Policy, tags: list[tuple[str, float]], said: dict[str, bool], shown: Any, action: Action, news: str
) -> None:
    moderated = moderate(rules, seen(*tags), ModerationHistory(said, decided(Action.allow, **shown)))
    assert moderated is not None
    assert not moderated.holds
    assert moderated.new_evidence.startswith(news)
    assert moderated.verdict.action is action
    assert (moderated.verdict.review is not None) == (action is Action.review)
    assert MODERATOR not in [rule.id for rule in moderated.verdict.rules]


def test_their_block_is_never_weakened_by_news(rules: Policy) -> None:
    moderated = moderate(rules, seen((BREAST, 0.9), (FEET, 0.9)), ModerationHistory({}, decided(Action.block)))
    assert moderated is not None
    assert (moderated.holds, moderated.verdict.action) == (False, Action.block)
    assert [rule.id for rule in moderated.verdict.rules] == ["nude", "bare", MODERATOR]
    assert moderated.verdict.review is not None  # and somebody looks at what is new


def test_a_label_they_named_is_no_news(rules: Policy) -> None:
    history = ModerationHistory({BUTTOCKS: True, GENITALIA: False}, decided(Action.allow))
    moderated = moderate(rules, seen((BREAST, 0.9), (BUTTOCKS, 0.9), (GENITALIA, 0.9)), history)
    assert moderated is not None
    assert moderated.holds
    assert names(moderated) == [BREAST, BUTTOCKS]


def test_an_entry_of_a_list_cannot_be_denied(tmp_path: Path) -> None:
    labels = {"nudity": {"threshold": 0.5}, "hash": {"threshold": 0.5}}
    listed = policy(tmp_path, labels=labels, rules=[rule("listed", "hash.listed", action="block")])
    found = Perception((Tag("hash.known.listed", "hash", 1.0, None, 0, "list:x"),), (), ())
    history = ModerationHistory(
        {"hash.known.listed": False},
        decided(Action.allow, automated_action=Action.allow, automated_rules=frozenset(), scores={}),
    )
    moderated = moderate(listed, found, history)
    assert moderated is not None
    assert (moderated.verdict.action, names(moderated), moderated.removed) == (Action.block, ["hash.known.listed"], ())


def test_a_denied_label_takes_those_below_it_along_and_its_share_from_those_above(tmp_path: Path) -> None:
    made = policy(tmp_path, rules=[NUDE], labels={"nudity": {"threshold": 0.5}, "animal": {"threshold": 0.5}})
    scores = {"animal": 0.95, "animal.dog": 0.9, "animal.dog.poodle": 0.8}
    perception = Perception(tuple(Tag(name, "object", score, None, 0, "m") for name, score in scores.items()), (), ())
    of_dog = moderate(made, perception, ModerationHistory({"animal.dog": False}))
    assert of_dog is not None
    assert (names(of_dog), of_dog.removed) == ([], ("animal.dog", "animal.dog.poodle"))
    of_breed = moderate(made, perception, ModerationHistory({"animal.dog.poodle": False, "animal.dog": True}))
    assert of_breed is not None
    assert names(of_breed) == ["animal.dog"]
