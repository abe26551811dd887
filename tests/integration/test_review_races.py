"""Two moderators, or a moderator and the platform, at the same time: one of them is told that it came too late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from fastapi.testclient import TestClient

from assent.core.errors import CaseClosed
from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.review.decide import ReviewInput, decide_case
from assent.worker.jobs import decide_event
from tests.events import decision, is_anybody_locked_out, rows, store
from tests.integration.album import Album
from tests.integration.desk import corrections, open_cases, waiting_case
from tests.waiting import until


def test_of_two_moderators_the_second_gets_409(desk: Album, moderator: TestClient, database_url: str) -> None:
    case = waiting_case(desk, moderator)
    with ThreadPoolExecutor(1) as other, psycopg.connect(database_url) as first:
        decide_case(first, desk.keys, "first", case, ReviewInput("block", add=("text.code",)))
        body = {"action": "allow", "remove": ["text.code"]}
        second = other.submit(moderator.post, f"/v1/reviews/{case}", json=body)
        until(lambda: is_anybody_locked_out(desk.bench.pool), "the second moderator waits")
        first.commit()
        answer = second.result(timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (409, "case_closed")
    assert answer.json()["detail"] == "first decided it already: block"
    assert decision(desk.bench, desk.keys, "group")["action"] == "block"
    assert corrections(desk) == [("group", "text.code", True, "first")]
    assert desk.leaves("media.reviewed") == 1


def test_twenty_at_once_make_one_decision(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    with ThreadPoolExecutor(20) as many:
        calls = [many.submit(moderator.post, f"/v1/reviews/{case}", json={"action": "limit"}) for _ in range(20)]
        said = sorted(call.result(timeout=60).status_code for call in calls)
    assert said == [200, *[409] * 19]
    assert rows(desk.bench, "SELECT revision FROM decision") == [(2,)]
    assert desk.leaves("media.reviewed") == 1


@pytest.mark.parametrize("type_", ["media.updated", "media.deleted"])
def test_what_happened_to_the_picture_meanwhile_is_said(desk: Album, moderator: TestClient, type_: str) -> None:
    case = waiting_case(desk, moderator)
    again = store(desk.bench, desk.keys, MediaRef("group", None), desk.photo + b"\0", type=type_, revision=2)
    decide_event(desk.bench, "default", again)
    answer = moderator.post(f"/v1/reviews/{case}", json={"action": "allow", "add": ["text.code"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "case_closed")
    assert "decided anew or deleted" in answer.json()["detail"]
    assert corrections(desk) == []
    if type_ == "media.updated":
        (new,) = open_cases(moderator)
        assert new["id"] != str(case)
        assert moderator.post(f"/v1/reviews/{new['id']}", json={"action": "allow"}).status_code == 200


def test_a_worker_that_decides_anew_waits_for_the_moderator(
    desk: Album, moderator: TestClient, database_url: str
) -> None:
    case = waiting_case(desk, moderator)
    again = store(desk.bench, desk.keys, MediaRef("group", None), desk.photo, type="media.updated", revision=2)
    with ThreadPoolExecutor(1) as other, psycopg.connect(database_url) as first:
        decide_case(first, desk.keys, "first", case, ReviewInput("allow"))
        worker = other.submit(decide_event, desk.bench, "default", again)
        until(lambda: is_anybody_locked_out(desk.bench.pool), "the worker waits")
        first.commit()
        worker.result(timeout=30)
    assert decision(desk.bench, desk.keys, "group")["revision"] == 3
    assert decision(desk.bench, desk.keys, "group")["action"] == "allow"  # the same file: their word holds
    assert open_cases(moderator) == []
    with pytest.raises(CaseClosed, match="first decided it already"), transaction(desk.bench.pool) as conn:
        decide_case(conn, desk.keys, "second", case, ReviewInput("block"))
