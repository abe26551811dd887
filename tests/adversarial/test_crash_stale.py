"""What a worker that was stopped past its lease still has in hand changes nothing: at exact places, in one process."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from assent.core.errors import DatabaseUnavailable
from assent.core.values import Event, EventType, MediaRef, Perception, Picture
from assent.db.pool import transaction
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.outbox import deliver
from assent.outbox.schedule import Outcome
from assent.worker.jobs import WorkerContext, decide_event
from assent.worker.queue import queue_app
from assent.worker.turns import Turns
from tests.events import SOURCE
from tests.waiting import until
from tests.web import Web


class _Paused:
    """A worker's bench whose perception waits until it is let go: as a stopped worker holds what it saw long ago."""

    def __init__(self, bench: WorkerContext, event_id: UUID) -> None:
        self._reached, self._go = threading.Event(), threading.Event()
        self._perceive = bench.stages.perceive
        own = partial(Turns(1).turn, 0)  # another worker's: nobody here waits for its turn with the models
        stopped = replace(bench, stages=replace(bench.stages, perceive=self._see, model_turn=own))
        self._thread = threading.Thread(target=decide_event, args=(stopped, "default", event_id))
        self._thread.start()
        until(self._reached.is_set, "the picture is being looked at")

    def _see(self, picture: Picture, comparable: bool) -> Perception:
        self._reached.set()
        assert self._go.wait(60)
        return self._perceive(picture, comparable)

    def let_go(self) -> None:
        self._go.set()
        self._thread.join(60)


def _event(bench: WorkerContext, keys: TenantKeys, kind: EventType, web: Web, revision: int = 1) -> UUID:
    event_id = uuid4()
    event = Event(kind, (MediaRef("cat", f"{web.url}/cat.png"),), "public", "post", revision=revision)
    with transaction(bench.pool) as conn:
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"))
    return event_id


def _state(bench: WorkerContext) -> dict[str, list[Any]]:
    questions = {
        "decisions": "SELECT media_id, revision, event_id FROM decision ORDER BY 1, 2",
        "messages": "SELECT media_id, revision, state FROM outbox ORDER BY 1, 2",
        "leaves": "SELECT size FROM audit_tree",
        "jobs": "SELECT task_name, count(*) FROM procrastinate_jobs GROUP BY 1 ORDER BY 1",
    }
    with transaction(bench.pool) as conn:
        return {name: conn.execute(question.encode()).fetchall() for name, question in questions.items()}


def test_what_another_worker_decided_is_not_decided_again(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    web.files["/cat.png"] = cat
    event_id = _event(bench, keys, "media.created", web)
    stale = _Paused(bench, event_id)
    decide_event(bench, "default", event_id)
    before = _state(bench)
    stale.let_go()
    assert _state(bench) == before
    assert before["decisions"] == [("cat", 1, event_id)]


def test_what_was_deleted_meanwhile_does_not_come_back(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    web.files["/cat.png"] = cat
    event_id = _event(bench, keys, "media.created", web)
    stale = _Paused(bench, event_id)
    decide_event(bench, "default", event_id)
    decide_event(bench, "default", _event(bench, keys, "media.deleted", web, 2))
    before = _state(bench)
    stale.let_go()
    assert _state(bench) == before
    assert before["decisions"] == []


def test_an_event_overtaken_by_a_newer_one_is_noted_once(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    web.files["/cat.png"] = cat
    old = _event(bench, keys, "media.created", web)
    stale = _Paused(bench, old)
    new = _event(bench, keys, "media.updated", web, 2)
    decide_event(bench, "default", new)
    decide_event(bench, "default", old)
    before = _state(bench)
    stale.let_go()
    assert _state(bench) == before
    assert before["decisions"] == [("cat", 1, new)]


def test_a_message_claimed_long_ago_is_not_sent(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.files["/cat.png"] = cat
    decide_event(bench, "default", _event(bench, keys, "media.created", web))
    ((message, _),) = _claims(bench)
    # As if the sender were stopped right after its claim, until the claim is over.
    monkeypatch.setattr(deliver, "monotonic", lambda: time.monotonic() + 31 * _claims(bench)[0][1])
    before = _now(bench)
    outcome = _attempt(bench, keys, message)
    assert (outcome.state, web.received) == ("waiting", [])
    assert outcome.retry_at is not None
    assert before <= outcome.retry_at - deliver.LEASE <= _now(bench)


def test_who_is_stopped_in_a_transaction_does_not_hold_up_the_others(
    bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    web.files["/cat.png"] = cat
    event_id = _event(bench, keys, "media.created", web)

    def stopped_with_the_tree() -> None:
        with transaction(bench.pool) as conn:
            conn.execute("SET idle_in_transaction_session_timeout = '1s'")  # instead of 10, which are long for a test
            conn.execute("SELECT FROM audit_tree FOR UPDATE")
            decide_event(bench, "default", event_id)
            conn.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        stopped_with_the_tree()
    assert _state(bench)["decisions"] == [("cat", 1, event_id)]


def test_every_connection_ends_idle_transactions(bench: WorkerContext) -> None:
    show = "SHOW idle_in_transaction_session_timeout"

    async def of_the_queue() -> dict[str, Any]:
        app = queue_app(bench.pool.conninfo, bench)  # type: ignore[arg-type]  # a pool may make it up; ours has it
        async with app.open_async():
            return await app.connector.execute_query_one_async(show)

    with transaction(bench.pool) as conn:
        assert conn.execute(show).fetchone() == ("10s",)
    assert list(asyncio.run(of_the_queue()).values()) == ["10s"]


def _claims(bench: WorkerContext) -> list[tuple[UUID, int]]:
    """The messages with how often each was claimed, as anybody sees it who is not in a transaction."""
    with psycopg.connect(bench.pool.conninfo) as conn:  # type: ignore[arg-type]  # a pool may make it up; ours has it
        return conn.execute("SELECT id, attempts FROM outbox").fetchall()


def _attempt(bench: WorkerContext, keys: TenantKeys, message: UUID) -> Outcome:
    return deliver.attempt(
        bench.pool,
        keys,
        message,
        lambda _conn, row: {"type": row["type"]},
        bench.settings.allow_private,
        _now(bench),
    )


def _now(bench: WorkerContext) -> datetime:
    with transaction(bench.pool) as conn:
        (now,) = conn.execute("SELECT now()").fetchone()  # type: ignore[misc]  # one row
        return now  # type: ignore[no-any-return]  # a timestamptz
