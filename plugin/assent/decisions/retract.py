"""Taking a person's matches back: from every picture, and from whoever was told of them.

Which pictures a person was recognised in is written nowhere in the clear, so all of the tenant's matches are looked
through, and each locator is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from assent.core.errors import SealBroken
from assent.db.pool import Conn, Pool, Row, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.db.queue import enqueue_retraction, retraction_done
from assent.decisions.store import revise
from assent.keys.keystore import TenantKeys
from assent.keys.subject_keys import match_pid

BATCH = 1000  # rows of `match` read at a time
_Q = named_queries("record")


def queue_retraction(conn: Conn, tenant: str, pid: bytes, erasure: UUID | None = None) -> None:
    """Queues `retract` with the caller's transaction, which touches no picture."""
    enqueue_retraction(conn, tenant, pid, erasure)


def retract(pool: Pool, keys: TenantKeys, pid: bytes, erasure: UUID | None = None, job: int | None = None) -> int:
    """The job: removes every match of the person, revises each picture, and returns how many pictures those were. At
    its end the queue's job of that number forgets whom it was about.

    Each picture has a transaction of its own, so a run that was cut short is finished by the next. It asks for no
    consent: what was matched under a consent that was given again meanwhile goes as well.
    """
    with transaction(pool) as conn:
        pictures = sorted({row["media_id"] for row in rows_of(conn, keys, pid)})
    for media_id in pictures:
        with transaction(pool) as conn:
            _retract_picture(conn, keys, media_id, pid)
    with transaction(pool) as conn:
        if erasure is not None:
            execute(conn, _Q["retracted"], tenant=keys.tenant, erasure=erasure)
        if job is not None:
            retraction_done(conn, job)
    return len(pictures)


def rows_of(conn: Conn, keys: TenantKeys, pid: bytes) -> Iterator[Row]:
    """`media_id` and `face` of every match of the person, in that order."""
    last = {"media": "", "face": -1}
    while rows := fetch(conn, _Q["some_matches"], tenant=keys.tenant, most=BATCH, **last):
        yield from (row for row in rows if _is_of(keys, row["media_id"], row, pid))
        last = {"media": rows[-1]["media_id"], "face": rows[-1]["face"]}


def _is_of(keys: TenantKeys, media_id: str, row: Row, pid: bytes) -> bool:
    try:
        return match_pid(keys, media_id, row["face"], row["epoch"], row["locator"]) == pid
    except SealBroken:
        return False  # altered, or of an epoch that is gone: it names nobody


def _retract_picture(conn: Conn, keys: TenantKeys, media_id: str, pid: bytes) -> None:
    place = {"tenant": keys.tenant, "media": media_id}
    execute(conn, _Q["lock_media"], **place)
    rows = [row for row in fetch(conn, _Q["matches_of_media"], **place) if _is_of(keys, media_id, row, pid)]
    for row in rows:
        execute(conn, _Q["drop_match"], **place, face=row["face"])
    if any(row["state"] == "published" for row in rows):
        revise(conn, keys, media_id, "tag.retracted")
