"""What a rule has done at the platform itself: named one by one, and refused where it cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assent.core.errors import PolicyInvalid
from assent.core.values import Action, WantedAct
from assent.platforms.acting import ACTING
from assent.policy.acts import ACTS, stands
from assent.policy.decide import decide
from assent.policy.load import load_policy, stored_policy
from tests.unit.policy_files import PICTURE, POST, policy, rule, seen

ALWAYS = "faces.count >= 0"
REASON = {"en": "The account posts nothing else."}


def acting_rule(action: str, *acts: str, reason: dict[str, str] | None = None) -> dict[str, Any]:
    return {**rule("r", ALWAYS, action=action, act=list(acts)), **({"reason": reason} if reason else {})}


def test_acts_of_all_rules_that_hold_are_wanted_once(tmp_path: Path) -> None:
    rules = [
        {**rule("one", ALWAYS, action="limit", act=["report", "hide"]), "reason": {**REASON}},
        rule("two", "faces.count >= -1", action="block", act=["report", "delete"]),
        rule("never", "faces.count > 99", action="block", act=["account-silence"]) | {"reason": {**REASON}},
    ]
    verdict = decide(policy(tmp_path, rules=rules), POST, PICTURE, seen())
    words = REASON["en"]
    assert verdict.acts == (
        WantedAct("report", "one", words),
        WantedAct("hide", "one", words),
        WantedAct("delete", "two", ""),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (acting_rule("limit", "delete"), "asks for delete, which needs the action block or a stronger one"),
        (acting_rule("allow", "report"), "asks for report, which needs the action label or a stronger one"),
        (
            acting_rule("block", "account-suspend"),
            "acts on the author's account (account-suspend), and has no",
        ),
        (acting_rule("block", "report", "report"), "asks for the same act twice"),
        (acting_rule("block", "shadowban"), "rules.0.then.act"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy(tmp_path, rules=[given])
    assert said in refused.value.detail


def test_an_account_is_acted_on_where_the_rule_says_so_in_words(tmp_path: Path) -> None:
    loaded = policy(tmp_path, rules=[acting_rule("block", "account-suspend", reason=REASON)])
    assert stored_policy(loaded.canonical.decode()).ref == loaded.ref
    assert decide(loaded, POST, PICTURE, seen()).acts[0].words == REASON["en"]


def test_shipped_policies_act_on_nothing_and_are_what_they_were() -> None:
    default = load_policy()
    assert all(one.model.then.act == () for one in default.rules)
    assert b'"act"' not in default.canonical


@pytest.mark.parametrize("act", ACTS)
def test_every_platform_of_an_act_has_calls(act: str) -> None:
    entry = next(found for name, found in ACTS.items() if name == act)
    assert set(entry.platforms) <= set(ACTING)
    for platform in ACTING:
        assert stands(act, Action.block, platform) == (platform in entry.platforms)
    assert not stands(act, Action.allow, entry.platforms[0])
    assert not stands("shadowban", Action.block, entry.platforms[0])
