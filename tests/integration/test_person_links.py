"""The way to a person's own page: one visit spends the link, and the session lasts half an hour, or until erasure."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from assent.core.errors import AssentError, LinkGone, SealBroken, SessionOver
from assent.db.pool import Pool, transaction
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import links
from assent.subjects.erase import erase
from tests import people
from tests.events import is_anybody_locked_out, rows
from tests.waiting import until


def mint(pool: Pool, keys: TenantKeys, ref: str = "alice", days: float = 7) -> str:
    with transaction(pool) as conn:
        return links.mint(conn, keys, ref, timedelta(days=days))


def spend(pool: Pool, keystore: Keystore, token: str) -> str:
    with transaction(pool) as conn:
        return links.spend(conn, keystore, token)


def session(pool: Pool, keystore: Keystore, token: str) -> links.Session:
    with transaction(pool) as conn:
        return links.session(conn, keystore, token)


def test_a_link_opens_one_session_of_half_an_hour(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    link = mint(pool, keys)
    found = session(pool, keystore, spend(pool, keystore, link))
    assert (found.tenant, found.pseudonym, found.ref) == (keys.tenant, derive_pseudonym(keys, "alice"), "alice")
    assert timedelta(minutes=29) < found.expires_at - datetime.now(UTC) <= timedelta(minutes=30)
    with pytest.raises(LinkGone):
        spend(pool, keystore, link)


def test_two_visits_at_once_open_one_session(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    link, opened, refused = mint(pool, keys), [], []

    def visit() -> None:
        try:
            opened.append(spend(pool, keystore, link))
        except LinkGone as error:
            refused.append(error)

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(opened), len(refused)) == (1, 7)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "ä" * 43, "a\x00b"])
def test_an_unknown_token_opens_nothing(pool: Pool, keys: TenantKeys, keystore: Keystore, token: str) -> None:
    mint(pool, keys)
    with pytest.raises(LinkGone):
        spend(pool, keystore, token)
    with pytest.raises(SessionOver):
        session(pool, keystore, token)


def test_a_link_is_no_session_and_a_session_no_link(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    link = mint(pool, keys)
    with pytest.raises(SessionOver):
        session(pool, keystore, link)
    cookie = spend(pool, keystore, link)
    with pytest.raises(LinkGone):
        spend(pool, keystore, cookie)


def test_what_has_expired_is_over_and_is_removed(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    late = mint(pool, keys, days=-1)
    with pytest.raises(LinkGone):
        spend(pool, keystore, late)
    cookie, kept = spend(pool, keystore, mint(pool, keys)), mint(pool, keys, "bob")
    with transaction(pool) as conn:
        conn.execute("UPDATE person_link SET expires_at = now() - interval '1 second' WHERE kind = 'session'")
    with pytest.raises(SessionOver):
        session(pool, keystore, cookie)
    with transaction(pool) as conn:
        links.purge(conn)
    assert rows(pool, "SELECT kind, spent_at IS NULL FROM person_link ORDER BY 2") == [
        ("link", False),
        ("link", True),
    ]
    assert spend(pool, keystore, kept)


def test_a_session_can_be_ended(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    cookie, other = spend(pool, keystore, mint(pool, keys)), spend(pool, keystore, mint(pool, keys))
    with transaction(pool) as conn:
        links.end(conn, cookie)
        links.end(conn, "unknown")
    with pytest.raises(SessionOver):
        session(pool, keystore, cookie)
    assert session(pool, keystore, other).ref == "alice"


def test_sessions_and_links_of_an_erased_person_are_over(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    people.give(pool, keys, "alice")
    cookie, link, bobs = (
        spend(pool, keystore, mint(pool, keys)),
        mint(pool, keys),
        spend(pool, keystore, mint(pool, keys, "bob")),
    )
    with transaction(pool) as conn:
        erase(conn, keys, "alice")
    with pytest.raises(SessionOver):
        session(pool, keystore, cookie)
    with pytest.raises(LinkGone):
        spend(pool, keystore, link)
    assert session(pool, keystore, bobs).ref == "bob"


def test_an_erasure_takes_along_a_session_that_is_just_being_opened(
    pool: Pool, keys: TenantKeys, keystore: Keystore
) -> None:
    link, erased = mint(pool, keys), threading.Event()

    def forget() -> None:
        with transaction(pool) as conn:
            erase(conn, keys, "alice")
        erased.set()

    with transaction(pool) as conn:
        cookie = links.spend(conn, keystore, link)
        thread = threading.Thread(target=forget)
        thread.start()
        until(lambda: is_anybody_locked_out(pool), "the erasure waits for the one who speaks of her")
        assert not erased.is_set()
    thread.join()
    assert erased.is_set()
    with pytest.raises(SessionOver):
        session(pool, keystore, cookie)


def test_a_row_moved_to_another_person_opens_nothing(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    cookie = spend(pool, keystore, mint(pool, keys))
    with transaction(pool) as conn:
        conn.execute("UPDATE person_link SET pid = %s WHERE kind = 'session'", [derive_pseudonym(keys, "bob")])
    with pytest.raises(AssentError) as refused:
        session(pool, keystore, cookie)
    assert isinstance(refused.value, SealBroken)


def test_the_database_and_all_keys_without_the_token_tell_nobodys_name(
    pool: Pool, keys: TenantKeys, keystore: Keystore
) -> None:
    link = mint(pool, keys, "subject-alice")
    cookie = spend(pool, keystore, link)
    [(stored,)] = rows(pool, "SELECT string_agg(person_link::text, ' ') FROM person_link")
    for secret in (link, cookie, "subject-alice"):
        assert secret not in stored
        assert secret.encode().hex() not in stored
