"""An endpoint that fails: when it rests, who probes it, when it is disabled; and secrets that change meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from typer.testing import CliRunner

from assent.cli.endpoint import app as endpoint_command
from assent.cli.endpoint import secret as secret_command
from assent.core.errors import FetchFailed
from assent.core.settings import AllowedHost, Settings
from assent.db.pool import Pool, transaction
from assent.intake.accept import live_secrets
from assent.keys.keystore import TenantKeys
from assent.net.client import Response
from assent.outbox.dead_letters import redrive
from assent.outbox.deliver import LEASE, MOST_DUE, POSTPONED, attempt, postpone, queue_due
from assent.outbox.endpoint_concurrency import PATIENCE, SLOTS, EndpointConcurrency
from assent.outbox.endpoint_health import MAX_FAILING, REST, STRIKES, Health, record_failure
from assent.outbox.endpoints import enable_endpoint
from assent.outbox.schedule import Outcome
from assent.tenants import CreatedTenant, init_tenant
from tests.web import Posted, Web, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SILENCE = FetchFailed("nobody answered")


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def made(pool: Pool, keystore: Any, web: Web) -> CreatedTenant:
    return init_tenant(pool, keystore, "default", "app", f"{web.url}/hooks")


def add(pool: Pool, now: datetime, media: str | None = None) -> UUID:
    message = uuid4()
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, next_at)"
            " VALUES ('default', %s, 'app', 'media.tagged', 'app', %s, 1, %s)",
            [message, media or str(message), now],
        )
    return message


def send(pool: Pool, keys: TenantKeys, allowed: AllowedHost, message: UUID, now: datetime) -> Outcome:
    return attempt(pool, keys, message, lambda _conn, row: {"media": row["media_id"]}, (allowed,), now)


def endpoint(pool: Pool) -> tuple[Any, ...]:
    with transaction(pool) as conn:
        rows = conn.execute("SELECT failing_since, failures, rests_until, disabled_because FROM endpoint").fetchall()
    return tuple(rows[0])


@pytest.mark.parametrize("answer", [SILENCE, *(Response(status, {}, b"") for status in (408, 425, 429, 502, 503, 504))])
def test_an_endpoint_rests_after_strikes_in_a_row_longer_the_longer_it_fails(answer: Any) -> None:
    health = Health()
    for n in range(1, STRIKES):
        health = record_failure(health, answer, NOW)
        assert (health.failing_since, health.failures, health.rests_until) == (NOW, n, None)
    assert record_failure(health, answer, NOW).rests_until == NOW + REST[0]
    assert record_failure(health, answer, NOW + timedelta(minutes=10)).rests_until == NOW + timedelta(minutes=11)
    assert record_failure(health, answer, NOW + timedelta(days=1)).rests_until == NOW + timedelta(days=1) + REST[1]


@pytest.mark.parametrize("status", [400, 404, 413, 500, 302])
def test_an_answer_about_the_message_rests_nobody(status: int) -> None:
    health = record_failure(Health(NOW, STRIKES, NOW), Response(status, {}, b""), NOW + REST[0])
    assert health == Health(NOW, 0, None, None)


def test_retry_after_holds_for_the_whole_endpoint_from_the_first_time() -> None:
    health = record_failure(Health(), Response(429, {"retry-after": "600"}, b""), NOW)
    assert health.rests_until == NOW + timedelta(minutes=10)


def test_five_days_without_a_success_disable() -> None:
    assert record_failure(Health(NOW), SILENCE, NOW + MAX_FAILING - timedelta(seconds=1)).disabled_because is None
    because = record_failure(Health(NOW), Response(500, {}, b""), NOW + MAX_FAILING).disabled_because
    assert because == "no attempt has succeeded since 2026-01-31 12:00 UTC"


def test_while_an_endpoint_rests_one_message_probes_it_and_none_is_charged(
    pool: Pool, keys: TenantKeys, web: Web
) -> None:
    web.status = 503
    now = datetime.now(UTC)
    messages = [add(pool, now) for _ in range(40)]
    for message in messages[:STRIKES]:
        send(pool, keys, web.allowed, message, now)
    assert len(web.received) == STRIKES
    rests_until = endpoint(pool)[2]
    for message in messages[STRIKES:]:
        outcome = send(pool, keys, web.allowed, message, now + timedelta(seconds=1))
        assert outcome.state == "waiting"
        assert outcome.retry_at
        assert outcome.retry_at >= rests_until
    assert len(web.received) == STRIKES
    after = rests_until + timedelta(seconds=1)
    for message in messages[STRIKES:]:
        send(pool, keys, web.allowed, message, after)
    assert len(web.received) == STRIKES + 1
    with transaction(pool) as conn:
        assert conn.execute("SELECT sum(attempts) FROM outbox").fetchone() == (STRIKES + 1,)
    web.status = 204
    again = endpoint(pool)[2] + timedelta(seconds=1)
    assert [send(pool, keys, web.allowed, m, again).state for m in messages[STRIKES + 1 :]] == ["delivered"] * 34
    assert endpoint(pool) == (None, 0, None, None)


def test_five_failing_days_disable_the_endpoint_and_enabling_brings_all_back(
    pool: Pool, keys: TenantKeys, web: Web
) -> None:
    web.status = 500
    began = now = datetime.now(UTC)
    sent: list[UUID] = []
    while endpoint(pool)[3] is None:
        sent.append(add(pool, now, f"photo-{len(sent)}"))
        send(pool, keys, web.allowed, sent[-1], now)
        assert now - began <= MAX_FAILING + timedelta(hours=6)
        now += timedelta(hours=6)
    assert now - began >= MAX_FAILING
    outcomes = [send(pool, keys, web.allowed, message, now + timedelta(days=2)) for message in sent]
    dead = sum(outcome == Outcome("dead", "the endpoint is disabled") for outcome in outcomes)
    assert dead == len(sent)
    web.status = 204
    with transaction(pool) as conn:
        enable_endpoint(conn, "default", "app")
        again = redrive(conn, "default", None)
    assert sorted(again) == sorted(sent)
    assert {send(pool, keys, web.allowed, message, now).state for message in again} == {"delivered"}


def test_one_success_in_five_days_keeps_it(pool: Pool, keys: TenantKeys, web: Web) -> None:
    now = datetime.now(UTC)
    for day in range(12):
        web.status = 204 if day == 4 else 500
        send(pool, keys, web.allowed, add(pool, now), now + timedelta(days=day, minutes=day))
        assert (endpoint(pool)[3] is not None) == (day >= 10)


def waiting(pool: Pool) -> list[tuple[UUID, bool]]:
    with transaction(pool) as conn:
        rows = conn.execute("SELECT id, queued FROM outbox WHERE state = 'waiting' ORDER BY next_at").fetchall()
    return [(row[0], row[1]) for row in rows]


def brought_back(pool: Pool, seconds: float = 0) -> set[str]:
    """The messages that get a job, so many seconds from now."""
    with transaction(pool) as conn:
        conn.execute("DELETE FROM procrastinate_jobs")
        conn.execute("UPDATE outbox SET next_at = next_at - make_interval(secs => %s)", [seconds])
        conn.execute("UPDATE endpoint SET rests_until = rests_until - make_interval(secs => %s)", [seconds])
        count = queue_due(conn)
        rows = conn.execute("SELECT args ->> 'message' FROM procrastinate_jobs").fetchall()
    assert len(rows) == count
    return {row[0] for row in rows}


def test_what_waits_has_no_job_until_it_is_due(pool: Pool, keys: TenantKeys, web: Web) -> None:
    web.status = 500
    now = datetime.now(UTC)
    message = add(pool, now)
    assert brought_back(pool) == set()  # its first job was made with it
    assert send(pool, keys, web.allowed, message, now).state == "waiting"
    assert waiting(pool) == [(message, False)]
    assert brought_back(pool) == set()
    assert brought_back(pool, 7) == {str(message)}
    assert waiting(pool) == [(message, True)]
    assert brought_back(pool, 7) == set()


def test_of_a_backlog_some_come_back_at_once_and_one_where_it_has_to_be_probed(
    pool: Pool, keys: TenantKeys, web: Web
) -> None:
    web.status = 503
    now = datetime.now(UTC) - timedelta(minutes=1)
    messages = [add(pool, now) for _ in range(STRIKES)]
    for message in messages:
        send(pool, keys, web.allowed, message, now)
    backlog = [add(pool, now) for _ in range(MOST_DUE + 20)]
    for message in backlog:
        send(pool, keys, web.allowed, message, now + timedelta(seconds=1))
    assert {queued for _, queued in waiting(pool)} == {False}
    assert len(brought_back(pool)) == 1  # the minute is over
    assert len(brought_back(pool)) == 1
    with transaction(pool) as conn:
        enable_endpoint(conn, "default", "app")
    assert len(brought_back(pool)) == MOST_DUE
    assert len(brought_back(pool)) < MOST_DUE


def test_an_attempt_that_was_lost_with_its_worker_is_brought_back(pool: Pool, keys: TenantKeys, web: Web) -> None:
    now = datetime.now(UTC)
    message = add(pool, now)

    class Lost(Exception):
        pass

    def die(*_args: object, **_more: object) -> None:
        raise Lost

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assent.outbox.deliver._record", die)
        with pytest.raises(Lost):
            send(pool, keys, web.allowed, message, now)
    # The queue rescues its job, which comes too early, and leaves the message to its row.
    early = send(pool, keys, web.allowed, message, now + timedelta(seconds=2))
    assert early.because == "not due yet, or under way elsewhere"
    assert brought_back(pool) == set()
    assert brought_back(pool, LEASE.total_seconds() + 1) == {str(message)}
    assert send(pool, keys, web.allowed, message, datetime.now(UTC)).state == "delivered"
    assert [posted.headers["webhook-id"] for posted in web.received] == [f"msg_{message.hex}"] * 2


def test_a_message_without_a_place_waits_and_a_settled_one_does_not(pool: Pool, keys: TenantKeys, web: Web) -> None:
    now = datetime.now(UTC)
    message = add(pool, now)
    with transaction(pool) as conn:
        postpone(conn, "default", message)
    assert brought_back(pool) == set()
    assert brought_back(pool, POSTPONED.total_seconds()) == {str(message)}
    assert send(pool, keys, web.allowed, message, datetime.now(UTC)).state == "delivered"
    with transaction(pool) as conn:
        postpone(conn, "default", message)
    assert brought_back(pool, 60) == set()


def test_a_full_lane_turns_guests_away_only_while_nothing_moves() -> None:
    async def scene() -> tuple[list[bool], bool, list[bool]]:
        endpoints, release = EndpointConcurrency(), asyncio.Event()

        async def guest(endpoint: str, hold: bool) -> bool:
            async with endpoints.slot("default", endpoint) as entered:
                await (release.wait() if hold and entered else asyncio.sleep(0.01))
                return entered

        stuck = [asyncio.create_task(guest("dead", True)) for _ in range(SLOTS)]
        await asyncio.sleep(0)
        refused = await asyncio.gather(*(guest("dead", True) for _ in range(50)))
        began = time.monotonic()
        free = await guest("alive", False)
        assert time.monotonic() - began < PATIENCE
        moving = await asyncio.gather(*(guest("alive", False) for _ in range(300)))
        release.set()
        assert await asyncio.gather(*stuck) == [True] * SLOTS
        return refused, free, moving

    refused, free, moving = asyncio.run(scene())
    assert refused == [False] * 50
    assert free
    assert moving == [True] * 300


@pytest.fixture
def commands(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    assert settings.database_url
    monkeypatch.setenv("ASSENT_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("ASSENT_DATA_DIR", str(settings.data_dir))
    return CliRunner()


def verified(secret: str, posted: Posted) -> Any:
    return Webhook(secret).verify(posted.body, posted.headers)


def test_rotated_secrets_overlap_and_then_the_old_one_ends(
    commands: CliRunner, made: CreatedTenant, pool: Pool, keys: TenantKeys, web: Web
) -> None:
    old = made.endpoint_secret
    assert old
    new = commands.invoke(secret_command, ["endpoint", "app"]).output.strip()
    assert send(pool, keys, web.allowed, add(pool, datetime.now(UTC)), datetime.now(UTC)).state == "delivered"
    posted = web.received[-1]
    assert verified(old, posted) == verified(new, posted) == json.loads(posted.body)
    newest = commands.invoke(secret_command, ["endpoint", "app", "--overlap-hours", "0"]).output.strip()
    with transaction(pool) as conn:
        assert live_secrets(conn, keys, "endpoint", "app") == [newest]
        assert live_secrets(conn, keys, "source", "app") == [made.source_secret]
        assert conn.execute("SELECT count(*) FROM webhook_secret WHERE owner = 'endpoint'").fetchone() == (1,)
    send(pool, keys, web.allowed, add(pool, datetime.now(UTC)), datetime.now(UTC))
    posted = web.received[-1]
    for ended in (old, new):
        with pytest.raises(WebhookVerificationError):
            verified(ended, posted)
    assert verified(newest, posted)


def test_never_more_than_two_secrets_live(
    commands: CliRunner, made: CreatedTenant, pool: Pool, keys: TenantKeys
) -> None:
    made_since = [commands.invoke(secret_command, ["source", "app"]).output.strip() for _ in range(4)]
    with transaction(pool) as conn:
        assert live_secrets(conn, keys, "source", "app") == made_since[:-3:-1]
        rows = conn.execute("SELECT count(*) FROM webhook_secret WHERE owner = 'source'").fetchone()
    assert rows == (2,)
    assert commands.invoke(secret_command, ["source", "nobody"]).exit_code == 1


def test_the_commands_show_and_enable(commands: CliRunner, made: CreatedTenant, pool: Pool) -> None:
    with transaction(pool) as conn:
        conn.execute("UPDATE endpoint SET disabled_at = now(), disabled_because = 'HTTP 410'")
    assert "HTTP 410" in commands.invoke(endpoint_command, ["list"]).output
    assert commands.invoke(endpoint_command, ["enable", "app"]).exit_code == 0
    assert endpoint(pool) == (None, 0, None, None)
    assert commands.invoke(endpoint_command, ["enable", "nobody"]).exit_code == 1
