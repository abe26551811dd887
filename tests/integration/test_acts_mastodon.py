"""What a policy has done at Mastodon: reports, trends, and accounts where it names them."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs
from uuid import UUID

import pytest

from assent.core.values import Action
from assent.decisions.acts import PostRef
from assent.platforms.calls import ActTarget
from assent.platforms.mastodon_calls import MASTODON_ACTS
from tests.acting import Acting
from tests.events import leaves
from tests.platform_api import Api


def test_a_report_names_the_post_and_says_why(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/9001/55", ["report"])
    acting.settle()
    (report,) = api.reports
    assert (report["status_ids"], report["target_account"]) == (["9001"], {"id": "7"})
    assert report["comment"].startswith("Nudity in public posts\nhttp://127.0.0.1:")
    assert "/statuses/9001\n[assent " in report["comment"]
    assert acting.states() == ["done"]
    (leaf,) = leaves(acting.pool, "action.done")
    assert (leaf["source"], leaf["platform"], leaf["act"]) == ("social", "mastodon", "report")
    assert len(leaf["commitments"]) == 1  # what changed is sealed


def test_four_pictures_of_a_post_make_one_report_and_each_has_to_let_it_go(acting: Acting, api: Api) -> None:
    for n in range(4):
        acting.decide("social", f"status/9001/{n}", ["report"])
    acting.settle()
    assert len(api.reports) == len(acting.rows()) == 1
    for n in range(4):
        assert not api.reports[0]["action_taken"]
        acting.decide("social", f"status/9001/{n}", [], Action.allow)
        acting.settle()
    assert api.reports[0]["action_taken"]
    assert acting.states() == ["undone"]


def test_a_post_that_our_account_may_not_see_is_reported_by_its_link(acting: Acting, api: Api) -> None:
    api.invisible.add("9001")
    acting.decide("social", "status/9001/55", ["report"])
    acting.settle()
    (report,) = api.reports
    assert report["status_ids"] == []
    assert "/statuses/9001" in report["comment"]


def test_an_account_that_is_gone_is_a_failure_at_once(acting: Acting, api: Api) -> None:
    api.gone |= {"9001", "7"}
    acting.decide("social", "status/9001/55", ["report"])
    acting.settle()
    (row,) = acting.rows()
    assert (row["state"], row["last_error"], row["attempts"]) == ("failed", "the account is gone", 0)
    assert len(leaves(acting.pool, "action.failed")) == 1


def test_a_post_that_went_between_decision_and_call_is_reported_with_its_author(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/9/1", ["report", "reject-trend"])
    api.gone.add("9")
    acting.settle()
    ended = {row["act"]: row["state"] for row in acting.rows()}
    assert ended == {"report": "done", "reject-trend": "failed"}
    assert [(one["status_ids"], one["target_account"]) for one in api.reports] == [([], {"id": "7"})]


def test_an_avatar_is_reported_with_its_account(acting: Acting, api: Api) -> None:
    acting.decide("social", "account/12/avatar", ["report"])
    acting.settle()
    assert [(one["status_ids"], one["target_account"]["id"]) for one in api.reports] == [([], "12")]


def test_a_post_leaves_trends_and_comes_back(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/9001/55", ["reject-trend"], Action.limit)
    acting.settle()
    assert api.trends == {"9001": "reject"}
    acting.decide("social", "status/9001/55", [], Action.allow)
    acting.settle()
    assert api.trends == {"9001": "approve"}


@pytest.mark.parametrize(
    ("act", "state", "kind"),
    [
        ("account-sensitive", "sensitized", "sensitive"),
        ("account-silence", "silenced", "silence"),
        ("account-suspend", "suspended", "suspend"),
    ],
)
def test_an_account_is_acted_on_once_and_the_undo_frees_it(
    acting: Acting, api: Api, act: str, state: str, kind: str
) -> None:
    for n in range(3):
        acting.decide("social", f"status/{n}/1", [act])
        acting.settle()
    assert api.accounts["7"][state]
    assert api.strikes == [("7", kind)]
    for n in range(3):
        assert api.accounts["7"][state]
        acting.decide("social", f"status/{n}/1", [], Action.allow)
        acting.settle()
    assert not api.accounts["7"][state]


def test_an_account_does_not_come_back_because_its_posts_went(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/1/1", ["account-suspend"])
    acting.settle()
    acting.delete("social", "status/1/1")  # which a suspension does to posts
    acting.settle()
    assert api.accounts["7"]["suspended"]
    assert acting.rows() == []  # the log alone remembers what was deleted
    acting.decide("social", "status/2/1", ["account-suspend"])
    acting.settle()
    assert api.strikes == [("7", "suspend")]


def test_what_a_moderator_there_had_done_before_stays(acting: Acting, api: Api) -> None:
    api.accounts["7"] = {"id": "7", "suspended": True, "silenced": False, "sensitized": False}
    acting.decide("social", "status/1/1", ["account-suspend"])
    acting.settle()
    acting.decide("social", "status/1/1", [], Action.allow)
    acting.settle()
    assert api.accounts["7"]["suspended"]
    assert api.changed() == []


def test_limit_and_block_alone_touch_nothing(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/1/1", [], Action.block)
    acting.decide("social", "status/2/1", ["hide", "delete"], Action.block)  # of which Mastodon knows nothing
    acting.decide("social", "status/3/1", ["account-suspend"], Action.limit)  # weaker than the act needs
    acting.settle()
    assert (api.asked, acting.rows()) == ([], [])


def test_a_report_whose_reason_is_too_long_still_carries_our_id() -> None:
    post = PostRef(None, "7")
    target = ActTarget(UUID(int=1), "report", "s", "https://x", "m", "rule", "é" * 5000, post, datetime.now(UTC))
    (comment,) = parse_qs(next(MASTODON_ACTS.do(target)).body.decode())["comment"]
    assert len(comment) == 1000
    assert comment.endswith(f"\n[assent {target.mark}]")
