"""An accepted event becomes exactly one decision, leaf and message, whatever its picture is."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from assent.audit import checkpoint, verify
from assent.core.errors import DecisionUnreadable, FetchFailed
from assent.core.settings import AllowedHost, Settings
from assent.core.values import Event, MediaRef
from assent.db.pool import transaction
from assent.decisions.assemble import assemble
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.worker.jobs import MAX_TRIES, WorkerContext, decide_event, deliver_message
from tests.authority import move_endpoints
from tests.events import SOURCE, decision, everything, leaves, media_item, rows, store
from tests.web import Web


def test_a_picture_behind_a_url(bench: WorkerContext, keys: TenantKeys, web: Web, six_people: bytes) -> None:
    web.files["/t1.jpg"] = six_people
    event_id = store(bench, keys, MediaRef("photo-1", f"{web.url}/t1.jpg"), author="somebody")
    decide_event(bench, "default", event_id)
    document = decision(bench, keys, "photo-1")
    assert (document["schema"], document["event"], document["revision"]) == ("assent.decision/1", str(event_id), 1)
    assert (document["source"], document["media"]["id"]) == (SOURCE, "photo-1")
    assert document["action"] == "allow"
    assert len(document["faces"]) == 6
    assert all(face["match"] is None for face in document["faces"])
    assert (document["media"]["width"], document["media"]["height"]) == (1280, 886)
    assert document["policy"]["sha256"] == bench.policies.default.ref.sha256


def test_a_server_that_fails_holds_up_only_its_own_picture(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    web.files["/cat.png"] = cat
    nobody = "http://127.0.0.1:1/cat.png"
    bench = replace(
        bench, stages=replace(bench.stages, allow=(web.allowed, AllowedHost.parse("127.0.0.1:1@127.0.0.0/8")))
    )
    media = (MediaRef("away", nobody), MediaRef("here", f"{web.url}/cat.png"))
    event_id = uuid4()
    with transaction(bench.pool) as conn:
        store_event(conn, keys, event_id, Event("media.created", media, "public", "post"), Origin(SOURCE, "live"))
    for _ in range(MAX_TRIES - 1):
        with pytest.raises(FetchFailed):
            decide_event(bench, "default", event_id)
        assert rows(bench, "SELECT media_id FROM decision") == [("here",)]
    decide_event(bench, "default", event_id)
    assert decision(bench, keys, "away")["error"]["code"] == "fetch_failed"


def test_running_the_job_twice_leaves_one_decision_and_one_message(
    bench: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    event_id = store(bench, keys, MediaRef("cat", None), cat)
    decide_event(bench, "default", event_id)
    with transaction(bench.pool) as conn:  # as if the worker had died before it could say so
        conn.execute("UPDATE event SET done_at = NULL")
    decide_event(bench, "default", event_id)
    assert rows(bench, "SELECT count(*) FROM decision") == [(1,)]
    messages = rows(bench, "SELECT type, source, media_id, revision, state FROM outbox")
    assert messages == [("media.tagged", SOURCE, "cat", 1, "waiting")]
    assert rows(bench, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'deliver'") == [(1,)]
    assert decision(bench, keys, "cat")["faces"] == []


def test_the_upload_is_gone_once_it_is_decided(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    event_id = store(bench, keys, MediaRef("cat", None), cat)
    assert rows(bench, "SELECT count(*) FROM upload") == [(1,)]
    decide_event(bench, "default", event_id)
    assert rows(bench, "SELECT count(*) FROM upload") == [(0,)]


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("/gone.jpg", None, "fetch_missing"),
        ("/text.jpg", b"this is no picture", "media_unsupported"),
        ("/empty.jpg", b"", "media_unsupported"),
    ],
)
def test_what_cannot_be_looked_at_goes_to_review(
    bench: WorkerContext, keys: TenantKeys, web: Web, path: str, content: bytes | None, code: str
) -> None:
    if content is not None:
        web.files[path] = content
    decide_event(bench, "default", store(bench, keys, MediaRef("bad", web.url + path)))
    document = decision(bench, keys, "bad")
    assert (document["action"], document["error"]["code"]) == ("review", code)
    assert rows(bench, "SELECT type FROM outbox") == [("media.failed",)]
    assert rows(bench, "SELECT media_id, reason FROM review_case") == [("bad", code)]


def test_a_truncated_picture_goes_to_review(bench: WorkerContext, keys: TenantKeys, six_people: bytes) -> None:
    decide_event(bench, "default", store(bench, keys, MediaRef("half", None), six_people[:60_000]))
    assert decision(bench, keys, "half")["error"]["code"] == "undecodable"


def test_a_private_address_is_refused_without_being_asked(bench: WorkerContext, keys: TenantKeys, web: Web) -> None:
    other = f"http://localhost:{web.port}/t1.jpg"  # the allow-list names 127.0.0.1, not this host
    decide_event(bench, "default", store(bench, keys, MediaRef("inside", other)))
    assert decision(bench, keys, "inside")["error"]["code"] == "fetch_refused"
    assert web.asked == []


def test_an_event_that_keeps_taking_the_worker_down_goes_to_review(
    bench: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    event_id = store(bench, keys, MediaRef("poison", None), cat)
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE event SET tries = %s", [MAX_TRIES])
    decide_event(bench, "default", event_id)
    assert decision(bench, keys, "poison")["error"]["code"] == "worker_lost"


def test_a_newer_revision_replaces_and_an_older_event_does_not(
    bench: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    for revision in (2, 3, 1):
        decide_event(bench, "default", store(bench, keys, MediaRef("cat", None), cat, revision=revision))
    assert decision(bench, keys, "cat")["revision"] == 2
    assert rows(bench, "SELECT revision, state FROM outbox ORDER BY revision") == [(1, "superseded"), (2, "waiting")]
    logged = rows(bench, "SELECT leaf FROM audit_leaf ORDER BY seq")
    assert [json.loads(leaf)["action"] for (leaf,) in logged][1:] == [
        "media.decided",
        "media.decided",
        "media.superseded",
    ]


def test_a_deleted_picture_leaves_no_decision(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    decide_event(bench, "default", store(bench, keys, MediaRef("cat", None), cat))
    decide_event(bench, "default", store(bench, keys, MediaRef("cat", None), type="media.deleted"))
    with transaction(bench.pool) as conn:
        assert assemble(conn, keys, media_item("cat")) is None
    assert rows(bench, "SELECT state FROM outbox") == []


def test_an_altered_event_is_noted_and_not_decided(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    event_id = store(bench, keys, MediaRef("cat", None), cat)
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE event SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    decide_event(bench, "default", event_id)
    assert rows(bench, "SELECT count(*) FROM decision") == [(0,)]
    ((leaf,),) = rows(bench, "SELECT leaf FROM audit_leaf ORDER BY seq DESC LIMIT 1")
    assert json.loads(leaf)["action"] == "event.unreadable"
    assert rows(bench, "SELECT count(*) FROM review_case WHERE reason = 'seal_broken'") == [(1,)]


def test_an_altered_upload_is_its_own_case_at_once(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    event_id = store(bench, keys, MediaRef("cat", None), cat)
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE upload SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    decide_event(bench, "default", event_id)
    assert decision(bench, keys, "cat")["error"]["code"] == "seal_broken"
    assert rows(bench, "SELECT reason FROM review_case WHERE media_id = 'cat'") == [("seal_broken",)]
    assert [leaf["kind"] for leaf in leaves(bench, "seal.broken")] == ["upload"]


def test_an_altered_row_that_ends_every_try_is_the_error_of_the_last(
    bench: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    decide_event(bench, "default", store(bench, keys, MediaRef("cat", None), cat))
    with transaction(bench.pool) as conn:  # as if a moderator had decided, and somebody cut out what
        conn.execute(
            "UPDATE decision SET document = jsonb_set(document::jsonb, '{reviewed}', '{\"action\": \"block\"}')"
        )
    event_id = store(bench, keys, MediaRef("same file", None), cat)
    with pytest.raises(DecisionUnreadable):
        decide_event(bench, "default", event_id)
    assert [leaf["kind"] for leaf in leaves(bench, "seal.broken")] == ["decide"]
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE event SET tries = %s WHERE id = %s", [MAX_TRIES - 1, event_id])
    decide_event(bench, "default", event_id)
    assert decision(bench, keys, "same file")["error"]["code"] == "decision_unreadable"
    assert rows(bench, "SELECT reason FROM review_case WHERE media_id = 'same file'") == [("decision_unreadable",)]


def test_the_message_is_signed_carries_the_leaf_and_is_accepted_once(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    from standardwebhooks import Webhook

    from assent.intake.accept import live_secrets

    with transaction(bench.pool) as conn:
        move_endpoints(conn, keys, f"{web.url}/hooks")
        (secret,) = live_secrets(conn, keys, "endpoint", "platform")
    decide_event(bench, "default", store(bench, keys, MediaRef("cat", None), cat))
    ((message,),) = rows(bench, "SELECT id FROM outbox")
    deliver_message(bench, "default", message)
    deliver_message(bench, "default", message)
    (posted,) = web.received
    said = Webhook(secret).verify(posted.body, posted.headers)
    assert said["type"] == "media.tagged"
    assert said["data"]["media"]["id"] == "cat"
    note = said["data"]["audit"]["checkpoint"]
    head = checkpoint.verify_checkpoint(note, checkpoint.verifier(keys))
    assert said["data"]["audit"]["leaf"] < head.size
    with transaction(bench.pool) as conn:
        assert verify.verify_database(conn, keys, note).witnessed == head.size


def test_nothing_of_the_event_lies_in_the_clear(
    bench: WorkerContext, keys: TenantKeys, web: Web, six_people: bytes, settings: Settings
) -> None:
    web.files["/hidden-path.jpg"] = six_people
    media = MediaRef("photo-1", f"{web.url}/hidden-path.jpg?token=hidden-token", "hidden-alt")
    event_id = store(bench, keys, media, author="hidden-author", connections=("hidden-friend",))
    decide_event(bench, "default", event_id)
    text = everything(bench)
    assert "photo-1" in text
    assert "hidden-" not in text
