"""A call that is sent again under its key is done once, and answered as it was."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assent.core.errors import ConsentMissing, IdempotencyConflict
from assent.db.pool import Pool, execute, transaction
from assent.db.queries import named_queries
from assent.http.idempotency import once
from assent.keys.keystore import Keystore, TenantKeys
from assent.subjects import consent
from assent.tenants import init_tenant
from tests.events import rows
from tests.people import given


def call(pool: Pool, keys: TenantKeys, key: str | None, body: bytes = b"alice") -> dict[str, Any]:
    with transaction(pool) as conn:
        who = given(body.decode())
        return once(conn, keys, key, b"POST /v1/consents\n" + body, lambda: {"id": str(consent.give(conn, keys, who))})


def recorded(pool: Pool) -> int:
    return len(rows(pool, "SELECT FROM consent"))


def test_the_same_call_is_done_once(pool: Pool, keys: TenantKeys) -> None:
    assert len({call(pool, keys, "key-1")["id"] for _ in range(3)}) == 1
    assert recorded(pool) == 1
    assert call(pool, keys, "key-2")["id"] != call(pool, keys, "key-1")["id"]
    assert recorded(pool) == 2


def test_without_a_key_each_call_is_its_own(pool: Pool, keys: TenantKeys) -> None:
    assert call(pool, keys, None) != call(pool, keys, None)
    assert rows(pool, "SELECT count(*) FROM idempotency") == [(0,)]


def test_another_body_under_the_key_is_refused(pool: Pool, keys: TenantKeys) -> None:
    call(pool, keys, "key-1")
    with pytest.raises(IdempotencyConflict):
        call(pool, keys, "key-1", b"bob")
    assert recorded(pool) == 1


def test_of_many_at_once_one_makes_the_record(pool: Pool, keys: TenantKeys) -> None:
    ready = threading.Barrier(6)

    def one(_: int) -> str:
        ready.wait()
        return str(call(pool, keys, "key-1")["id"])

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(one, range(6)))) == 1
    assert recorded(pool) == 1


def test_what_failed_may_be_tried_again(pool: Pool, keys: TenantKeys) -> None:
    def fail() -> dict[str, Any]:
        raise ConsentMissing

    with pytest.raises(ConsentMissing), transaction(pool) as conn:
        once(conn, keys, "key-1", b"POST /v1/consents\nalice", fail)
    assert call(pool, keys, "key-1")["id"]


def test_tenants_do_not_share_keys(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    assert call(pool, keys, "key-1") != call(pool, keystore.tenant("other"), "key-1", b"bob")
    assert recorded(pool) == 2


def test_after_a_day_a_key_is_new(pool: Pool, keys: TenantKeys) -> None:
    first = call(pool, keys, "key-1")
    rows(pool, "UPDATE idempotency SET at = now() - interval '23 hours' RETURNING 1")
    assert call(pool, keys, "key-1") == first
    rows(pool, "UPDATE idempotency SET at = now() - interval '25 hours' RETURNING 1")
    second = call(pool, keys, "key-1")
    assert second != first
    assert call(pool, keys, "key-1") == second  # the row is the new call's
    rows(pool, "UPDATE idempotency SET at = now() - interval '25 hours' RETURNING 1")
    with transaction(pool) as conn:
        assert execute(conn, named_queries("idempotency")["purge_old_answers"]) == 1


def test_the_row_says_nothing_of_the_call(pool: Pool, keys: TenantKeys) -> None:
    answer = call(pool, keys, "key-1")
    [row] = rows(pool, "SELECT * FROM idempotency")
    stored = b"".join(value for value in row if isinstance(value, bytes))
    assert not any(word in stored for word in (b"key-1", b"alice", answer["id"].encode()))
