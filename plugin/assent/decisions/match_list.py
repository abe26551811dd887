"""Keeps each subject's list of matches, which only their own key joins, so that it is read without anybody else's.

A match's row carries a slot of its subject's list (`keys/match_slots.py`). Numbers are taken in order and never again,
so the list ends where a whole block of numbers is not used. Matches of before there were lists, and those that were
altered, have no slot: whoever reads a list opens their locators too. `list_matches` gives the former one, and takes it
from the latter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from assent.audit.broken import record_broken_seal
from assent.core.errors import SealBroken
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.match_slots import match_slots
from assent.keys.subject_keys import SubjectKey, match_locator, match_pseudonym, open_match

FIRST_BLOCK, LARGEST_BLOCK = 64, 4096  # numbers asked for in one statement, doubled each time
MOST_DOUBLINGS = 40  # a list of 2^40 numbers
NARROWED = 32  # numbers asked for at a time between one that is used and one that is not
LISTED_ROWS = 500  # of a transaction
START: Mapping[str, str | int] = {"source": "", "media": "", "face": -1}
_Q, _SUBJECTS = named_queries("match_list"), named_queries("subjects")


class MatchRows(NamedTuple):
    """Rows of table `match`: those of a subject, and those whose locator does not open, which may be theirs."""

    theirs: Sequence[Row]
    unattributed: Sequence[Row]

    @property
    def all(self) -> list[Row]:
        return [*self.theirs, *self.unattributed]


def lock_lists(conn: Conn, tenant: str, pseudonyms: Iterable[bytes]) -> None:
    """Locks the lists of these subjects until the transaction ends; call it once, before `free_number`."""
    for pseudonym in sorted(set(pseudonyms)):  # always in one order
        execute(conn, _Q["lock_match_list"], tenant=tenant, pid=pseudonym)


def free_number(conn: Conn, subject: SubjectKey) -> int:
    """Returns the number that the subject's next match takes. Statements: two for a list of up to 60 matches."""
    used = _used(conn, subject, [(1 << n) - 1 for n in range(MOST_DOUBLINGS)])
    low = next(1 << n for n in reversed(range(MOST_DOUBLINGS)) if (1 << n) - 1 in used) if used else 0
    high = max(2 * low - 1, 0)  # not used, and everything before `low` is
    while low < high:
        numbers = list(range(low, high, -(-(high - low) // NARROWED)))
        used = _used(conn, subject, numbers)
        high = next((number for number in numbers if number not in used), high)
        low = max([low, *(number + 1 for number in used if number < high)])
    return low


def _used(conn: Conn, subject: SubjectKey, numbers: Sequence[int]) -> set[int]:
    slots = dict(zip(match_slots(subject, numbers), numbers, strict=True))
    rows = fetch(conn, _Q["list_used_slots"], tenant=subject.tenant, slots=list(slots))
    return {slots[bytes(row["slot"])] for row in rows}


def read_list(conn: Conn, subject: SubjectKey) -> list[Row]:
    """Returns the rows of table `match` in the subject's list, in the order of media items and faces; opens nothing."""
    found: list[Row] = []
    begin, size = 0, FIRST_BLOCK
    while True:
        slots = match_slots(subject, range(begin, begin + size))
        rows = fetch(conn, _Q["list_used_slots"], tenant=subject.tenant, slots=slots)
        if not rows:
            return sorted(found, key=lambda row: (row["source"], row["media_id"], row["face"]))
        found += [row for row in rows if row["media_id"] is not None]
        begin, size = begin + size, min(2 * size, LARGEST_BLOCK)


def find_own_matches(conn: Conn, keys: TenantKeys, pseudonym: bytes, subject_keys: Iterable[SubjectKey]) -> MatchRows:
    """Reads the lists under these keys of the subject, and opens the locators of matches in no list alone."""
    found = MatchRows([row for subject in subject_keys for row in read_list(conn, subject)], [])
    last = START
    while rows := fetch(conn, _Q["list_next_unlisted"], tenant=keys.tenant, most=LISTED_ROWS, **last):
        page = attribute(keys, rows, pseudonym)
        found = MatchRows([*found.theirs, *page.theirs], [*found.unattributed, *page.unattributed])
        last = _key_of(rows[-1])
    return found


def attribute(keys: TenantKeys, rows: Iterable[Row], pseudonym: bytes) -> MatchRows:
    """Opens the locators of these rows, and leaves those of other subjects out."""
    owners = [(row, _owner(keys, row)) for row in rows]
    return MatchRows(
        [row for row, owner in owners if owner == pseudonym], [row for row, owner in owners if owner is None]
    )


@dataclass(frozen=True, slots=True)
class ListedPage:
    """Tells how far a round of `list_matches` came, None at its end; how many rows it listed and took from lists."""

    last: Mapping[str, str | int] | None
    listed: int = 0
    unlisted: int = 0


def list_matches(conn: Conn, keys: TenantKeys, last: Mapping[str, str | int] = START) -> ListedPage:
    """Gives matches of before lists their slots, and takes it from those whose locator does not open beside it.

    The latter are altered, which the log notes; they may be anybody's from then on. Goes through one page of the
    tenant's matches, behind `last`, without waiting for a lock but those of lists and, last, of the tree.
    """
    keys = keys.now()
    rows = fetch(conn, _Q["lock_next_matches"], tenant=keys.tenant, most=LISTED_ROWS, **last)
    owned = [(row, _owner(keys, row)) for row in rows]
    # An epoch that has just begun is seen by another host a moment before its key.
    altered = [
        row for row, owner in owned if owner is None and row["slot"] is not None and row["epoch"] != keys.epoch + 1
    ]
    moved = _slotted(conn, keys, [(row, owner) for row, owner in owned if owner is not None and row["slot"] is None])
    _set_slots(conn, keys, moved)
    if altered:
        execute(conn, _Q["spend_slots"], tenant=keys.tenant, slots=[row["slot"] for row in altered])
    if any(not keys.is_destroyed(row["epoch"]) for row in altered):
        record_broken_seal(conn, keys, "match", datetime.now(UTC))
    return ListedPage(_key_of(rows[-1]) if rows else None, len(moved), len(altered))


_Slotted = tuple[Row, bytes, int, bytes]  # with the row's slot, epoch and locator


def _slotted(conn: Conn, keys: TenantKeys, owned: Sequence[tuple[Row, bytes]]) -> list[_Slotted]:
    """Gives these rows the next slots of their subjects' lists; those that do not open with the key of now get none.

    They wait for their retraction, or are taken for altered when they are read.
    """
    by_subject: dict[bytes, list[Row]] = defaultdict(list)
    for row, pseudonym in owned:
        by_subject[pseudonym].append(row)
    lock_lists(conn, keys.tenant, by_subject)
    slotted: list[_Slotted] = []
    for pseudonym, rows in by_subject.items():
        subject = _subject(conn, keys, pseudonym)
        theirs = [row for row in rows if subject is not None and _opens(subject, row)]
        if subject is None or not theirs:
            continue
        for number, row in zip(count(free_number(conn, subject)), theirs, strict=False):
            [slot] = match_slots(subject, [number])
            locator = match_locator(keys, row["media_id"], row["face"], pseudonym, slot)
            slotted.append((row, slot, keys.epoch, locator))
    return slotted


def _set_slots(conn: Conn, keys: TenantKeys, slotted: Sequence[_Slotted]) -> None:
    if slotted:
        execute(
            conn,
            _Q["set_slots"],
            tenant=keys.tenant,
            sources=[row["source"] for row, *_ in slotted],
            media_ids=[row["media_id"] for row, *_ in slotted],
            faces=[row["face"] for row, *_ in slotted],
            slots=[slot for _, slot, _, _ in slotted],
            epochs=[epoch for _, _, epoch, _ in slotted],
            locators=[locator for *_, locator in slotted],
        )


def _subject(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> SubjectKey | None:
    row = fetch_one(conn, _SUBJECTS["read_subject_key"], tenant=keys.tenant, pid=pseudonym)
    try:
        return SubjectKey.unwrap(keys, pseudonym, row["epoch"], row["wrapped"]) if row else None
    except SealBroken:
        return None


def _opens(subject: SubjectKey, row: Row) -> bool:
    try:
        open_match(subject, row["media_id"], row["face"], row["sealed"])
    except SealBroken:
        return False
    return True


def _owner(keys: TenantKeys, row: Row) -> bytes | None:
    try:
        return match_pseudonym(keys, row["media_id"], row["face"], row["epoch"], row["locator"], row["slot"])
    except SealBroken:
        return None


def _key_of(row: Row) -> Mapping[str, str | int]:
    return {"source": row["source"], "media": row["media_id"], "face": row["face"]}
