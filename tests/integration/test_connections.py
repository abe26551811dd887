"""S may be recognised in A's post only if S chose A, and said so within a day."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from assent.core.clock import coarse
from assent.core.errors import ConsentMissing, TooManyConnections
from assent.db.pool import Pool, transaction
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import connections, consent
from assent.subjects.connections import FRESH, MOST_CONNECTIONS, author_mac
from assent.subjects.erase import erase
from assent.tenants import init_tenant
from tests.events import rows
from tests.people import give

NOW = datetime.now(UTC)


def state(pool: Pool, keys: TenantKeys, who: str, *authors: str, at: datetime = NOW) -> int:
    with transaction(pool) as conn:
        return connections.state_connections(conn, keys, who, authors, at)


def chose(pool: Pool, keys: TenantKeys, author: str, at: datetime = NOW, stated: Sequence[bytes] = ()) -> set[bytes]:
    with transaction(pool) as conn:
        return set(connections.list_connected_subjects(conn, keys, author, stated, at))


def test_the_list_replaces_the_one_before(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    give(pool, keys, "bob")
    alice, bob = derive_pseudonym(keys, "alice"), derive_pseudonym(keys, "bob")
    assert state(pool, keys, "alice", "carol", "dave", "dave") == 2
    assert state(pool, keys, "bob", "carol") == 1
    assert chose(pool, keys, "carol") == {alice, bob}
    assert state(pool, keys, "alice", "dave", "erin") == 2
    assert [chose(pool, keys, author) for author in ("carol", "dave", "erin")] == [{bob}, {alice}, {alice}]
    assert state(pool, keys, "alice") == 0
    assert chose(pool, keys, "dave") == set()


def test_who_chose_somebody_is_not_chosen_by_them(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    give(pool, keys, "carol")
    state(pool, keys, "alice", "carol")
    assert chose(pool, keys, "alice") == set()


def test_a_list_counts_for_a_day(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    stated = coarse(NOW)
    state(pool, keys, "alice", "carol", at=stated)
    just_before, then = stated + FRESH - timedelta(seconds=1), stated + FRESH
    assert chose(pool, keys, "carol", just_before) == {derive_pseudonym(keys, "alice")}
    assert chose(pool, keys, "carol", then) == set()
    state(pool, keys, "alice", "carol", at=then)
    assert chose(pool, keys, "carol", then) == {derive_pseudonym(keys, "alice")}
    state(
        pool, keys, "alice", "carol", at=then + timedelta(minutes=59)
    )  # by the hour alone, and never longer than a day
    assert chose(pool, keys, "carol", then + FRESH - timedelta(seconds=1)) == {derive_pseudonym(keys, "alice")}
    assert chose(pool, keys, "carol", then + FRESH) == set()


def test_a_list_of_any_age_is_the_limit_of_what_an_event_states(pool: Pool, keys: TenantKeys) -> None:
    everybody = {who: derive_pseudonym(keys, who) for who in ("alice", "bob", "erin")}
    for who in everybody:
        give(pool, keys, who)
    state(pool, keys, "alice", "carol", at=NOW - 30 * FRESH)
    state(pool, keys, "bob", at=NOW - 30 * FRESH)
    stated = list(everybody.values())
    assert chose(pool, keys, "carol", stated=stated) == {everybody["alice"], everybody["erin"]}
    assert chose(pool, keys, "an invented author", stated=stated) == {everybody["erin"]}
    assert chose(pool, keys, "carol") == set()


def test_5000_are_taken_and_5001_refused(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    names = [f"author {n}" for n in range(MOST_CONNECTIONS + 1)]
    assert state(pool, keys, "alice", *names[1:]) == MOST_CONNECTIONS
    with pytest.raises(TooManyConnections):
        state(pool, keys, "alice", *names)
    assert chose(pool, keys, names[0]) == set()
    assert chose(pool, keys, names[MOST_CONNECTIONS]) == {derive_pseudonym(keys, "alice")}


def test_without_a_consent_in_force_nothing_is_stored(pool: Pool, keys: TenantKeys) -> None:
    with pytest.raises(ConsentMissing):
        state(pool, keys, "nobody", "carol")
    give(pool, keys, "alice")
    state(pool, keys, "alice", "carol")
    with transaction(pool) as conn:
        consent.withdraw_all(conn, keys, derive_pseudonym(keys, "alice"))
    with pytest.raises(ConsentMissing):
        state(pool, keys, "alice", "carol")
    assert rows(pool, "SELECT count(*) FROM connection_list") == [(0,)]
    assert rows(pool, "SELECT count(*) FROM connection") == [(0,)]


def test_another_tenants_choice_is_another_one(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    give(pool, keys, "alice")
    state(pool, keys, "alice", "carol")
    theirs = keystore.tenant("other")
    assert chose(pool, theirs, "carol") == set()
    assert author_mac(theirs, "carol") != author_mac(keys, "carol")


def test_the_rows_say_neither_who_nor_whom(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    give(pool, keys, "carol")
    state(pool, keys, "alice", "carol")
    [(mac,)] = rows(pool, "SELECT author_mac FROM connection")
    assert (len(mac), mac) == (16, author_mac(keys, "carol"))
    assert derive_pseudonym(keys, "carol")[:16] != mac  # the author's own rows do not name them here


def test_who_is_erased_is_chosen_by_nobody(pool: Pool, keys: TenantKeys) -> None:
    for person in ("alice", "carol"):
        give(pool, keys, person)
    state(pool, keys, "alice", "carol", "dave")
    state(pool, keys, "carol", "alice")
    with transaction(pool) as conn:
        erase(conn, keys, "carol")
    assert rows(pool, "SELECT author_mac FROM connection") == [(author_mac(keys, "dave"),)]


def test_of_two_lists_at_once_one_stands_and_not_a_mixture(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    lists = [[f"{name} {n}" for n in range(200)] for name in "abcd"]
    ready = threading.Barrier(4)

    def one(authors: list[str]) -> int:
        ready.wait()
        return state(pool, keys, "alice", *authors)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, lists)) == [200] * 4
    stored = {bytes(mac) for (mac,) in rows(pool, "SELECT author_mac FROM connection")}
    assert stored in [{author_mac(keys, author) for author in authors} for authors in lists]
