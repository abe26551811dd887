"""A worker whose clock is wrong by an hour sends, tries again and ends consents in time, by the database's clock."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta, tzinfo
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from assent.cli import endpoint
from assent.core.settings import Settings
from assent.core.values import MediaRef
from assent.db.pool import Pool, transaction
from assent.db.queue import PICTURES
from assent.keys.keystore import TenantKeys
from assent.tenants import CreatedTenant
from assent.worker.jobs import WorkerContext, decide_event, deliver_message, postpone_message
from assent.worker.maintenance import end_expired
from assent.worker.queue import queue_app
from tests.authority import move_endpoints
from tests.events import leaves, rows, store
from tests.people import give
from tests.web import Answer, Web

HOSTS = (
    "assent.worker.",
    "assent.outbox.",
    "assent.subjects.links",
    "assent.http.routes.rights",
    "assent.cli.endpoint",
)


@pytest.fixture(params=[-1, 1], ids=["behind", "ahead"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour behind or ahead, for all that sends or works."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a datetime, as everybody wants
            return datetime.now(tz) + timedelta(hours=request.param)

    for name, module in list(sys.modules.items()):
        if name.startswith(HOSTS) and vars(module).get("datetime") is datetime:
            monkeypatch.setattr(module, "datetime", Wrong)


@pytest.fixture
def message(bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes) -> UUID:
    """A message that is due."""
    with transaction(bench.pool) as conn:
        move_endpoints(conn, keys, f"{web.url}/hooks")
    decide_event(bench, "default", store(bench, keys, MediaRef("cat", None), cat))
    ((message,),) = rows(bench, "SELECT id FROM outbox")
    assert isinstance(message, UUID)
    return message


def soon(bench: WorkerContext, column: str, table: str) -> bool:
    """Tells whether the table's only row is due later, but within a minute."""
    question = f"SELECT {column} > now() AND {column} < now() + interval '1 minute' FROM {table}"  # noqa: S608 - ours
    return rows(bench, question) == [(True,)]


@pytest.mark.usefixtures("wrong_clock")
def test_a_message_that_is_due_is_sent(bench: WorkerContext, message: UUID, web: Web) -> None:
    deliver_message(bench, "default", message)
    assert len(web.received) == 1
    assert rows(bench, "SELECT state FROM outbox") == [("delivered",)]
    assert rows(bench, "SELECT abs(extract(epoch FROM now() - delivered_at)) < 60 FROM outbox") == [(True,)]


@pytest.mark.usefixtures("wrong_clock")
def test_a_message_that_failed_is_due_again_in_a_moment(bench: WorkerContext, message: UUID, web: Web) -> None:
    web.answers = iter([Answer(500)])
    deliver_message(bench, "default", message)
    assert len(web.received) == 1
    assert soon(bench, "next_at", "outbox")


@pytest.mark.usefixtures("wrong_clock")
def test_a_message_without_a_slot_waits_a_moment(bench: WorkerContext, message: UUID) -> None:
    postpone_message(bench, "default", message)
    assert soon(bench, "next_at", "outbox")


@pytest.mark.usefixtures("wrong_clock")
def test_a_failed_fetch_is_tried_again_in_a_moment(bench: WorkerContext, keys: TenantKeys, web: Web) -> None:
    web.files["/away.png"] = Answer(503)
    store(bench, keys, MediaRef("away", f"{web.url}/away.png"))
    url: str = bench.pool.conninfo  # type: ignore[assignment]  # a pool may make it up; ours has it

    async def once() -> None:
        app = queue_app(url, bench)
        async with app.open_async():
            await app.run_worker_async(queues=[PICTURES], wait=False, install_signal_handlers=False)

    asyncio.run(once())
    assert web.asked == ["/away.png"]
    assert soon(bench, "scheduled_at", "procrastinate_jobs")


@pytest.mark.usefixtures("wrong_clock")
def test_no_consent_ends_before_its_time(bench: WorkerContext, keys: TenantKeys) -> None:
    give(bench.pool, keys, "alice", valid_for=timedelta(minutes=30))
    end_expired(bench.settings, bench.pool, bench.keystore)
    assert leaves(bench, "consent.expired") == []


@pytest.mark.usefixtures("wrong_clock")
def test_a_link_ends_when_it_says(client: TestClient, pool: Pool) -> None:
    said = client.post("/v1/subjects/alice/links", json={"valid_days": 1}).json()["expires_at"]
    [(seconds, difference)] = rows(
        pool,
        "SELECT extract(epoch FROM expires_at - now()), extract(epoch FROM expires_at - %s::timestamptz)"
        " FROM person_link",
        said,
    )
    assert 86400 - 60 < seconds <= 86400
    assert abs(difference) < 60


@pytest.mark.usefixtures("wrong_clock")
def test_a_secret_that_was_rotated_ends_in_time(
    made: CreatedTenant, database_url: str, settings: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "Settings", lambda: settings)
    endpoint.rotate(endpoint.Owner.source, made.source, overlap_hours=2)
    ends = "SELECT extract(epoch FROM expires_at - now()) FROM webhook_secret WHERE expires_at IS NOT NULL"
    [(seconds,)] = rows(pool, ends)
    assert 7200 - 60 < seconds <= 7200
    endpoint.rotate(endpoint.Owner.source, made.source, overlap_hours=0)
    assert rows(pool, ends) == []
