"""What nothing needs any more goes when its term is over; what something depends on stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from assent.audit import log
from assent.audit.verify import verify_database
from assent.core.settings import Settings
from assent.core.values import MediaRef
from assent.db.pool import Pool, execute, transaction
from assent.db.queries import named_queries
from assent.decisions.store import revise
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox.dead_letters import redrive
from assent.subjects.export import export_subject
from assent.subjects.throttled import note_throttled
from assent.tenants import rotate_secret
from assent.worker.jobs import WorkerContext, decide_event
from assent.worker.maintenance import purge_expired
from tests.events import leaves, media_item, rows, store
from tests.integration.held import recognise
from tests.people import opt_in_all

Purge = Callable[..., None]
LATER = (
    "UPDATE decision SET replaced_at = replaced_at - make_interval(days => %s)",
    "UPDATE outbox SET replaced_at = replaced_at - make_interval(days => %s)",
)


@pytest.fixture
def purge(settings: Settings, pool: Pool, keystore: Keystore) -> Purge:
    """Does the hourly round, when that many days have passed since anything was replaced."""

    def purge(days_later: int = 0) -> None:
        with transaction(pool) as conn:
            for statement in LATER:
                conn.execute(statement, [days_later])
        purge_expired(settings, pool, keystore)

    return purge


def decide(pool: Pool, keys: TenantKeys) -> UUID:
    """Decides one picture anew; returns the message that tells the platform."""
    recognise(pool, keys, "ana", uuid4(), "photo")
    return UUID(str(rows(pool, "SELECT id FROM outbox ORDER BY revision DESC LIMIT 1")[0][0]))


def deliver(pool: Pool, message: UUID) -> None:
    with transaction(pool) as conn:
        conn.execute("UPDATE outbox SET attempts = 1 WHERE id = %s", [message])
        values = {"tenant": "default", "id": message, "at": datetime.now(UTC)}
        execute(conn, named_queries("outbox")["mark_delivered"], **values)


def revisions(pool: Pool, table: str) -> list[int]:
    return [row[0] for row in rows(pool, f"SELECT revision FROM {table} ORDER BY revision")]  # noqa: S608 - our own


def test_what_later_ones_replaced_goes_after_90_days(pool: Pool, keys: TenantKeys, purge: Purge) -> None:
    for _ in range(3):
        deliver(pool, decide(pool, keys))
    purge(89)
    assert (revisions(pool, "decision"), revisions(pool, "outbox")) == ([1, 2, 3], [1, 2, 3])
    purge(1)
    assert (revisions(pool, "decision"), revisions(pool, "outbox")) == ([3], [3])
    with transaction(pool) as conn:
        revise(conn, keys, media_item("photo"), "tag.retracted")
    # The platform was told before: that is what the newest message still says.
    assert rows(pool, "SELECT type FROM outbox ORDER BY revision") == [("media.tagged",), ("tag.retracted",)]


def test_a_message_stays_until_a_later_one_arrived(pool: Pool, keys: TenantKeys, purge: Purge) -> None:
    deliver(pool, decide(pool, keys))
    _, third = decide(pool, keys), decide(pool, keys)
    with transaction(pool) as conn:
        conn.execute("UPDATE outbox SET state = 'dead', attempts = 12 WHERE id = %s", [third])
    purge(90)
    assert revisions(pool, "outbox") == [1, 3]  # the second was replaced before it was sent
    deliver(pool, decide(pool, keys))
    with transaction(pool) as conn:
        assert redrive(conn, keys.tenant, None) == [third]
    purge(90)
    assert rows(pool, "SELECT revision, state FROM outbox ORDER BY revision") == [(3, "waiting"), (4, "delivered")]


def test_what_a_moderator_decided_stays(pool: Pool, keys: TenantKeys, purge: Purge) -> None:
    decide(pool, keys)
    with transaction(pool) as conn:
        conn.execute('UPDATE decision SET document = document::jsonb || \'{"reviewed": {"action": "block"}}\'')
    decide(pool, keys)
    decide(pool, keys)
    purge(90)
    assert revisions(pool, "decision") == [1, 3]


def test_a_throttled_author_is_named_for_90_days(
    pool: Pool, keys: TenantKeys, purge: Purge, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ana,) = opt_in_all(pool, keys, "ana")
    note_throttled(pool, keys, "prober", ana.pseudonym)
    purge()
    assert said(pool, keys) == ([{"author": "prober"}], {})
    monkeypatch.setitem(log.PART_TERMS, "match.throttled", timedelta(0))
    with transaction(pool) as conn:
        conn.execute("UPDATE audit_payload SET expires_at = now() WHERE expires_at < now() + interval '91 days'")
    purge()
    assert said(pool, keys) == ([None], {})
    [(seq,)] = rows(pool, "SELECT seq FROM audit_leaf WHERE position('throttled'::bytea IN leaf) > 0")
    assert rows(pool, "SELECT sealed FROM audit_payload WHERE seq = %s", seq) == [(b"",), (b"",)]
    assert rows(pool, "SELECT count(*) FROM audit_payload WHERE sealed = '' AND seq <> %s", seq) == [(0,)]
    with transaction(pool) as conn:
        verify_database(conn, keys)
    assert leaves(pool, "seal.broken") == []


def test_a_part_that_was_emptied_before_its_term_is_an_altered_one(pool: Pool, keys: TenantKeys, purge: Purge) -> None:
    (ana,) = opt_in_all(pool, keys, "ana")
    note_throttled(pool, keys, "prober", ana.pseudonym)
    with transaction(pool) as conn:
        conn.execute("UPDATE audit_payload SET sealed = '', expires_at = NULL WHERE expires_at IS NOT NULL")
    assert said(pool, keys) == ([], {"audit": 1})
    assert [leaf["kind"] for leaf in leaves(pool, "seal.broken")] == ["export"]


def said(pool: Pool, keys: TenantKeys) -> tuple[list[Any], dict[str, int]]:
    """What the person's export says of throttled authors, and what of it does not open."""
    with transaction(pool) as conn:
        document = export_subject(conn, keys, "ana")
    throttled = [leaf["said"] for leaf in document["audit"] if leaf["action"] == "match.throttled"]
    return throttled, document["unreadable"]


