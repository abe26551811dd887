"""A person's matches are read from their own list: what others have costs nothing, and no row tells whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assent.db.pool import Pool, transaction
from assent.decisions import match_list
from assent.decisions.match_list import START, free_number, list_matches, read_list
from assent.decisions.retract import retract
from assent.keys import seal
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.match_slots import match_slots
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import match_locator, match_pseudonym
from assent.subjects.consent import open_subject, withdraw_all
from assent.subjects.erase import erase
from assent.subjects.export import export_subject
from assent.subjects.matches import matches_of
from assent.subjects.rotate import rotate_epoch
from tests import people
from tests.events import leaves, rows
from tests.integration.held import recognise

Recognised = Callable[[str, str], None]


@pytest.fixture
def recognised(pool: Pool, keys: TenantKeys) -> Recognised:
    """Recognises a person, who consents when they are named first, in a picture."""
    templates: dict[str, UUID] = {}

    def act(ref: str, media_id: str) -> None:
        if ref not in templates:
            people.give(pool, keys, ref)
            with transaction(pool) as conn:
                templates[ref] = people.enrol(conn, keys, ref, 1)
        recognise(pool, keys, ref, templates[ref], media_id)

    return act


def seen(pool: Pool, keys: TenantKeys, ref: str) -> list[str]:
    with transaction(pool) as conn:
        return sorted(match.item.id for match in matches_of(conn, keys, derive_pseudonym(keys, ref)))


def exported(pool: Pool, keys: TenantKeys, ref: str) -> list[str]:
    with transaction(pool) as conn:
        return sorted(match["media_id"] for match in export_subject(conn, keys, ref)["matches"])


def slots(pool: Pool) -> dict[str, bytes | None]:
    return {media: slot and bytes(slot) for media, slot in rows(pool, "SELECT media_id, slot FROM match")}


def list_all(pool: Pool, keys: TenantKeys) -> tuple[int, int]:
    """Goes through all pages as the worker does each hour; how many were listed, and how many taken from lists."""
    listed = unlisted = 0
    last = START
    while True:
        with transaction(pool) as conn:
            page = list_matches(conn, keys, last)
        listed, unlisted = listed + page.listed, unlisted + page.unlisted
        if page.last is None:
            return listed, unlisted
        last = page.last


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Yields the additional data of every sealed value that is opened meanwhile."""
    places: list[bytes] = []

    class Counting:
        def __init__(self, key: bytes) -> None:
            self.cipher = AESGCM(key)

        def decrypt(self, nonce: bytes, data: bytes, place: bytes) -> bytes:
            places.append(place)
            return self.cipher.decrypt(nonce, data, place)

    with monkeypatch.context() as patch:
        patch.setattr(seal, "AESGCM", Counting)
        yield places


def test_what_others_have_is_not_opened(
    pool: Pool, keys: TenantKeys, recognised: Recognised, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognised("alice", "hers")
    counts = []
    for more in (0, 40):
        for n in range(more):
            recognised(f"other {n % 4}", f"another {n}")
        with opened(monkeypatch) as places:
            assert seen(pool, keys, "alice") == ["hers"]
        counts.append(len(places))
    assert counts == [3, 3]  # her key, her name, her match


def test_a_long_list_is_whole_and_ends(pool: Pool, keys: TenantKeys, recognised: Recognised) -> None:
    recognised("alice", "hers")
    with transaction(pool) as conn:
        subject = open_subject(conn, keys, derive_pseudonym(keys, "alice"))
        for length in (1, 2, 3, 4, 63, 64, 65, 127, 128, 191, 192, 193, 600):
            conn.execute("DELETE FROM spent_slot")
            query = "INSERT INTO spent_slot SELECT 'default', unnest(%s::bytea[])"
            conn.execute(query, [match_slots(subject, range(1, length))])
            assert free_number(conn, subject) == length
            assert [row["media_id"] for row in read_list(conn, subject)] == ["hers"]
    recognised("alice", "next")
    with transaction(pool) as conn:
        assert free_number(conn, subject) == 601
    assert seen(pool, keys, "alice") == ["hers", "next"]


def test_no_value_stands_in_two_rows_nor_comes_again(pool: Pool, keys: TenantKeys, recognised: Recognised) -> None:
    once: set[bytes] = set()
    for n in range(3):
        for media_id in ("first", "second", f"third {n}"):
            recognised("alice", media_id)
        values = set(slots(pool).values())
        assert None not in values
        assert len(values) == 3 + n
        once |= {value for value in values if value}
    assert len(once) == 9  # each recording took new ones
    spent = {bytes(value) for (value,) in rows(pool, "SELECT slot FROM spent_slot")}
    assert spent | set(slots(pool).values()) == once
    assert spent.isdisjoint(slots(pool).values())


def test_decisions_at_once_take_different_slots(pool: Pool, keys: TenantKeys, recognised: Recognised) -> None:
    names = [f"picture {n}" for n in range(12)]
    recognised("alice", "before")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: recognised("alice", name), names))
    assert seen(pool, keys, "alice") == sorted([*names, "before"])


