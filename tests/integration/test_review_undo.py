"""A moderator decision is stored at once and sent late; undone before that, it leaves everything as it was."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.http.api_keys import create_key
from assent.outbox import deliver
from assent.worker.jobs import decide_event
from tests.events import decision, names, rows, store
from tests.integration.album import Album
from tests.integration.desk import corrections, decide, key_id, open_cases, pass_time, undo, waiting_case


def lasting(document: dict[str, Any]) -> dict[str, Any]:
    """What an undo restores: all but the revision and its leaf."""
    return {name: value for name, value in document.items() if name not in ("revision", "audit")}


def found(desk: Album, label: str) -> list[Any]:
    return rows(desk.bench, "SELECT action FROM media_label WHERE label = %s", label)


def test_it_is_stored_at_once_and_sent_late(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    desk.deliver()
    decide(moderator, case)
    assert decision(desk.bench, desk.keys, "group")["action"] == "block"
    assert desk.deliver() == []  # the queue knows nothing of it, and a job that was lost would wait
    with transaction(desk.bench.pool) as conn:
        assert deliver.queue_due(conn) == 0
    pass_time(desk, 31)
    with transaction(desk.bench.pool) as conn:
        assert deliver.queue_due(conn) == 1
    (told,) = desk.deliver()
    assert (told["type"], told["data"]["action"]) == ("media.reviewed", "block")
    assert undo(moderator, case) == (409, "undo_over")


def test_undone_it_leaves_everything_as_it_was(desk: Album, moderator: TestClient) -> None:
    desk.opt_in("alice", "second")
    case = waiting_case(desk, moderator)
    desk.deliver()
    label = names(decision(desk.bench, desk.keys, "group"))[0]
    with transaction(desk.bench.pool) as conn:
        conn.execute(
            "INSERT INTO correction (tenant, source, media_id, media_sha256, label, holds, by, at)"
            " SELECT tenant, source, media_id, document -> 'media' ->> 'sha256', %s, true, 'earlier', '2026-01-01Z'"
            " FROM decision",
            [label],
        )
    everything = "SELECT media_id, label, holds, by, at FROM correction"
    views = "SELECT action, document::text, audiences, perceptions FROM decision"
    before = decision(desk.bench, desk.keys, "group")
    stored, searched = rows(desk.bench, views), sorted(rows(desk.bench, "SELECT label, action FROM media_label"))
    corrected = rows(desk.bench, everything)
    decide(moderator, case, remove=[label])
    assert found(desk, "nudity.partial.belly") == [("block",)]
    status, claim = undo(moderator, case)
    assert (status, claim["case"]) == (200, str(case))
    assert lasting(decision(desk.bench, desk.keys, "group")) == lasting(before)
    assert rows(desk.bench, views) == stored
    assert rows(desk.bench, everything) == corrected
    assert sorted(rows(desk.bench, "SELECT label, action FROM media_label")) == searched
    (told,) = desk.deliver()  # only what holds again; the undone revision never leaves
    assert (told["type"], told["data"]["action"], told["data"]["revision"]) == ("media.reviewed", "review", 3)
    assert told["data"] == decision(desk.bench, desk.keys, "group")
    (open_case,) = open_cases(moderator)
    assert (open_case["id"], open_case["closed_by"], open_case["claimed_by"]) == (str(case), None, key_id(moderator))
    assert (desk.leaves("media.reviewed"), desk.leaves("review.undone")) == (1, 1)
    assert undo(moderator, case) == (409, "undo_over")
    assert decide(moderator, case, action="allow", claim=claim["claim"])["revision"] == 4


def test_whoever_was_told_nothing_before_hears_of_the_whole_decision(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    decide(moderator, case)
    assert undo(moderator, case)[0] == 200
    (told,) = desk.deliver()
    assert (told["type"], told["data"]["action"]) == ("media.tagged", "review")


def test_only_whoever_decided_may_undo_it(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    decide(moderator, case)
    with transaction(desk.bench.pool) as conn:
        other = {"Authorization": f"Bearer {create_key(conn, desk.keys, ('review',))}"}
    assert undo(moderator, case, headers=other) == (409, "undo_over")
    assert undo(moderator, UUID(int=0)) == (404, "not_found")
    assert undo(moderator, case)[0] == 200


def test_a_picture_decided_anew_stays_so(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    decide(moderator, case)
    decide_event(
        desk.bench, "default", store(desk.bench, desk.keys, MediaRef("group", None), b"no picture", revision=2)
    )
    assert undo(moderator, case) == (409, "undo_over")
    assert decision(desk.bench, desk.keys, "group")["error"]["code"] == "media_unsupported"
    (open_case,) = open_cases(moderator)
    assert open_case["id"] != str(case)


def test_a_consent_withdrawn_meanwhile_stays_withdrawn(desk: Album, moderator: TestClient) -> None:
    consent = desk.opt_in("alice", "second")
    desk.wait("alice", 1)
    assert desk.post(author="alice") == {"alice": "second"}
    ((case,),) = rows(desk.bench, "SELECT id FROM review_case")
    decide(moderator, case)
    desk.withdraw(consent)
    desk.work()
    assert undo(moderator, case)[0] == 200
    assert desk.named() == {}
    assert decision(desk.bench, desk.keys, "group")["action"] == "review"


def test_of_a_deleted_picture_nothing_is_kept_for_an_undo(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    decide(moderator, case)
    event = store(desk.bench, desk.keys, MediaRef("group", None), type="media.deleted", revision=2)
    decide_event(desk.bench, "default", event)
    assert rows(desk.bench, "SELECT FROM moderator_undo") == []
    assert undo(moderator, case) == (409, "undo_over")
    assert corrections(desk) == []


def test_a_case_about_nothing_that_could_be_read_opens_again(desk: Album, moderator: TestClient) -> None:
    event = store(desk.bench, desk.keys, MediaRef("lost", None), desk.photo)
    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE event SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    decide_event(desk.bench, "default", event)
    (case,) = open_cases(moderator)
    decide(moderator, case["id"], add=[])
    assert undo(moderator, case["id"])[0] == 200
    assert [one["id"] for one in open_cases(moderator)] == [case["id"]]
    assert desk.leaves("review.undone") == 1
