"""A signed webhook is stored once, before it is answered; anything else leaves nothing behind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from assent.app import create_app
from assent.core.errors import DatabaseUnavailable
from assent.core.settings import Settings
from assent.db.pool import Pool, fetch_one, transaction
from assent.db.queries import named_queries
from assent.intake.accept import open_event
from assent.intake.rejects import Rejects
from assent.keys.keystore import Keystore, TenantKeys
from assent.platforms.standard_webhooks import new_secret, sign_webhook
from assent.tenants import CreatedTenant

BODY = json.dumps(
    {
        "schema": "assent.event/1",
        "type": "media.created",
        "media": [{"id": "photo-1", "url": "https://media.example/secret-path.jpg"}],
        "author": "alice.the.author",
    }
).encode()


def post(
    client: TestClient, secret: str, *, body: bytes = BODY, delivery: str = "msg_1", source: str = "platform"
) -> Any:
    headers = sign_webhook(delivery, datetime.now(UTC), body, [secret]) if body.isascii() else {}
    return client.post(f"/v1/webhooks/{source}", content=body, headers=headers)


def count(pool: Pool, table: str) -> int:
    with pool.connection() as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
    assert row is not None
    return int(row[0])


def test_an_accepted_event_is_stored_sealed_and_queued(
    client: TestClient, made: CreatedTenant, pool: Pool, keys: TenantKeys
) -> None:
    answer = post(client, made.source_secret)
    assert answer.status_code == 202
    event_id = answer.json()["event"]
    with transaction(pool) as conn:
        row = fetch_one(conn, named_queries("intake")["read_event"], tenant="default", event=event_id)
        jobs = conn.execute("SELECT task_name, args, priority FROM procrastinate_jobs").fetchall()
    assert row is not None
    assert jobs == [("decide", {"tenant": "default", "event": event_id}, 50)]
    assert b"alice" not in row["sealed"]
    assert b"secret-path" not in row["sealed"]
    assert open_event(keys, event_id, row).author == "alice.the.author"


def test_a_repetition_is_answered_again_and_done_once(client: TestClient, made: CreatedTenant, pool: Pool) -> None:
    answers = [post(client, made.source_secret) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["event"] for answer in answers}) == 1
    assert (count(pool, "event"), count(pool, "procrastinate_jobs"), count(pool, "intake_seen")) == (1, 1, 1)


def test_repetitions_at_the_same_moment_are_done_once(client: TestClient, made: CreatedTenant, pool: Pool) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(post(client, made.source_secret))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.json()["event"] for answer in answers}) == 1
    assert (count(pool, "event"), count(pool, "procrastinate_jobs")) == (1, 1)


def test_the_same_id_with_another_body_conflicts(client: TestClient, made: CreatedTenant, pool: Pool) -> None:
    assert post(client, made.source_secret).status_code == 202
    other = post(client, made.source_secret, body=BODY.replace(b"photo-1", b"photo-2"))
    assert other.status_code == 409
    assert other.headers["content-type"] == "application/problem+json"
    assert other.json()["code"] == "delivery_conflict"
    assert count(pool, "event") == 1


def test_an_id_is_free_again_after_seven_days(client: TestClient, made: CreatedTenant, pool: Pool) -> None:
    first = post(client, made.source_secret).json()["event"]
    with transaction(pool) as conn:
        conn.execute("UPDATE intake_seen SET received_at = now() - interval '7 days 1 minute'")
        conn.execute(named_queries("intake")["purge_old_deliveries"])
    assert post(client, made.source_secret).json()["event"] != first


def test_the_same_id_from_another_tenants_source_is_another_delivery(
    client: TestClient, made: CreatedTenant, pool: Pool, keystore: Keystore
) -> None:
    from assent.tenants import init_tenant

    other = init_tenant(pool, keystore, "other", "elsewhere", None)
    first = post(client, made.source_secret).json()["event"]
    second = post(client, other.source_secret, source="elsewhere").json()["event"]
    assert first != second
    assert post(client, made.source_secret, source="elsewhere").status_code == 401


@pytest.mark.parametrize("kind", ["unsigned", "wrong secret", "unknown source", "no utf-8"])
def test_what_does_not_verify_leaves_nothing_behind(
    client: TestClient, made: CreatedTenant, pool: Pool, kind: str
) -> None:
    before = count(pool, "audit_leaf")
    requests: dict[str, Callable[[], Any]] = {
        "unsigned": lambda: client.post("/v1/webhooks/platform", content=BODY),
        "wrong secret": lambda: post(client, new_secret()),
        "unknown source": lambda: post(client, made.source_secret, source="nobody"),
        "no utf-8": lambda: post(client, made.source_secret, body=b"\xff\xfe"),
    }
    answer = requests[kind]()
    assert answer.status_code == 401
    assert answer.json()["code"] == "signature_invalid"
    assert (count(pool, "event"), count(pool, "intake_seen"), count(pool, "audit_leaf")) == (0, 0, before)


def test_rejects_make_one_leaf_not_one_each(
    settings: Settings, database_url: str, made: CreatedTenant, pool: Pool
) -> None:
    before = count(pool, "audit_leaf")
    with TestClient(create_app(settings, database_url)) as client:
        for _ in range(50):
            client.post("/v1/webhooks/platform", content=BODY)
    assert count(pool, "audit_leaf") == before + 1
    with pool.connection() as conn:
        row = conn.execute("SELECT leaf FROM audit_leaf ORDER BY seq DESC LIMIT 1").fetchone()
    assert row is not None
    assert json.loads(row[0])["rejected"] == {"signature_invalid": 50}


def test_counts_of_rejects_outlive_a_database_that_is_away(
    made: CreatedTenant, pool: Pool, keystore: Keystore, database_url: str
) -> None:
    before, rejects = count(pool, "audit_leaf"), Rejects()
    for _ in range(3):
        rejects.count(made.source, "signature_invalid")
    away: Pool = ConnectionPool(make_conninfo(database_url, dbname="away"), min_size=0, max_size=1, timeout=0.5)
    with away, pytest.raises(DatabaseUnavailable):
        rejects.write(away, keystore)
    rejects.count(made.source, "bad_request")
    rejects.write(pool, keystore)
    assert count(pool, "audit_leaf") == before + 1
    with pool.connection() as conn:
        row = conn.execute("SELECT leaf FROM audit_leaf ORDER BY seq DESC LIMIT 1").fetchone()
    assert row is not None
    assert json.loads(row[0])["rejected"] == {"bad_request": 1, "signature_invalid": 3}


def test_a_signed_body_that_is_no_event_is_refused_and_not_remembered(
    client: TestClient, made: CreatedTenant, pool: Pool
) -> None:
    answer = post(client, made.source_secret, body=b'{"schema": "assent.event/1"}')
    assert answer.status_code == 400
    assert "media" in answer.json()["detail"]
    assert (count(pool, "event"), count(pool, "intake_seen")) == (0, 0)


def test_a_body_beyond_a_megabyte_is_refused(client: TestClient, made: CreatedTenant) -> None:
    assert post(client, made.source_secret, body=b" " * (1 << 20) + BODY).status_code == 413


def test_a_second_live_secret_is_accepted(
    client: TestClient, made: CreatedTenant, pool: Pool, keys: TenantKeys
) -> None:
    from assent.tenants import add_secret

    with transaction(pool) as conn:
        newer = add_secret(conn, keys, "source", "platform")
    assert post(client, newer).status_code == 202
    assert post(client, made.source_secret, delivery="msg_2").status_code == 202


def test_backfill_waits_behind_live(client: TestClient, made: CreatedTenant, pool: Pool) -> None:
    headers = sign_webhook("msg_9", datetime.now(UTC), BODY, [made.source_secret])
    assert client.post("/v1/webhooks/platform?lane=backfill", content=BODY, headers=headers).status_code == 202
    assert post(client, made.source_secret).status_code == 202
    with pool.connection() as conn:
        rows = conn.execute("SELECT priority FROM procrastinate_jobs ORDER BY priority DESC, id").fetchall()
    assert rows == [(50,), (0,)]


def test_without_the_database_nothing_is_acknowledged(
    client: TestClient, made: CreatedTenant, database_url: str, superuser_url: str
) -> None:
    name = urlsplit(database_url).path[1:]
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    answer = post(client, made.source_secret)
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    assert answer.headers["retry-after"]
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert post(client, made.source_secret).status_code == 202
