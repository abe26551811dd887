"""An act stands as long as a decision wants it: a moderator's reversal, an edit or a deletion takes it back there."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from assent.core.values import Action, ReviewQueue
from assent.db.pool import transaction
from assent.review.decide import ReviewInput, correct, decide_case
from assent.review.undo import undo
from tests.acting import Acting
from tests.events import leaves, rows
from tests.platform_api import Api, Fault
from tests.web import Answer

MEDIA = "status/9001/55"
HOLD = timedelta(seconds=30)


def reported(acting: Acting, queue: ReviewQueue | None = None) -> None:
    acting.decide("social", MEDIA, ["report"], queue=queue)
    acting.settle()


def moderate(acting: Acting, action: str, hold: timedelta = timedelta()) -> UUID:
    """A moderator's decision on the case that waits."""
    ((case,),) = rows(acting.pool, "SELECT id FROM review_case WHERE closed_at IS NULL")
    with transaction(acting.pool) as conn:
        decide_case(conn, acting.keys, "cli", case, ReviewInput(action, hold=hold))  # type: ignore[arg-type]
    return UUID(str(case))


def overrule(acting: Acting, action: str) -> None:
    """A moderator's decision without a case."""
    with transaction(acting.pool) as conn:
        correct(conn, acting.keys, "cli", acting.item("social", MEDIA), ReviewInput(action))  # type: ignore[arg-type]
    acting.settle()


def resolved(api: Api) -> list[bool]:
    return [report["action_taken"] for report in api.reports]


@pytest.mark.parametrize(("action", "taken_back"), [("allow", True), ("label", False), ("limit", False)])
def test_a_moderators_reversal_takes_it_back(acting: Acting, api: Api, action: str, taken_back: bool) -> None:
    reported(acting)
    overrule(acting, action)
    assert resolved(api) == [taken_back]


def test_what_never_left_is_taken_back_without_a_call(acting: Acting, api: Api) -> None:
    acting.decide("social", MEDIA, ["report"])
    overrule(acting, "allow")
    assert (acting.states(), api.asked) == (["undone"], [])


def test_a_post_that_is_deleted_before_the_call_is_not_reported(acting: Acting, api: Api) -> None:
    acting.decide("social", MEDIA, ["report"])
    acting.delete("social", MEDIA)
    acting.settle()
    assert (acting.rows(), api.asked) == ([], [])


def test_a_moderator_who_changes_their_mind_has_it_done_again(acting: Acting, api: Api) -> None:
    reported(acting)
    overrule(acting, "allow")
    overrule(acting, "block")
    assert (acting.states(), resolved(api)) == (["done"], [True, False])
    marks = {report["comment"].rpartition("[")[2] for report in api.reports}
    assert len(marks) == 2  # so that neither is taken for the other


def test_a_held_reversal_calls_nothing_before_the_hold_is_over(acting: Acting, api: Api) -> None:
    reported(acting, ReviewQueue())
    moderate(acting, "allow", HOLD)
    assert acting.step() == []
    acting.now += timedelta(seconds=20)
    assert acting.step() == []
    assert resolved(api) == [False]
    acting.now += HOLD
    acting.settle()
    assert resolved(api) == [True]


def test_an_undone_reversal_calls_nothing_at_all(acting: Acting, api: Api) -> None:
    reported(acting, ReviewQueue())
    case = moderate(acting, "allow", HOLD)
    with transaction(acting.pool) as conn:
        undo(conn, acting.keys, "cli", case)
    acting.now += 2 * HOLD
    acting.settle()
    assert (acting.states(), resolved(api), len(api.asked)) == (["done"], [False], 1)


def test_an_act_that_is_done_within_the_hold_is_undone_after_it(acting: Acting, api: Api) -> None:
    acting.decide("social", MEDIA, ["report"], queue=ReviewQueue())
    moderate(acting, "allow", HOLD)  # before the worker came to it
    acting.settle()
    assert acting.states() == ["undone"]
    assert resolved(api) in ([], [True])


def test_a_deleted_post_leaves_no_report_open_and_no_row(acting: Acting, api: Api) -> None:
    reported(acting)
    acting.delete("social", MEDIA)
    acting.settle()
    assert (resolved(api), acting.rows()) == ([True], [])
    assert len(leaves(acting.pool, "action.undone")) == 1


def test_an_edit_that_is_harmless_takes_it_back_and_one_that_is_not_leaves_it(acting: Acting, api: Api) -> None:
    reported(acting)
    reported(acting)
    assert resolved(api) == [False]
    acting.decide("social", MEDIA, [], Action.label)
    acting.settle()
    assert resolved(api) == [True]


def test_one_that_is_withdrawn_while_its_call_is_under_way_is_undone_next(acting: Acting, api: Api) -> None:
    def reverse() -> None:
        acting.decide("social", MEDIA, [], Action.allow)

    report = b'{"id": "1"}'
    api.faults = iter([Fault(Answer(200, body=report), took_effect=True, before=reverse)])
    acting.decide("social", MEDIA, ["report"])
    acting.settle()
    assert (acting.states(), resolved(api)) == (["undone"], [True])


def test_what_cannot_be_undone_is_noted(acting: Acting, api: Api) -> None:
    reported(acting)
    api.faults = iter([Fault(Answer(422, body=b"{}"))])
    overrule(acting, "allow")
    (row,) = acting.rows()
    assert row["state"] == "cannot-undo"
    assert row["last_error"].endswith("/resolve answered HTTP 422")
    (leaf,) = leaves(acting.pool, "action.kept")
    assert leaf["act"] == "report"
    acting.decide("social", MEDIA, ["report"])  # it is done still
    acting.settle()
    assert (acting.states(), len(api.reports)) == (["done"], 1)
