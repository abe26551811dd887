"""Removes a subject's matches from every media item, and retracts them from everyone who was told of them.

The media items in which a subject was recognised are written nowhere in the clear, and the key that reads their list
may be gone. So all of the tenant's matches are read, and each locator is opened. A match whose locator does not open
cannot be attributed to anybody, so that it may be this subject's: it is retracted too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from uuid import UUID

from assent.audit.broken import note_altered_row
from assent.core.errors import SealBroken
from assent.core.values import MediaItem
from assent.db.pool import Conn, Pool, Row, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.db.queue import retraction_done
from assent.decisions.assemble import Person, person_of, standing_match
from assent.decisions.match_list import MatchRows, attribute
from assent.decisions.store import revise
from assent.keys.keystore import TenantKeys

MATCH_ROWS = 1000  # rows of `match` read at a time
KEYS_SHOWN_SECONDS = 2.0  # a keys folder shared over a network may show a new epoch a second late
_Q = named_queries("record")


def retract(pool: Pool, keys: TenantKeys, pseudonym: bytes, erasure: UUID | None = None, job: int | None = None) -> int:
    """Removes every match that is or may be the subject's, revises each media item, and returns how many it looked at.

    This is the job; at its end the queue's job of that number forgets whom it was about. Each media item has a
    transaction of its own, so a run that was cut short is finished by the next. What was matched under a consent that
    was given meanwhile stays.
    """
    with transaction(pool) as conn:
        found = find_matches(conn, keys, pseudonym)
    if any(row["epoch"] > keys.now().epoch for row in found.unattributed):
        time.sleep(KEYS_SHOWN_SECONDS)
        with transaction(pool) as conn:
            found = find_matches(conn, keys, pseudonym)
    if is_any_altered(keys, found.unattributed):
        note_altered_row(pool, keys, "match")  # before they go
    items = sorted({MediaItem(row["source"], row["media_id"]) for row in found.all})
    for item in items:
        with transaction(pool) as conn:
            _retract_media(conn, keys, item, pseudonym)
    with transaction(pool) as conn:
        if erasure is not None:
            execute(conn, _Q["mark_erasure_retracted"], tenant=keys.tenant, erasure=erasure)
        if job is not None:
            retraction_done(conn, job)
    return len(items)


def find_matches(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> MatchRows:
    """Reads through all of the tenant's matches; each list is in the order of media items and faces."""
    found, last = MatchRows([], []), {"source": "", "media": "", "face": -1}
    while rows := fetch(conn, _Q["list_next_matches"], tenant=keys.tenant, most=MATCH_ROWS, **last):
        page = attribute(keys, rows, pseudonym)
        found = MatchRows([*found.theirs, *page.theirs], [*found.unattributed, *page.unattributed])
        last = {"source": rows[-1]["source"], "media": rows[-1]["media_id"], "face": rows[-1]["face"]}
    return found


def is_any_altered(keys: TenantKeys, unattributed: Iterable[Row]) -> bool:
    """Tells whether one of these rows was altered, rather than left behind by an epoch whose key is destroyed."""
    return any(not keys.is_destroyed(row["epoch"]) for row in unattributed)


def _retract_media(conn: Conn, keys: TenantKeys, item: MediaItem, pseudonym: bytes) -> None:
    """Removes the media item's matches that are or may be the subject's now, and stand on no consent in force."""
    key = item.key(keys.tenant)
    execute(conn, _Q["lock_media"], **key)
    found = attribute(keys, fetch(conn, _Q["list_matches_of_media"], **key), pseudonym)
    person = _person_or_none(conn, keys, pseudonym) if found.theirs else None
    theirs = [row for row in found.theirs if not _stands(conn, keys, person, row)]
    for row in [*theirs, *found.unattributed]:
        execute(conn, _Q["delete_match"], **key, face=row["face"])
    # Whoever altered a locator may have altered the state beside it.
    if found.unattributed or any(row["state"] == "published" for row in theirs):
        revise(conn, keys, item, "tag.retracted")


def _person_or_none(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> Person | None:
    try:
        return person_of(conn, keys, pseudonym)
    except SealBroken:
        return None


def _stands(conn: Conn, keys: TenantKeys, person: Person | None, row: Row) -> bool:
    """Tells whether a match names the person's consent in force; one that does not open names none."""
    if person is None:
        return False
    try:
        match = standing_match(conn, keys, person, row["media_id"], row["face"], row["sealed"])
    except SealBroken:
        return False
    return match is not None and "series" in match
