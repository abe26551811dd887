"""Lists the cases that wait for a moderator, and returns each one's decision and image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from assent.core.clock import rfc3339
from assent.core.errors import CaseClosed, NotFound, PictureNotKept, PictureWithheld
from assent.core.values import HASH_SEVERE, MediaItem
from assent.db.locks import lock_shared_or_busy
from assent.db.pool import Conn, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.assemble import Lock, assemble, assemble_to_draw
from assent.decisions.document import Decision, to_json
from assent.decisions.render.redact import redact
from assent.decisions.store import open_retained_copy
from assent.hashlists.search import SEVERE_LABEL
from assent.keys.keystore import TenantKeys

_Q = named_queries("review")


@dataclass(frozen=True, slots=True)
class Case:
    """A media item that waits, or waited, for a moderator.

    `closed_by` (an API key's id, or `cli`) and `outcome` (the action) are None where it was closed because the media
    item was decided anew or deleted. `claimed_by` works on it until `claimed_until`; both are None where nobody does.
    """

    id: UUID
    source: str
    media_id: str
    revision: int
    reason: str
    queue: str
    priority: int
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    outcome: str | None
    claimed_by: str | None
    claimed_until: datetime | None

    @property
    def item(self) -> MediaItem:
        return MediaItem(self.source, self.media_id)

    def document(self) -> dict[str, Any]:
        """Returns the case as it leaves over HTTP and from the command line."""
        return {
            "id": str(self.id),
            "source": self.source,
            "media": self.media_id,
            "revision": self.revision,
            "reason": self.reason,
            "queue": self.queue,
            "priority": self.priority,
            "opened_at": rfc3339(self.opened_at),
            "closed_at": self.closed_at and rfc3339(self.closed_at),
            "closed_by": self.closed_by,
            "outcome": self.outcome,
            "claimed_by": self.claimed_by,
            "claimed_until": self.claimed_until and rfc3339(self.claimed_until),
        }


def open_cases(conn: Conn, tenant: str, most: int, after: UUID | None = None, queue: str | None = None) -> list[Case]:
    """Returns at most `most` open cases, behind the case `after`, of one queue or of all.

    Those on a list marked severe come first, then by priority, then the oldest. Raises NotFound where there never was a
    case `after`.
    """
    if after is not None:
        read_case(conn, tenant, after)
    return [
        Case(**row) for row in fetch(conn, _Q["list_open_cases"], tenant=tenant, most=most, after=after, queue=queue)
    ]


def read_case(conn: Conn, tenant: str, case_id: UUID) -> Case:
    """Returns the case, open or closed. Raises NotFound."""
    row = fetch_one(conn, _Q["read_case"], tenant=tenant, case=case_id)
    if row is None:
        raise NotFound("no case of that id")
    return Case(**row)


def show_case(conn: Conn, keys: TenantKeys, case_id: UUID, lock: Lock = lock_shared_or_busy) -> dict[str, Any]:
    """Returns the case with its `decision` as the platform may see it now, null without one. Raises NotFound."""
    case = read_case(conn, keys.tenant, case_id)
    decision = assemble(conn, keys, case.item, lock=lock)
    return {**case.document(), "decision": decision and to_json(decision)}


def picture_of(
    conn: Conn, keys: TenantKeys, case_id: UUID, side: int | None = None, lock: Lock = lock_shared_or_busy
) -> bytes:
    """Returns an open case's image (JPEG), with every face hidden whose person did not agree to be named.

    `side`: pixels of its longer side at most. A moderator sees no more of bystanders than the platform may.

    Raises NotFound, CaseClosed, PictureWithheld for an image on a list marked severe, PictureNotKept.
    """
    case = read_case(conn, keys.tenant, case_id)
    # The document first: it keeps the picture from being decided anew before its copy is read.
    decision = assemble_to_draw(conn, keys, case.item, lock)
    case = read_case(conn, keys.tenant, case_id)
    if case.closed_at is not None:
        raise case_closed(case)
    if is_severe(case, decision):
        raise PictureWithheld
    copy = open_retained_copy(conn, keys, case.item)
    if copy is None or decision is None:
        raise PictureNotKept("no copy of this picture is kept")
    return redact(copy, decision, side)


def is_severe(case: Case, decision: Decision | None) -> bool:
    """Tells whether the image is on a list marked severe."""
    tags = decision.tags if decision else ()
    return case.reason == HASH_SEVERE or any(tag.name == SEVERE_LABEL for tag in tags)


def case_closed(case: Case) -> CaseClosed:
    """Returns the error for a moderator who decides on a case that is closed already."""
    if case.closed_by is None:
        return CaseClosed("the picture was decided anew or deleted meanwhile")
    return CaseClosed(f"{case.closed_by} decided it already: {case.outcome}")