def test_images_go_with_an_event_that_cannot_be_read(bench: WorkerContext, keys: TenantKeys, purge: Purge) -> None:
    waiting, broken, done = (store(bench, keys, MediaRef("photo", None), b"an image") for _ in range(3))
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE event SET sealed = '' WHERE id = %s", [broken])
        conn.execute("UPDATE event SET done_at = now() WHERE id = %s", [done])
        conn.execute("INSERT INTO upload SELECT tenant, %s, n, sealed FROM upload WHERE event_id = %s", [uuid4(), done])
    decide_event(bench, "default", broken)
    assert rows(bench, "SELECT count(*) FROM upload") == [(3,)]
    purge()
    assert rows(bench, "SELECT event_id FROM upload") == [(waiting,)]


def test_jobs_go_7_days_after_their_end(pool: Pool, keys: TenantKeys, purge: Purge) -> None:
    decide(pool, keys)
    decide(pool, keys)
    jobs = [job for (job,) in rows(pool, "SELECT id FROM procrastinate_jobs ORDER BY id")]
    with transaction(pool) as conn:
        for status, ended in (("doing", jobs[:3]), ("succeeded", jobs[:2])):
            conn.execute("UPDATE procrastinate_jobs SET status = %s WHERE id = ANY(%s)", [status, ended])
        conn.execute("UPDATE procrastinate_events SET at = at - interval '8 days' WHERE job_id <> %s", [jobs[1]])
    purge()
    assert rows(pool, "SELECT id FROM procrastinate_jobs ORDER BY id") == [(job,) for job in jobs[1:]]


def test_ended_secrets_go_and_a_shorter_term_counts_for_kept_copies(pool: Pool, keys: TenantKeys, purge: Purge) -> None:
    with transaction(pool) as conn:
        rotate_secret(conn, keys, "endpoint", "platform", timedelta(0))
        conn.execute(
            "INSERT INTO kept_picture (tenant, source, media_id, sealed, kept_until)"
            " VALUES ('default', 'platform', 'photo', '', now() + interval '365 days')"
        )
    purge()
    assert rows(pool, "SELECT count(*) FROM webhook_secret WHERE owner = 'endpoint'") == [(1,)]
    assert rows(pool, "SELECT kept_until <= now() + interval '30 days' FROM kept_picture") == [(True,)]
