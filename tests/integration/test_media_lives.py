"""A media item is posted, changed, deleted and posted again: what arrived last holds, whatever lanes and workers do."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from assent.core.errors import BadRequest
from assent.core.values import Event, EventType, MediaItem, MediaRef
from assent.db.pool import Conn, transaction
from assent.db.queue import Lane
from assent.decisions import store as decision_store
from assent.decisions.assemble import assemble
from assent.decisions.media_items import MediaKey
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.tenants import init_tenant
from assent.worker import jobs
from assent.worker.jobs import MAX_TRIES, WorkerContext, decide_event, deliver_message
from assent.worker.maintenance import purge_expired
from tests.authority import move_endpoints
from tests.events import everything_bytes, leaves, rows
from tests.waiting import until
from tests.web import Answer, Web


class Poster:
    """A platform that posts one picture, and the worker behind it."""

    def __init__(self, bench: WorkerContext, keys: TenantKeys, picture: bytes, source: str = "platform") -> None:
        self.bench, self.keys, self.picture, self.source = bench, keys, picture, source

    def send(self, kind: EventType = "media.created", lane: Lane = "live", media: str = "cat", **said: Any) -> UUID:
        """Sends an event, which is acknowledged when this returns."""
        event_id = uuid4()
        event = Event(kind, (MediaRef(media, None),), "public", "post", **said)
        with transaction(self.bench.pool) as conn:
            uploads = [] if event.type == "media.deleted" else [self.picture]
            store_event(conn, self.keys, event_id, event, Origin(self.source, lane), uploads)
        return event_id

    def work(self, *events: UUID) -> None:
        for event_id in events:
            decide_event(self.bench, "default", event_id)

    def revision(self, media: str = "cat") -> int | None:
        with transaction(self.bench.pool) as conn:
            decision = assemble(conn, self.keys, MediaItem(self.source, media))
        return decision.revision if decision else None

    def deliver(self) -> list[int]:
        """Sends what waits; the revisions that were sent."""
        waiting = rows(self.bench, "SELECT id, revision FROM outbox WHERE state = 'waiting' ORDER BY created_at")
        for message, _ in waiting:
            deliver_message(self.bench, "default", message)
        return [revision for _, revision in waiting]


@pytest.fixture
def poster(bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes) -> Poster:
    with transaction(bench.pool) as conn:
        move_endpoints(conn, keys, f"{web.url}/hooks")
    return Poster(bench, keys, cat)


def test_an_id_that_was_deleted_comes_back_again_and_again(poster: Poster, web: Web) -> None:
    for life in range(1, 4):
        poster.work(poster.send())
        assert poster.revision() == life
        assert poster.deliver() == [life]
        poster.send("media.deleted")
        assert poster.revision() is None
    assert len(web.received) == 3
    assert rows(poster.bench, "SELECT reason FROM review_case") == []


def test_revisions_go_on_from_the_highest_that_was_told(poster: Poster) -> None:
    poster.work(poster.send(), poster.send("media.updated"), poster.send("media.updated"))
    poster.send("media.deleted")
    poster.work(poster.send())
    assert poster.revision() == 4


def test_of_what_was_deleted_a_mac_and_the_highest_revision_stay(poster: Poster) -> None:
    event = poster.send(media="secret-name-of-the-picture")
    poster.work(event, poster.send("media.updated", media="secret-name-of-the-picture"))
    poster.deliver()
    poster.send("media.deleted", media="secret-name-of-the-picture")
    for table in ("decision", "match", "outbox", "correction", "shadow", "kept_picture", "upload"):
        assert rows(poster.bench, f"SELECT * FROM {table}") == [], table  # noqa: S608
    with transaction(poster.bench.pool) as conn:
        conn.execute("UPDATE media_item SET changed_at = now() - interval '8 days'")
        conn.execute("UPDATE event SET received_at = now() - interval '400 days'")
        conn.execute(  # an enrolment waits, which holds up nothing
            "INSERT INTO event (tenant, id, source, lane, sealed)"
            " VALUES ('default', gen_random_uuid(), 'enrolment', 'interactive', '')"
        )
    purge_expired(poster.bench.settings, poster.bench.pool, poster.bench.keystore)
    ((_, mac, *order, _),) = rows(poster.bench, "SELECT * FROM media_item")
    assert len(mac) == 32
    assert order == [2, 0, 0, 0, False, None]
    assert b"secret-name-of-the-picture" not in everything_bytes(poster.bench)


@pytest.mark.parametrize("lanes", [("backfill", "live"), ("live", "backfill"), ("live", "live")])
def test_a_deletion_overtakes_the_creation(poster: Poster, lanes: tuple[Lane, Lane]) -> None:
    created = poster.send(lane=lanes[0])
    poster.send("media.deleted", lane=lanes[1])
    poster.work(created)
    assert poster.revision() is None
    assert poster.deliver() == []
    assert [leaf["action"] for leaf in leaves(poster.bench, "media.superseded")] == ["media.superseded"]


def test_a_deletion_while_the_picture_is_fetched(poster: Poster, web: Web) -> None:
    fetching, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        fetching.set()
        go_on.wait(20)

    web.files["/cat.png"] = Answer(200, body=poster.picture, before=wait)
    event_id, event = uuid4(), Event("media.created", (MediaRef("cat", f"{web.url}/cat.png"),), "public", "post")
    with transaction(poster.bench.pool) as conn:
        store_event(conn, poster.keys, event_id, event, Origin("platform", "live"))
    worker = threading.Thread(target=poster.work, args=[event_id])
    worker.start()
    try:
        assert fetching.wait(20)
        poster.send("media.deleted")
        assert poster.revision() is None
    finally:
        go_on.set()
        worker.join(20)
    assert poster.revision() is None
    assert poster.deliver() == []


def test_a_deletion_waits_for_what_is_being_sent(poster: Poster, web: Web) -> None:
    poster.work(poster.send())
    sending, go_on, deleted = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        sending.set()
        go_on.wait(20)

    def delete() -> None:
        poster.send("media.deleted")
        deleted.set()

    web.answers = iter([Answer(before=wait)])
    threads = [threading.Thread(target=poster.deliver), threading.Thread(target=delete)]
    threads[0].start()
    assert sending.wait(20)
    threads[1].start()
    try:
        until(lambda: bool(rows(poster.bench, "SELECT FROM pg_locks WHERE NOT granted")), "the deletion waits", 20)
        assert not deleted.is_set()
    finally:
        go_on.set()
        for thread in threads:
            thread.join(20)
    assert deleted.is_set()
    assert len(web.received) == 1


def test_deletions_that_wait_leave_connections_to_others(poster: Poster, web: Web, client: TestClient) -> None:
    image = Poster(poster.bench, poster.keys, poster.picture, "api")
    image.work(image.send())
    sending, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        sending.set()
        go_on.wait(20)

    web.answers = iter([Answer(before=wait)])
    sender = threading.Thread(target=image.deliver)
    sender.start()
    assert sending.wait(20)
    with ThreadPoolExecutor(6) as threads:
        answers = [threads.submit(client.delete, "/v1/media/cat") for _ in range(6)]
        try:
            until(lambda: sum(answer.done() for answer in answers) == 3, "three are sent away", 20)
            assert client.get("/v1/media/dog").status_code == 404
        finally:
            go_on.set()
            sender.join(20)
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [204] * 3 + [503] * 3
    assert client.delete("/v1/media/cat").status_code == 204


def test_what_is_deleted_twice_is_deleted_whatever_two_clocks_say(poster: Poster) -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    poster.send("media.deleted", at=noon)
    poster.work(poster.send())
    assert poster.revision() == 1
    poster.send("media.deleted", at=noon - timedelta(seconds=1))
    assert poster.revision() is None


def test_the_picture_of_a_deleted_item_is_not_fetched(poster: Poster, web: Web) -> None:
    event_id, event = uuid4(), Event("media.created", (MediaRef("cat", f"{web.url}/cat.png"),), "public", "post")
    with transaction(poster.bench.pool) as conn:
        store_event(conn, poster.keys, event_id, event, Origin("platform", "live"))
    poster.send("media.deleted")
    poster.work(event_id)
    assert "/cat.png" not in web.asked
    assert len(leaves(poster.bench, "media.superseded")) == 1


def test_no_webhook_has_the_name_of_the_apis_own_source(poster: Poster) -> None:
    with pytest.raises(BadRequest, match="choose another"):
        init_tenant(poster.bench.pool, poster.bench.keystore, "other", "api", None)


def test_events_of_one_item_take_effect_in_the_order_of_their_arrival(poster: Poster) -> None:
    first, second = poster.send(lane="backfill", author="first"), poster.send("media.updated", author="second")
    poster.work(second, first)
    assert poster.revision() == 1
    assert rows(poster.bench, "SELECT event_id FROM decision") == [(second,)]


def test_a_lower_stated_revision_changes_nothing_and_a_higher_one_does(poster: Poster) -> None:
    higher, lower = poster.send(revision=5), poster.send("media.updated", revision=4)
    poster.work(lower, higher)
    assert rows(poster.bench, "SELECT event_id FROM decision") == [(higher,)]
    poster.work(poster.send("media.updated", revision=4))
    assert poster.revision() == 1
    poster.send("media.deleted", revision=3)
    assert poster.revision() == 1
    poster.send("media.deleted")
    assert poster.revision() is None
    poster.work(poster.send(revision=1))  # the post was made anew
    assert poster.revision() == 2


def test_what_arrived_last_holds_where_it_states_no_revision(poster: Poster) -> None:
    higher, last = poster.send(revision=6, lane="backfill"), poster.send("media.updated")
    poster.work(last, higher)
    assert rows(poster.bench, "SELECT event_id FROM decision") == [(last,)]
    poster.work(poster.send("media.updated", revision=5))  # lower than one that was stated, though never decided
    assert rows(poster.bench, "SELECT event_id FROM decision") == [(last,)]


def test_a_revision_that_one_source_states_binds_no_other(poster: Poster, keys: TenantKeys) -> None:
    other = Poster(poster.bench, keys, poster.picture, "another")
    poster.work(poster.send(revision=5))
    other.work(other.send(revision=1))
    assert (poster.revision(), other.revision()) == (1, 1)


def test_an_image_of_the_api_is_deleted_by_the_api_and_a_webhooks_is_not(
    poster: Poster, bench: WorkerContext, keys: TenantKeys, client: TestClient, cat: bytes
) -> None:
    image = Poster(bench, keys, cat, "api")
    poster.work(poster.send(media="a/b"))
    image.work(image.send(media="a/b"))
    assert client.delete("/v1/media/a%2Fb").status_code == 204
    assert (poster.revision("a/b"), image.revision("a/b")) == (1, None)
    assert client.delete("/v1/media-item?media_id=a/b").status_code == 204  # again
    image.work(image.send(media="a/b"))
    assert image.revision("a/b") == 2


def test_an_id_that_was_deleted_before_the_order_was_kept_comes_back(poster: Poster, web: Web) -> None:
    with transaction(poster.bench.pool) as conn:  # of before: sent messages stayed, and no tombstone
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, state)"
            " VALUES ('default', gen_random_uuid(), 'platform', 'media.tagged', 'platform', 'cat', 3, 'delivered')"
        )
    poster.work(poster.send())
    assert (poster.revision(), poster.deliver()) == (4, [4])
    poster.send("media.deleted")
    poster.work(poster.send())
    assert poster.revision() == 5


@pytest.mark.parametrize(
    ("deleted", "created", "decided"),
    [
        ({"revision": 2}, {"revision": 1}, False),
        ({"revision": 2}, {"revision": 2}, False),
        ({"revision": 2}, {"revision": 3}, True),
        ({"at": 60}, {"at": 0}, False),
        ({"at": 60}, {"at": 90}, True),
        ({"at": 10**9}, {"at": 10**8}, True),  # the platform's clock is years ahead
        ({}, {}, True),
    ],
)
def test_a_deletion_that_arrives_first_holds_for_what_was_before_it(
    poster: Poster, deleted: dict[str, Any], created: dict[str, Any], decided: bool
) -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    for said in (deleted, created):
        if "at" in said:
            said["at"] = noon + timedelta(seconds=said["at"])
    poster.send("media.deleted", **deleted)
    poster.work(poster.send(**created))
    assert poster.revision() == (1 if decided else None)


def test_ids_belong_to_the_source_that_brought_them(
    poster: Poster, bench: WorkerContext, keys: TenantKeys, client: TestClient, cat: bytes
) -> None:
    poster.work(poster.send())
    other = Poster(bench, keys, cat, "api")
    other.work(other.send())
    assert (poster.revision(), other.revision()) == (1, 1)
    assert client.get("/v1/media/cat").json()["code"] == "media_ambiguous"
    assert client.get("/v1/media/cat?source=api").json()["source"] == "api"
    other.send("media.deleted")
    assert client.get("/v1/media/cat").json()["source"] == "platform"


def test_a_key_for_images_changes_no_decision_of_a_webhook(
    poster: Poster, client: TestClient, bench: WorkerContext
) -> None:
    poster.work(poster.send())
    with transaction(bench.pool) as conn:
        conn.execute(
            "INSERT INTO review_case (tenant, id, source, media_id, revision, reason)"
            " VALUES ('default', gen_random_uuid(), 'platform', 'cat', 1, 'a rule')"
        )
    answer = client.post("/v1/images?wait=0", files={"image": poster.picture}, data={"event": '{"id": "cat"}'})
    assert answer.json()["media"] == "/v1/media/cat?source=api"
    poster.work(UUID(answer.json()["event"]))
    assert poster.revision() == 1
    assert rows(bench, "SELECT closed_at FROM review_case WHERE source = 'platform'") == [(None,)]


def test_a_failure_that_nobody_foresaw_ends_as_a_case(
    poster: Poster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(jobs, "analyse", fail)
    event_id = poster.send()
    for _ in range(MAX_TRIES - 1):
        with pytest.raises(ZeroDivisionError):
            poster.work(event_id)
        assert rows(poster.bench, "SELECT reason FROM review_case") == []
    poster.work(event_id)
    assert capsys.readouterr().out.count("kind=ZeroDivisionError") == MAX_TRIES
    assert rows(poster.bench, "SELECT media_id, reason FROM review_case") == [("cat", "unexpected_failure")]
    assert rows(poster.bench, "SELECT done_at IS NOT NULL FROM event") == [(True,)]


def test_a_failure_to_record_ends_as_a_case_too(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(decision_store, "_insert_decision", fail)
    event_id = poster.send()
    with transaction(poster.bench.pool) as conn:
        conn.execute("UPDATE event SET tries = %s", [MAX_TRIES - 1])
    poster.work(event_id)
    assert rows(poster.bench, "SELECT media_id, reason FROM review_case") == [
        (f"event {event_id}", "unexpected_failure")
    ]
    assert rows(poster.bench, "SELECT done_at IS NOT NULL FROM event") == [(True,)]


def test_a_delivery_ends_with_its_media_item(poster: Poster, web: Web) -> None:
    poster.work(poster.send())
    ((message,),) = rows(poster.bench, "SELECT id FROM outbox")
    poster.send("media.deleted")
    deliver_message(poster.bench, "default", message)
    assert web.received == []


def test_a_failure_that_cannot_be_recorded_skips_no_other_media_item(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = decision_store._insert_decision

    def fail(conn: Conn, media_key: MediaKey, *rest: Any) -> None:
        if media_key.n == 0:
            raise ZeroDivisionError
        insert(conn, media_key, *rest)

    monkeypatch.setattr(decision_store, "_insert_decision", fail)
    event_id, media = uuid4(), (MediaRef("cat", None), MediaRef("another", None))
    with transaction(poster.bench.pool) as conn:
        event = Event("media.created", media, "public", "post")
        store_event(conn, poster.keys, event_id, event, Origin("platform", "live"), [poster.picture] * 2)
        conn.execute("UPDATE event SET tries = %s", [MAX_TRIES - 1])
    poster.work(event_id)
    assert rows(poster.bench, "SELECT media_id FROM decision") == [("another",)]
    assert rows(poster.bench, "SELECT reason FROM review_case") == [("unexpected_failure",)]
