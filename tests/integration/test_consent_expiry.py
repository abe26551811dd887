"""A consent's time ends by itself, and takes with it what stood on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assent.core.errors import ConsentMissing
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import connections
from assent.subjects.consent import EXPIRE_AT_ONCE, expire_due
from assent.subjects.overview import consent_record, subject_record
from tests.events import rows
from tests.people import enrol, give, opt_in, said

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


def expire(pool: Pool, keys: TenantKeys, at: datetime) -> int:
    with transaction(pool) as conn:
        return expire_due(conn, keys, at)


def retracted(pool: Pool) -> int:
    return len(rows(pool, "SELECT FROM procrastinate_jobs WHERE task_name = 'retract'"))


def test_what_is_due_ends_and_nothing_else(pool: Pool, keys: TenantKeys) -> None:
    over = give(pool, keys, "alice", valid_for=DAY)
    give(pool, keys, "bob", valid_for=3 * DAY)
    with transaction(pool) as conn:
        enrol(conn, keys, "alice")
        connections.state_connections(conn, keys, "alice", ["bob"], NOW)
        kept = enrol(conn, keys, "bob")
    assert expire(pool, keys, NOW) == 0
    assert expire(pool, keys, NOW + 2 * DAY) == 1
    assert expire(pool, keys, NOW + 2 * DAY) == 0
    assert rows(pool, "SELECT id FROM template") == [(kept,)]
    assert rows(pool, "SELECT count(*) FROM connection") == [(0,)]
    assert said(pool, keys, "consent.expired") == [{"consent": str(over)}]
    assert retracted(pool) == 1
    with transaction(pool) as conn:
        assert [one["state"] for one in subject_record(conn, keys, "alice")["consents"]] == ["expired"]


def test_what_was_withdrawn_or_replaced_does_not_expire(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice", valid_for=DAY)
    give(pool, keys, "alice", valid_for=30 * DAY)
    assert expire(pool, keys, NOW + 2 * DAY) == 0
    assert expire(pool, keys, NOW + 31 * DAY) == 1
    assert len(said(pool, keys, "consent.expired")) == 1


def test_more_people_than_are_ended_at_once_take_another_turn(pool: Pool, keys: TenantKeys) -> None:
    with transaction(pool) as conn:  # each with a transaction of their own would take a minute
        for n in range(EXPIRE_AT_ONCE + 1):
            opt_in(conn, keys, f"person {n}", lasts="0 seconds")
    assert [expire(pool, keys, NOW + DAY) for _ in range(3)] == [EXPIRE_AT_ONCE, 1, 0]


def lapse(pool: Pool) -> None:
    """As if everybody's time had passed since."""
    with transaction(pool) as conn:
        conn.execute("ALTER TABLE consent DISABLE TRIGGER consent_is_a_record")
        conn.execute("UPDATE consent SET expires_at = now() - interval '1 second'")
        conn.execute("ALTER TABLE consent ENABLE TRIGGER consent_is_a_record")


def test_before_anybody_noted_the_end_it_is_no_consent_either(pool: Pool, keys: TenantKeys) -> None:
    given_id = give(pool, keys, "alice")
    lapse(pool)
    with pytest.raises(ConsentMissing), transaction(pool) as conn:
        enrol(conn, keys, "alice")
    with pytest.raises(ConsentMissing), transaction(pool) as conn:
        connections.state_connections(conn, keys, "alice", ["bob"], NOW)
    with transaction(pool) as conn:
        assert consent_record(conn, keys, given_id)["state"] == "expired"


def test_who_consents_anew_after_the_end_begins_without_the_old_faces(pool: Pool, keys: TenantKeys) -> None:
    lapsed = give(pool, keys, "alice", valid_for=DAY)
    with transaction(pool) as conn:
        enrol(conn, keys, "alice")
    lapse(pool)
    give(pool, keys, "alice")
    assert rows(pool, "SELECT count(*) FROM template") == [(0,)]
    assert said(pool, keys, "consent.expired") == [{"consent": str(lapsed)}]
    assert retracted(pool) == 1
    with transaction(pool) as conn:
        assert [one["state"] for one in subject_record(conn, keys, "alice")["consents"]] == ["granted", "expired"]
        enrol(conn, keys, "alice")
    assert rows(pool, "SELECT pid FROM template") == [(derive_pseudonym(keys, "alice"),)]
