"""Who was silent for as long as their law allows is erased; who did something themselves is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import connections, consent
from assent.subjects.consent import touch_last_interaction
from assent.subjects.retention import end_due, erase_due
from assent.worker.jobs import WorkerContext
from assent.worker.maintenance import end_due_by
from tests.events import rows
from tests.people import enrol, give, said

YEAR, DAY = timedelta(days=365), timedelta(days=1)
NOW = datetime.now(UTC)


def left(pool: Pool) -> set[bytes]:
    return {bytes(pid) for (pid,) in rows(pool, "SELECT pid FROM subject")}


def test_each_is_erased_when_their_own_term_is_over(pool: Pool, keys: TenantKeys) -> None:
    for name, place in (("tex", "US-TX"), ("ill", "US-IL"), ("deu", "DE")):
        give(pool, keys, name, jurisdiction=place)
        with transaction(pool) as conn:
            enrol(conn, keys, name)
    assert erase_due(pool, keys, NOW + YEAR - DAY) == 0
    assert erase_due(pool, keys, NOW + YEAR + DAY) == 1
    assert left(pool) == {derive_pseudonym(keys, "ill"), derive_pseudonym(keys, "deu")}
    assert erase_due(pool, keys, NOW + 3 * YEAR - DAY) == 0
    assert erase_due(pool, keys, NOW + 3 * YEAR + DAY) == 2
    for table in ("subject", "subject_key", "consent", "template"):
        assert rows(pool, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - ours
    assert rows(pool, "SELECT count(*) FROM erasure") == [(3,)]
    assert rows(pool, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'retract'") == [(3,)]


def test_what_the_person_does_begins_the_term_anew(pool: Pool, keys: TenantKeys) -> None:
    given_id = give(pool, keys, "tex", jurisdiction="US-TX")
    with transaction(pool) as conn:
        touch_last_interaction(conn, keys.tenant, derive_pseudonym(keys, "tex"), NOW + YEAR)
        touch_last_interaction(conn, keys.tenant, derive_pseudonym(keys, "tex"), NOW)  # an older one changes nothing
    assert erase_due(pool, keys, NOW + YEAR + DAY) == 0
    assert erase_due(pool, keys, NOW + 2 * YEAR + DAY) == 1
    assert left(pool) == set()
    assert rows(pool, "SELECT count(*) FROM consent WHERE id = %s", given_id) == [(0,)]


def test_consenting_and_withdrawing_are_what_a_person_does_and_a_list_is_not(pool: Pool, keys: TenantKeys) -> None:
    pid = derive_pseudonym(keys, "alice")

    def silent_since_long() -> bool:
        with transaction(pool) as conn:
            done = conn.execute("SELECT interacted_at < now() - interval '1 year' FROM subject").fetchall() == [(True,)]
            conn.execute("UPDATE subject SET interacted_at = now() - interval '2 years'")
            return done

    give(pool, keys, "alice")
    assert not silent_since_long()
    with transaction(pool) as conn:
        connections.state_connections(conn, keys, "alice", ["bob"], NOW)
    assert silent_since_long()  # the platform states it every day
    give(pool, keys, "alice")
    assert not silent_since_long()
    with transaction(pool) as conn:
        consent.withdraw_all(conn, keys, pid)
    assert not silent_since_long()


def test_one_whose_key_was_tampered_with_keeps_nobody_else(pool: Pool, keys: TenantKeys) -> None:
    for name in ("alice", "bob"):
        give(pool, keys, name, jurisdiction="US-TX")
    with transaction(pool) as conn:
        broken = derive_pseudonym(keys, "alice")
        conn.execute("UPDATE subject_key SET wrapped = decode(repeat('00', 60), 'hex') WHERE pid = %s", [broken])
    assert erase_due(pool, keys, NOW + 2 * YEAR) == 1
    assert left(pool) == {broken}


def test_the_hourly_round_ends_consents_and_erases(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice", valid_for=DAY)
    end_due(pool, keys, NOW + 2 * DAY)
    assert rows(pool, "SELECT count(*) FROM consent WHERE expired_at IS NOT NULL") == [(1,)]
    end_due(pool, keys, NOW + 4 * YEAR)
    assert left(pool) == set()


def test_the_worker_goes_round_and_logs_the_declaration(bench: WorkerContext, keys: TenantKeys) -> None:
    words = "Searching all uploads is lawful here."
    give(bench.pool, keys, "alice", valid_for=DAY)
    declared = replace(bench, settings=bench.settings.model_copy(update={"anyone_declaration": words}))
    for hours in (0, 1):
        end_due_by(declared.settings, declared.pool, declared.keystore, NOW + timedelta(hours=hours))
    assert said(bench.pool, keys, "anyone.declared") == [{"words": words}]
    assert rows(bench.pool, "SELECT count(*) FROM consent WHERE expired_at IS NOT NULL") == [(0,)]
    end_due_by(bench.settings, bench.pool, bench.keystore, NOW + 2 * DAY)
    assert rows(bench.pool, "SELECT count(*) FROM consent WHERE expired_at IS NOT NULL") == [(1,)]


def test_a_keys_folder_that_takes_nothing_ends_no_worker(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    give(pool, keys, "ana", valid_for=DAY)
    (keystore.keys_dir / "ended").write_text("no folder")
    end_due_by(Settings(), pool, keystore, NOW + 2 * DAY)
    assert rows(pool, "SELECT count(*) FROM consent WHERE expired_at IS NULL") == [(1,)]
    (keystore.keys_dir / "ended").unlink()
    end_due_by(Settings(), pool, keystore, NOW + 2 * DAY)
    assert rows(pool, "SELECT count(*) FROM consent WHERE expired_at IS NULL") == [(0,)]
