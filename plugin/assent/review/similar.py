"""Finds earlier decisions on images that look like a case's, so that like is decided alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from assent.core.clock import parse_rfc3339
from assent.core.errors import NotFound, PictureNotKept, PictureWithheld
from assent.core.values import ActionName, MediaItem
from assent.db.locks import lock_shared_or_busy
from assent.db.pool import Conn, Row, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.assemble import Lock, assemble_to_draw
from assent.decisions.document import Decision, from_json
from assent.decisions.render.redact import redact
from assent.decisions.search import Search, first_rows
from assent.decisions.store import open_retained_copy
from assent.hashlists.search import DISTANCE, SEVERE_LABEL
from assent.keys.keystore import TenantKeys
from assent.review.cases import Case

MOST_SIMILAR = 12
_LOOKED_THROUGH = 200  # the nearest, of which the newest are shown
_Q, _SEARCH = named_queries("evidence"), named_queries("search")


@dataclass(frozen=True, slots=True)
class SimilarDecision:
    """A decision on an image that looks like a case's. `distance`: 0–31 bits between the two.

    `by_moderator`: a moderator decided the action, at `at`; else models and policy did. `queue`: of its newest case,
    None where it never had one. `severe`: it is on a list marked severe, so nobody sees it. `kept`: a copy of it is.
    """

    item: MediaItem
    distance: int
    action: ActionName
    at: datetime
    by_moderator: bool
    labels: tuple[str, ...]
    queue: str | None
    severe: bool
    kept: bool


def similar_decisions(conn: Conn, tenant: str, case: Case, decision: Decision | None) -> tuple[SimilarDecision, ...]:
    """Returns at most 12 decisions on other images within 31 bits of the case's, the newest first.

    What still waits for a moderator is no decision. Empty where the case's image has no PDQ hash.
    """
    pdq = decision.media.pdq if decision else None
    if pdq is None:
        return ()
    found, _ = first_rows(conn, tenant, Search(pdq=pdq), _LOOKED_THROUGH)
    distances = {MediaItem(row["source"], row["media_id"]): row["distance"] for row in found}
    distances.pop(case.item, None)
    values = {"sources": [item.source for item in distances], "ids": [item.id for item in distances]}
    rows = fetch(conn, _SEARCH["list_newest_decisions"], tenant=tenant, **values)
    queues = {
        MediaItem(row["source"], row["media_id"]): (row["queue"], row["kept"])
        for row in fetch(conn, _Q["list_queues_of_media"], tenant=tenant, **values)
    }
    decisions = [(row, from_json(row["document"])) for row in rows]
    decided = [_similar(row, one, distances, queues) for row, one in decisions if one.review is None]
    return tuple(sorted(decided, key=lambda one: one.at, reverse=True)[:MOST_SIMILAR])


def similar_veil(
    conn: Conn, keys: TenantKeys, case: Case, other: MediaItem, side: int, lock: Lock = lock_shared_or_busy
) -> bytes:
    """Returns the image of a decision similar to the case's as JPEG, at most `side` pixels wide and high.

    Everybody's face is hidden who did not agree to be named. Raises NotFound for an image that is not like the case's,
    PictureWithheld for one on a list marked severe, PictureNotKept.
    """
    key = {**case.item.key(keys.tenant), "other_source": other.source, "other_media": other.id}
    row = fetch_one(conn, _Q["read_distance"], **key)
    if row is None or row["distance"] is None or row["distance"] > DISTANCE:
        raise NotFound("no such picture like this one")
    decision = assemble_to_draw(conn, keys, other, lock)
    if decision is None:
        raise NotFound("no such picture like this one")
    if _is_severe(decision):
        raise PictureWithheld
    copy = open_retained_copy(conn, keys, other)
    if copy is None:
        raise PictureNotKept("no copy of this picture is kept")
    return redact(copy, decision, side)


def queue_of(conn: Conn, tenant: str, item: MediaItem) -> str | None:
    """Returns the queue of a media item's newest case; None where it never had one."""
    row = fetch_one(conn, _Q["list_queues_of_media"], tenant=tenant, sources=[item.source], ids=[item.id])
    queue: str | None = row["queue"] if row else None
    return queue


def _similar(
    row: Row, decision: Decision, distances: dict[MediaItem, int], queues: dict[MediaItem, tuple[str | None, bool]]
) -> SimilarDecision:
    item = MediaItem(row["source"], row["media_id"])
    queue, kept = queues[item]
    by_moderator = decision.reviewed is not None and decision.reviewed.action is not None
    return SimilarDecision(
        item,
        distances[item],
        decision.action,
        parse_rfc3339(decision.reviewed.at) if by_moderator and decision.reviewed else row["decided_at"],
        by_moderator,
        tuple(sorted({tag.name for tag in decision.tags if tag.category not in ("face", "hash")})),
        queue,
        _is_severe(decision),
        kept,
    )


def _is_severe(decision: Decision) -> bool:
    return any(tag.name == SEVERE_LABEL for tag in decision.tags)
