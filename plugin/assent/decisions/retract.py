"""Removes a subject's matches from every media item, and retracts them from everyone who was told of them.

The media items in which a subject was recognised are written nowhere in the clear. So all of the tenant's matches are
read, and each locator is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from assent.core.errors import SealBroken
from assent.core.values import MediaItem
from assent.db.pool import Conn, Pool, Row, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.db.queue import enqueue_retraction, retraction_done
from assent.decisions.store import revise
from assent.keys.keystore import TenantKeys
from assent.keys.subject_keys import match_pseudonym

MATCH_ROWS = 1000  # rows of `match` read at a time
_Q = named_queries("record")


def queue_retraction(conn: Conn, tenant: str, pseudonym: bytes, erasure: UUID | None = None) -> None:
    """Queues `retract` with the caller's transaction, which touches no media item."""
    enqueue_retraction(conn, tenant, pseudonym, erasure)


def retract(pool: Pool, keys: TenantKeys, pseudonym: bytes, erasure: UUID | None = None, job: int | None = None) -> int:
    """Removes every match of the subject, revises each media item, and returns the number of media items.

    This is the job; at its end the queue's job of that number forgets whom it was about. Each media item has a
    transaction of its own, so a run that was cut short is finished by the next. It reads no consent: what was matched
    under a consent that was given again meanwhile goes as well.
    """
    with transaction(pool) as conn:
        items = sorted({_item_of(row) for row in rows_of(conn, keys, pseudonym)})
    for item in items:
        with transaction(pool) as conn:
            _retract_media(conn, keys, item, pseudonym)
    with transaction(pool) as conn:
        if erasure is not None:
            execute(conn, _Q["mark_erasure_retracted"], tenant=keys.tenant, erasure=erasure)
        if job is not None:
            retraction_done(conn, job)
    return len(items)


def rows_of(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> Iterator[Row]:
    """Yields `source`, `media_id` and `face` of every match of the subject, in that order."""
    last = {"source": "", "media": "", "face": -1}
    while rows := fetch(conn, _Q["list_next_matches"], tenant=keys.tenant, most=MATCH_ROWS, **last):
        yield from (row for row in rows if _is_of(keys, row["media_id"], row, pseudonym))
        last = {"source": rows[-1]["source"], "media": rows[-1]["media_id"], "face": rows[-1]["face"]}


def _is_of(keys: TenantKeys, media_id: str, row: Row, pseudonym: bytes) -> bool:
    try:
        return match_pseudonym(keys, media_id, row["face"], row["epoch"], row["locator"]) == pseudonym
    except SealBroken:
        return False  # altered, or of an epoch that is gone: it names nobody


def _item_of(row: Row) -> MediaItem:
    return MediaItem(row["source"], row["media_id"])


def _retract_media(conn: Conn, keys: TenantKeys, item: MediaItem, pseudonym: bytes) -> None:
    key = item.key(keys.tenant)
    execute(conn, _Q["lock_media"], **key)
    rows = [row for row in fetch(conn, _Q["list_matches_of_media"], **key) if _is_of(keys, item.id, row, pseudonym)]
    for row in rows:
        execute(conn, _Q["delete_match"], **key, face=row["face"])
    if any(row["state"] == "published" for row in rows):
        revise(conn, keys, item, "tag.retracted")