def test_those_of_before_are_seen_at_once_and_listed_once(
    pool: Pool, keys: TenantKeys, recognised: Recognised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_list, "LISTED_ROWS", 3)
    names = [f"picture {n}" for n in range(5)]
    for name in names:
        recognised("alice", name)
        recognised("bob", f"his {name}")
    unlist(pool, keys)
    assert seen(pool, keys, "alice") == exported(pool, keys, "alice") == names
    recognised("alice", "picture 9")
    assert list_all(pool, keys) == (10, 0)
    assert list_all(pool, keys) == (0, 0)
    assert None not in slots(pool).values()
    assert seen(pool, keys, "alice") == exported(pool, keys, "alice") == [*names, "picture 9"]
    assert leaves(pool, "seal.broken") == []


def unlist(pool: Pool, keys: TenantKeys) -> None:
    """Makes all matches as they were written before there were lists."""
    with transaction(pool) as conn:
        for media_id, face, epoch, locator, slot in conn.execute(
            "SELECT media_id, face, epoch, locator, slot FROM match"
        ).fetchall():
            pseudonym = match_pseudonym(keys, media_id, face, epoch, locator, slot)
            bare = match_locator(keys, media_id, face, pseudonym, None)
            conn.execute("UPDATE match SET slot = NULL, locator = %s WHERE media_id = %s", [bare, media_id])
        conn.execute("DELETE FROM spent_slot")


def test_a_rotation_keeps_the_lists(pool: Pool, keystore: Keystore, keys: TenantKeys, recognised: Recognised) -> None:
    recognised("alice", "hers")
    before = slots(pool)
    rotate_epoch(pool, keystore, "default")
    assert (slots(pool), seen(pool, keys, "alice")) == (before, ["hers"])
    assert list_all(pool, keys) == (0, 0)


@pytest.mark.parametrize("way", ["withdrawal", "erasure"])
def test_after_the_end_of_a_consent_the_list_begins_anew(
    pool: Pool, keys: TenantKeys, recognised: Recognised, way: str
) -> None:
    pseudonym = derive_pseudonym(keys, "alice")
    for n in range(3):
        recognised("alice", f"picture {n}")
    former = set(slots(pool).values())
    with transaction(pool) as conn:
        if way == "withdrawal":
            withdraw_all(conn, keys, pseudonym)
        else:
            erase(conn, keys, "alice")
    retract(pool, keys, pseudonym)
    assert (seen(pool, keys, "alice"), slots(pool)) == ([], {})
    people.give(pool, keys, "alice")
    with transaction(pool) as conn:
        template = people.enrol(conn, keys, "alice", 1)
    recognise(pool, keys, "alice", template, "anew")
    with transaction(pool) as conn:
        subject = open_subject(conn, keys, pseudonym)
    assert slots(pool) == {"anew": match_slots(subject, [0])[0]}
    assert former.isdisjoint(match_slots(subject, range(100)))
    assert seen(pool, keys, "alice") == exported(pool, keys, "alice") == ["anew"]


def test_an_altered_slot_is_found_by_the_next_round_and_may_be_anybodys(
    pool: Pool, keys: TenantKeys, recognised: Recognised
) -> None:
    recognised("alice", "hers")
    recognised("bob", "his")
    rows(pool, "UPDATE match SET slot = 'x' WHERE media_id = 'hers' RETURNING slot")
    assert list_all(pool, keys) == (0, 1)
    assert [leaf["kind"] for leaf in leaves(pool, "seal.broken")] == ["match"]
    assert (seen(pool, keys, "alice"), seen(pool, keys, "bob")) == ([], ["his"])
    with transaction(pool) as conn:
        assert export_subject(conn, keys, "bob")["unattributed"] == {"matches": 1}
