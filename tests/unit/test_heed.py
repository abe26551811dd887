"""A moderator's word on a file is heard again when the file comes again, and hides nothing that they were not shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assent.core.values import Action, ModeratedVerdict, ModerationHistory, ModeratorDecision, Perception, Tag
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


def judged(action: Action, **tags: Any) -> ModeratorDecision:
    """Of a picture with an exposed breast, which the policy sent to review."""
    shown = {"was": Action.review, "rules": frozenset({"nude"}), "seen": {BREAST: 0.9}}
    return ModeratorDecision(action, AT, **{**shown, **tags})


def heard(rules: Policy, found: Perception, word: ModerationHistory) -> ModeratedVerdict | None:
    return apply_moderation(rules, POST, PICTURE, found, (), decide(rules, POST, PICTURE, found), word)


def names(heeded: ModeratedVerdict) -> list[str]:
    return [tag.name for tag in heeded.verdict.tags]


def test_nothing_said_changes_nothing(rules: Policy) -> None:
    assert heard(rules, seen((BREAST, 0.9)), ModerationHistory({})) is None
    assert (
        heard(rules, seen((BREAST, 0.9)), ModerationHistory({FEET: False, BREAST: True})) is None
    )  # neither makes a difference


def test_a_denied_label_does_not_count(rules: Policy) -> None:
    heeded = heard(rules, seen((BREAST, 0.9), (FEET, 0.8)), ModerationHistory({BREAST: False}))
    assert heeded is not None
    assert (names(heeded), heeded.removed, heeded.added) == ([FEET], (BREAST,), ())
    assert (heeded.verdict.action, heeded.verdict.review, heeded.alone.action) == (Action.label, None, Action.review)
    assert heeded.verdict.said["author"].tags == ((1, FEET),)


def test_a_confirmed_label_counts_and_only_the_platform_is_told(rules: Policy) -> None:
    heeded = heard(rules, seen((BREAST, 0.9), (PHONE, 0.2)), ModerationHistory({PHONE: True}))
    assert heeded is not None
    assert (heeded.verdict.action, heeded.added) == (Action.block, (PHONE,))
    assert heeded.verdict.tags[-1] == Tag(PHONE, "text", 1.0, None, 0, MODERATOR)
    assert all(n < 2 for said in heeded.verdict.said.values() for n, _ in said.tags)
    unlisted = heard(rules, seen(), ModerationHistory({"object.chair": True}))
    assert unlisted is None  # no label of the vocabulary
    unlisted = heard(rules, seen(), ModerationHistory({"body.covered.feet": True}))
    assert unlisted is not None
    assert names(unlisted) == ["body.covered.feet"]  # a person said it, whatever the policy lists


@pytest.mark.parametrize("action", [Action.allow, Action.label, Action.limit, Action.block])
def test_their_action_holds_for_what_they_were_shown(rules: Policy, action: Action) -> None:
    heeded = heard(rules, seen((BREAST, 0.95)), ModerationHistory({}, judged(action)))
    assert heeded is not None
    assert heeded.holds
    assert (heeded.verdict.action, heeded.verdict.review) == (action, None)
    assert [rule.id for rule in heeded.verdict.rules] == [MODERATOR]
    assert heeded.alone.review is not None


@pytest.mark.parametrize(
    ("tags", "said", "shown", "action", "news"),
    [
        ([(BREAST, 0.9), (PHONE, 0.9)], {}, {}, Action.block, "the policy asks for block, then for review"),
        ([(BREAST, 0.9), (FEET, 0.9)], {}, {}, Action.review, "rule bare holds, and did not then"),
        ([(BREAST, 0.9), (GENITALIA, 0.9)], {}, {}, Action.review, f"{GENITALIA} counts, and did not then"),
        # It was seen then, but below the threshold.
        ([(BREAST, 0.9), (GENITALIA, 0.9)], {}, {"seen": {BREAST: 0.9, GENITALIA: 0.4}}, Action.review, GENITALIA),
        # What they denied hides nothing else.
        ([(BREAST, 0.9), (FEET, 0.9)], {BREAST: False}, {}, Action.label, "rule bare holds"),
    ],
)
def test_what_they_were_not_shown_is_decided_by_the_policy(
    rules: Policy, tags: list[tuple[str, float]], said: dict[str, bool], shown: Any, action: Action, news: str
) -> None:
    heeded = heard(rules, seen(*tags), ModerationHistory(said, judged(Action.allow, **shown)))
    assert heeded is not None
    assert not heeded.holds
    assert heeded.news.startswith(news)
    assert heeded.verdict.action is action
    assert (heeded.verdict.review is not None) == (action is Action.review)
    assert MODERATOR not in [rule.id for rule in heeded.verdict.rules]


def test_their_block_is_never_weakened_by_news(rules: Policy) -> None:
    heeded = heard(rules, seen((BREAST, 0.9), (FEET, 0.9)), ModerationHistory({}, judged(Action.block)))
    assert heeded is not None
    assert (heeded.holds, heeded.verdict.action) == (False, Action.block)
    assert [rule.id for rule in heeded.verdict.rules] == ["nude", "bare", MODERATOR]
    assert heeded.verdict.review is not None  # and somebody looks at what is new


def test_a_label_they_named_is_no_news(rules: Policy) -> None:
    word = ModerationHistory({BUTTOCKS: True, GENITALIA: False}, judged(Action.allow))
    heeded = heard(rules, seen((BREAST, 0.9), (BUTTOCKS, 0.9), (GENITALIA, 0.9)), word)
    assert heeded is not None
    assert heeded.holds
    assert names(heeded) == [BREAST, BUTTOCKS]


def test_an_entry_of_a_list_cannot_be_denied(tmp_path: Path) -> None:
    labels = {"nudity": {"threshold": 0.5}, "hash": {"threshold": 0.5}}
    listed = policy(tmp_path, labels=labels, rules=[rule("listed", "hash.listed", action="block")])
    found = Perception((Tag("hash.known.listed", "hash", 1.0, None, 0, "list:x"),), (), ())
    word = ModerationHistory(
        {"hash.known.listed": False}, judged(Action.allow, was=Action.allow, rules=frozenset(), seen={})
    )
    heeded = heard(listed, found, word)
    assert heeded is not None
    assert (heeded.verdict.action, names(heeded), heeded.removed) == (Action.block, ["hash.known.listed"], ())
