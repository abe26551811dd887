"""Enrolment in one process and withdrawal in another: whoever comes first, no face is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from assent.core.errors import ConsentMissing
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.subjects import consent
from tests.events import is_anybody_locked_out, rows
from tests.people import enrol, give
from tests.waiting import until


def withdraw(pool: Pool, keys: TenantKeys, consent_id: UUID) -> None:
    with transaction(pool) as conn:
        consent.withdraw_consent(conn, keys, consent_id)


def test_a_withdrawal_waits_for_the_enrolment_and_takes_its_templates(
    pool: Pool, keys: TenantKeys, database_url: str
) -> None:
    given_id = give(pool, keys, "alice")
    with ThreadPoolExecutor(1) as other, psycopg.connect(database_url) as enrolling:
        enrol(enrolling, keys, "alice")
        acknowledged = other.submit(withdraw, pool, keys, given_id)
        until(lambda: is_anybody_locked_out(pool), "the withdrawal waits")
        assert not acknowledged.done()
        enrolling.commit()
        acknowledged.result(timeout=10)
    assert rows(pool, "SELECT count(*) FROM template") == [(0,)]


def test_an_enrolment_waits_for_the_withdrawal_and_is_refused(pool: Pool, keys: TenantKeys, database_url: str) -> None:
    given_id = give(pool, keys, "alice")

    def later() -> None:
        with transaction(pool) as conn:
            enrol(conn, keys, "alice")

    with ThreadPoolExecutor(1) as other, psycopg.connect(database_url) as withdrawing:
        consent.withdraw_consent(withdrawing, keys, given_id)
        stored = other.submit(later)
        until(lambda: is_anybody_locked_out(pool), "the enrolment waits")
        assert not stored.done()
        withdrawing.commit()
        with pytest.raises(ConsentMissing):
            stored.result(timeout=10)
    assert rows(pool, "SELECT count(*) FROM template") == [(0,)]


def test_many_of_both_at_once_leave_no_template_without_consent(pool: Pool, keys: TenantKeys) -> None:
    """60 rounds in three threads; each round a consent, two enrolments and a withdrawal race."""
    refused = threading.Semaphore(0)

    def store(seed: int) -> None:
        try:
            with transaction(pool) as conn:
                enrol(conn, keys, "alice", seed)
        except ConsentMissing:
            refused.release()

    with ThreadPoolExecutor(3) as threads:
        for n in range(60):
            given_id = give(pool, keys, "alice")
            work = [
                threads.submit(store, n),
                threads.submit(withdraw, pool, keys, given_id),
                threads.submit(store, n + 1),
            ]
            for one in work:
                one.result(timeout=20)
            assert rows(pool, "SELECT count(*) FROM template") == [(0,)]
    assert refused.acquire(blocking=False)  # else the two never met
