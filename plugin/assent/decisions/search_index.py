"""Keeps the index by which a platform finds its media items: by what it reads in their newest decisions.

It is written in the transaction of the decision. No face, match or person is in it. Decisions of before there was an
index are added by workers, the newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import combinations

from assent.core.errors import DecisionUnreadable
from assent.core.telemetry import log
from assent.core.values import MediaItem
from assent.db.pool import Conn, Pool, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.document import Decision, from_json
from assent.policy.input import above

ALL = ""  # the label of every media item
STEP = 200  # decisions added in a transaction, and those of the same time as the last
# Bits of a PDQ hash, in parts. Of two hashes that differ in at most 31 bits ten parts cannot differ in three or more
# and the last in two or more: that were 32.
_PARTS = (*((24, 2),) * 10, (16, 1))
KEY_BITS = 24
_Q, _RECORD = named_queries("search"), named_queries("record")


def index_decision(conn: Conn, tenant: str, item: MediaItem, decision: Decision, at: datetime) -> None:
    """Makes a media item findable by its newest decision, made `at`, and by nothing else; its lock is held."""
    execute(conn, _Q["delete_media"], **item.key(tenant))
    pdq = decision.media.pdq
    values = {"action": decision.action, "at": at, "labels": indexed_labels(decision)}
    hashes = {"pdq": pdq and pdq_bits(pdq), "bands": pdq and [key for key, _ in _parts(pdq)]}
    execute(conn, _Q["insert_media"], **item.key(tenant), **values, **hashes)


def index_revision(conn: Conn, tenant: str, item: MediaItem, decision: Decision) -> None:
    """Does so after a moderator's change, which leaves the decision's time as it is."""
    row = fetch_one(conn, _Q["read_decided_at"], **item.key(tenant))
    if row is not None:
        index_decision(conn, tenant, item, decision, row["decided_at"])


def remove(conn: Conn, tenant: str, item: MediaItem) -> None:
    """Makes a media item found no more."""
    execute(conn, _Q["delete_media"], **item.key(tenant))


def indexed_labels(decision: Decision) -> list[str]:
    """Returns the labels that the platform reads, the groups above them, and `ALL`."""
    said = {tag.name for tag in decision.tags if tag.category != "face"}
    return [ALL, *sorted({group for label in said for group in above(label)})]


def pdq_bits(pdq: str) -> str:
    """Writes a PDQ hash (64 hex digits) as PostgreSQL writes `bit(256)`."""
    return f"{int(pdq, 16):0256b}"


def near_parts(pdq: str) -> list[int]:
    """Returns every part that a hash within 31 bits of this one may share: one of them it does."""
    found = []
    for (key, width), (_, most) in zip(_parts(pdq), _PARTS, strict=True):
        found += [key ^ mask for mask in _masks(width, most)]
    return found


def _parts(pdq: str) -> Iterator[tuple[int, int]]:
    """Yields each part of a hash, its number in the bits above its own, and its width in bits."""
    bits, start = pdq_bits(pdq), 0
    for n, (width, _) in enumerate(_PARTS):
        yield n << KEY_BITS | int(bits[start : start + width], 2), width
        start += width


def _masks(width: int, most: int) -> Iterable[int]:
    for count in range(most + 1):
        for places in combinations(range(width), count):
            yield sum(1 << place for place in places)


def add_backlog(pool: Pool) -> bool:
    """Makes a step's decisions of before the index findable; tells whether there were any, or the end was reached.

    Each media item has a transaction of its own, so that nobody waits for two. One whose newest decision cannot be read
    is logged and left out. Two workers at once do the same twice.
    """
    with transaction(pool) as conn:
        left = fetch_one(conn, _Q["read_backlog"])
        rows = fetch(conn, _Q["list_backlog"], **left, most=STEP) if left else []
        if left and not rows:
            execute(conn, _Q["end_backlog"], tenant=left["tenant"])
    if left is None:
        return False
    for item in sorted({MediaItem(row["source"], row["media_id"]) for row in rows}):
        with transaction(pool) as conn:
            _index_newest(conn, left["tenant"], item)
    if rows:
        with transaction(pool) as conn:
            before = min(row["decided_at"] for row in rows)
            execute(conn, _Q["move_backlog"], tenant=left["tenant"], before=before)
    return True


def _index_newest(conn: Conn, tenant: str, item: MediaItem) -> None:
    execute(conn, _RECORD["lock_media"], **item.key(tenant))
    row = fetch_one(conn, _RECORD["read_newest_decision"], **item.key(tenant))
    if row is None:
        return  # deleted meanwhile
    try:
        decision = from_json(row["document"])
    except DecisionUnreadable:
        log.error("a decision cannot be read: search does not find it", tenant=tenant)
        return
    index_decision(conn, tenant, item, decision, row["decided_at"])
