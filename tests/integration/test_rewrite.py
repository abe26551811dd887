"""Rows of people that changed within an hour are written anew together; nobody waits for it, no gallery hears of it."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from assent.core import clock
from assent.db.channels import GALLERY_CHANNEL
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import connections, links
from assent.subjects.erase import erase
from assent.subjects.rewrite import PEOPLE_TABLES, rewrite_people
from tests.events import rows
from tests.integration.held import tables_with
from tests.people import enrol, give
from tests.waiting import until


@pytest.fixture
def people(pool: Pool, keys: TenantKeys) -> list[str]:
    refs = ["alice", "bob", "carol"]
    for ref in refs:
        give(pool, keys, ref)
        with transaction(pool) as conn:
            enrol(conn, keys, ref)
            connections.state_connections(conn, keys, ref, refs, datetime.now(UTC))
            links.mint(conn, keys, ref)
    return refs


def begin_hour(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> int:
    """As if an hour began now; how many rows are written anew."""
    monkeypatch.setattr(clock, "_EPOCH", datetime.now(UTC))
    with transaction(pool) as conn:
        return rewrite_people(conn)


def wait_until_older_transactions_end(pool: Pool, number: str) -> None:
    """Also those of other tests on this server: while one of them runs, rows with this number may still change."""
    oldest = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"
    until(lambda: int(rows(pool, oldest)[0][0]) % 2**32 > int(number), "the older transactions end")


def numbers(pool: Pool, table: str) -> dict[bytes, str]:
    return dict(rows(pool, f"SELECT pid, xmin::text FROM {table}"))  # noqa: S608 - ours


def test_every_table_that_names_a_pseudonym_is_written_anew(pool: Pool) -> None:
    assert tables_with(pool, "pid") == set(PEOPLE_TABLES)


@pytest.mark.usefixtures("people")
def test_what_changed_within_an_hour_has_one_number_and_the_rest_keeps_its_own(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert begin_hour(pool, monkeypatch) > 0
    with transaction(pool) as conn:
        assert rewrite_people(conn) == 0  # another worker, in the same hour
    [first] = {number for table in PEOPLE_TABLES for number in numbers(pool, table).values()}
    give(pool, keys, "dave")
    give(pool, keys, "erin")
    wait_until_older_transactions_end(pool, first)
    begin_hour(pool, monkeypatch)
    assert len(set(numbers(pool, "subject").values())) == 2
    new = {numbers(pool, "subject")[derive_pseudonym(keys, ref)] for ref in ("dave", "erin")}
    assert len(new) == 1
    assert numbers(pool, "consent")[derive_pseudonym(keys, "dave")] in new
    assert numbers(pool, "template") == dict.fromkeys(numbers(pool, "template"), first)
    assert begin_hour(pool, monkeypatch) == 0


@pytest.mark.usefixtures("people")
def test_so_are_the_consents_of_erased_people_whose_they_were_an_older_copy_tells(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_hour(pool, monkeypatch)
    for ref in ("alice", "bob"):
        with transaction(pool) as conn:
            erase(conn, keys, ref)
    give(pool, keys, "dave")
    begin_hour(pool, monkeypatch)
    together = {numbers(pool, "subject")[derive_pseudonym(keys, "dave")]}
    assert {number for (number,) in rows(pool, "SELECT xmin::text FROM ended_consent")} == together


@pytest.mark.usefixtures("people")
def test_a_row_that_somebody_has_locked_is_left_to_the_next_hour(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, before = derive_pseudonym(keys, "alice"), numbers(pool, "consent")
    with transaction(pool) as conn:
        conn.execute("SELECT FROM consent WHERE pid = %s FOR UPDATE", [alice])
        begin_hour(pool, monkeypatch)
        after = numbers(pool, "consent")
        assert [pid for pid in before if before[pid] == after[pid]] == [alice]
    begin_hour(pool, monkeypatch)
    assert numbers(pool, "consent")[alice] != before[alice]


@pytest.mark.usefixtures("people")
def test_a_gallery_hears_nothing_of_it(
    pool: Pool, keys: TenantKeys, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {GALLERY_CHANNEL}")
        begin_hour(pool, monkeypatch)
        give(pool, keys, "dave")
        told = {note.payload for note in listener.notifies(timeout=10, stop_after=1)}
    assert told == {f"default {derive_pseudonym(keys, 'dave').hex()}"}
