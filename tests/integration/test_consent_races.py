"""Enrolment in one process and withdrawal in another: whoever comes first, no face is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from assent.core.errors import ConsentMissing
from assent.core.values import Face
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.pipeline import Stages
from assent.subjects import consent
from assent.subjects import enrol as enrol_job
from assent.subjects.enrol import Enrolled
from tests.events import is_anybody_locked_out, leaves, rows
from tests.people import MODEL, enrol, give, strangers
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


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stages that find in each photo one and the same face; `meanwhile` is called while they look."""
    found = SimpleNamespace(alike=0.3, looked=0, meanwhile=lambda: None)

    def analyse(_stages: object, _tenant: str, photos: list[bytes], _turn: object) -> list[Enrolled]:
        found.looked += len(photos)
        found.meanwhile()
        face = Face((0, 0, 1, 1), 0, 1.0, 1.0)
        return [Enrolled(uuid4(), face, strangers(1)[0], MODEL) for _ in photos]

    monkeypatch.setattr(enrol_job, "_analyse_photos", analyse)
    return found


def request(pool: Pool, keys: TenantKeys) -> UUID:
    job = uuid4()
    with transaction(pool) as conn:
        enrol_job.request_enrolment(conn, keys, job, derive_pseudonym(keys, "alice"), [b"a photo"])
    return job


def work(pool: Pool, keys: TenantKeys, stages: Any, job: UUID) -> None:
    enrol_job.enrol(pool, keys, cast(Stages, stages), lambda _tenant, _pseudonym, _count: None, job)


def again(pool: Pool, keys: TenantKeys, consent_id: UUID) -> None:
    """Withdraws, and agrees again."""
    withdraw(pool, keys, consent_id)
    give(pool, keys, "alice", scope="own")


def test_photos_that_wait_go_with_the_consent_they_came_under(
    pool: Pool, keys: TenantKeys, stages: SimpleNamespace
) -> None:
    given_id = give(pool, keys, "alice")
    job = request(pool, keys)
    held = rows(pool, "SELECT * FROM event"), rows(pool, "SELECT * FROM upload")
    again(pool, keys, given_id)
    assert rows(pool, "SELECT count(*) FROM event") == rows(pool, "SELECT count(*) FROM upload") == [(0,)]
    with transaction(pool) as conn:  # nor is it embedded where the rows come back
        for table, lines in zip(("event", "upload"), held, strict=True):
            marks = ", ".join(["%s"] * len(lines[0]))
            conn.execute(f"INSERT INTO {table} VALUES ({marks})", lines[0])  # noqa: S608
    work(pool, keys, stages, job)
    assert (stages.looked, rows(pool, "SELECT count(*) FROM template")) == (0, [(0,)])
    assert leaves(pool, "seal.broken") == []


def test_a_face_that_is_looked_at_while_the_consent_ends_is_not_enrolled_under_the_next_one(
    pool: Pool, keys: TenantKeys, stages: SimpleNamespace
) -> None:
    given_id = give(pool, keys, "alice")
    stages.meanwhile = lambda: again(pool, keys, given_id)
    work(pool, keys, stages, request(pool, keys))
    assert (stages.looked, rows(pool, "SELECT count(*) FROM template")) == (1, [(0,)])


def test_photos_are_enrolled_under_a_consent_that_follows_without_a_break(
    pool: Pool, keys: TenantKeys, stages: SimpleNamespace
) -> None:
    give(pool, keys, "alice")
    job = request(pool, keys)
    now = give(pool, keys, "alice", scope="own")
    work(pool, keys, stages, job)
    assert rows(pool, "SELECT consent_id FROM template") == [(now,)]


def test_expiry_drops_waiting_photos_of_those_whose_time_is_over_alone(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    request(pool, keys)
    give(pool, keys, "bob")
    with transaction(pool) as conn:
        job = uuid4()
        enrol_job.request_enrolment(conn, keys, job, derive_pseudonym(keys, "bob"), [b"a photo"])
        conn.execute("ALTER TABLE consent DISABLE TRIGGER USER")
        conn.execute("UPDATE consent SET expires_at = now() WHERE pid = %s", [derive_pseudonym(keys, "alice")])
        conn.execute("ALTER TABLE consent ENABLE TRIGGER USER")
    with transaction(pool) as conn:
        assert consent.expire_due(conn, keys, datetime.now(UTC)) == 1
    assert rows(pool, "SELECT id FROM event") == rows(pool, "SELECT event_id FROM upload") == [(job,)]
