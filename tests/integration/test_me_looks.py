"""However many people look at their pages at once, a platform's webhooks are stored and answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
from fastapi.testclient import TestClient

from assent.db.pool import Pool
from assent.keys.keystore import TenantKeys
from assent.tenants import CreatedTenant
from tests import people
from tests.events import rows
from tests.integration.test_intake_webhook import post
from tests.waiting import until

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'match'::regclass"


def test_thirteen_looks_keep_no_connection_from_webhooks(
    alice: TestClient, made: CreatedTenant, pool: Pool, keys: TenantKeys, database_url: str
) -> None:
    people.give(pool, keys, "alice")
    with ThreadPoolExecutor(13) as threads, psycopg.connect(database_url) as holds:
        holds.execute("LOCK TABLE match IN ACCESS EXCLUSIVE MODE")  # what reads a list takes as long as this is held
        looks = [threads.submit(alice.get, "/me/seen") for _ in range(13)]
        until(lambda: rows(pool, WAITING)[0][0] > 0, "a look waits")
        answers = [post(alice, made.source_secret, delivery=f"msg_{n}").status_code for n in range(20)]
        assert not any(look.done() for look in looks)
        holds.rollback()
        assert [look.result().status_code for look in looks] == [200] * 13
    assert answers == [202] * 20
