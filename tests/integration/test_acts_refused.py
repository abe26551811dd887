"""What a platform answers instead of doing it: it is tried again by the schedule, later, or never; and never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import repeat

import pytest

from assent.core.settings import AllowedHost
from assent.db.pool import transaction
from assent.outbox.actions import retry_actions
from assent.outbox.schedule import DELIVERY_SCHEDULE
from tests.acting import Acting
from tests.platform_api import Api, Fault
from tests.web import Answer, Web

HTML = Answer(200, {"content-type": "text/html"}, b"<!DOCTYPE html><title>Maintenance</title>")


def report(acting: Acting, media: str = "status/1/1") -> None:
    acting.decide("social", media, ["report"])


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(502, body=b"<html>"), HTML, Answer(raw=b""), Answer(raw=b"nonsense\r\n\r\n")]
)
@pytest.mark.parametrize("took_effect", [True, False])
def test_an_answer_that_tells_nothing_is_asked_about(
    acting: Acting, api: Api, answer: Answer, took_effect: bool
) -> None:
    api.faults = iter([Fault(answer, took_effect)])
    report(acting)
    acting.step()
    assert acting.rows()[0]["state"] == "intended"
    acting.settle()
    assert (acting.states(), len(api.reports)) == (["done"], 1)
    assert api.asked[1].startswith("GET /api/v1/admin/reports?")


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"null", b'"x"', b"[[1]]", b'{"id": []}', b'{"id": 1, "actions_summary": 5}']
)
def test_json_of_another_shape_is_no_outcome(acting: Acting, api: Api, body: bytes) -> None:
    api.faults = repeat(Fault(Answer(200, body=body)))
    report(acting)
    acting.decide("social", "status/2/1", ["account-silence"])
    acting.decide("forum", "post/3/1", ["hide"])
    acting.settle()
    ended = {row["act"]: row["state"] for row in acting.rows()}
    assert ended["account-silence"] == "failed"
    if b"actions_summary" not in body:
        assert ended["hide"] == "failed"
    if b'"id": 1' not in body:
        assert ended["report"] == "failed"
    api.faults = iter(())
    with transaction(acting.pool) as conn:
        retry_actions(conn, "default", None)
    acting.settle()
    assert acting.states() == ["done"] * 3


@pytest.mark.parametrize("took_effect", [True, False])
def test_the_report_is_found_among_hundreds(acting: Acting, api: Api, took_effect: bool) -> None:
    def crowd() -> None:
        for n in range(250):
            one = {"id": str(n + 2), "action_taken": False, "comment": "", "status_ids": []}
            api.reports.append({**one, "created_at": "2099-01-01T00:00:00Z", "target_account": {"id": "7"}})

    api.faults = iter([Fault(Answer(500), took_effect, before=crowd)])
    report(acting)
    acting.settle()
    assert acting.states() == ["done"]
    assert [one["status_ids"] for one in api.reports if one["status_ids"]] == [["1"]]
    assert len([line for line in api.asked if line.startswith("GET")]) == (3 if took_effect else 4)


@pytest.mark.parametrize("status", [400, 422, 410])
def test_a_refusal_of_the_request_itself_is_the_end(acting: Acting, api: Api, status: int) -> None:
    api.faults = iter([Fault(Answer(status, body=b'{"error": "This method requires an authenticated user"}'))])
    report(acting)
    acting.settle()
    assert (acting.states(), len(api.asked)) == (["failed"], 1)
    assert acting.rows()[0]["last_error"] == f"POST /api/v1/reports answered HTTP {status}"


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "3600"},
        {"x-ratelimit-reset": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
    ],
)
def test_429_leaves_the_whole_platform_alone_for_as_long(acting: Acting, api: Api, headers: dict[str, str]) -> None:
    api.faults = iter([Fault(Answer(429, headers))])
    report(acting)
    acting.step()
    report(acting, "status/2/1")
    acting.now += timedelta(minutes=50)
    (waiting,) = acting.step()
    assert waiting.because == "the platform asked for a pause"
    assert len(api.asked) == 1
    acting.settle()
    assert (acting.states(), len(api.reports)) == (["done", "done"], 2)


def test_the_last_call_of_an_allowance_is_followed_by_none(acting: Acting, api: Api) -> None:
    reset = (acting.now + timedelta(minutes=5)).isoformat()
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    api.faults = iter([Fault(Answer(200, headers, b'{"id": "1"}'), took_effect=True)])
    report(acting)
    acting.step()
    report(acting, "status/2/1")
    (waiting,) = acting.step()
    assert (acting.states(), waiting.because) == (["done", "intended"], "the platform asked for a pause")


def test_redirects_lead_nowhere(acting: Acting, api: Api, web: Web) -> None:
    moved = [Fault(Answer(status, {"location": f"{web.url}/api/v1/reports"})) for status in (301, 302, 307, 308)]
    api.faults = iter(moved)
    report(acting)
    acting.settle()
    assert (acting.states(), web.received) == (["done"], [])
    assert len(api.asked) == 5


def test_a_platform_at_a_private_address_is_never_called(acting: Acting, api: Api) -> None:
    acting.allow = ()
    report(acting)
    acting.settle()
    (row,) = acting.rows()
    assert (row["state"], api.asked) == ("failed", [])
    assert row["last_error"] == "fetch_refused: 127.0.0.1 resolves to an address that is not public"


def test_a_platform_that_is_down_for_three_days_gets_it_then(acting: Acting, api: Api) -> None:
    began, url = acting.now, acting.api.url
    acting.connect("social", "http://127.0.0.1:9")
    acting.allow = (api.allowed, AllowedHost.parse("127.0.0.1:9@127.0.0.0/8"))
    report(acting)
    while acting.now - began < timedelta(days=2, hours=20):
        acting.step()
        assert acting.states() == ["intended"]
        acting.now += timedelta(hours=2)
    acting.connect("social", url)
    acting.settle()
    assert (acting.states(), len(api.reports)) == (["done"], 1)


def test_the_schedule_has_an_end_and_a_beginning_again(acting: Acting, api: Api) -> None:
    api.faults = iter([Fault(Answer(401))] * len(DELIVERY_SCHEDULE))
    report(acting)
    acting.settle()
    assert (acting.states(), len(api.asked)) == (["failed"], len(DELIVERY_SCHEDULE))
    with transaction(acting.pool) as conn:
        assert len(retry_actions(conn, "default", None)) == 1
    acting.settle()
    assert (acting.states(), len(api.reports)) == (["done"], 1)
