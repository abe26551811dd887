"""Says where a moderator goes on: to a case that they have in hand, to the next one of the queue, or to the queue."""

from __future__ import annotations

from uuid import UUID

from assent.console.visit import Visit
from assent.db.pool import Conn
from assent.review.claims import claim_next
from assent.review.in_hand import own_claims


def following_case(conn: Conn, me: Visit, queue: str, but: UUID | None = None) -> UUID | None:
    """Returns the account's next case of a queue: one that it has in hand already, but for that one, else a new claim.

    None where none waits for it.
    """
    tenant = me.staff.tenant
    for claim in own_claims(conn, tenant, me.by, queue):
        if claim.case_id != but:
            return claim.case_id
    claimed = claim_next(conn, tenant, me.by, queue)
    return claimed.case_id if claimed else None


def page_after(queue: str, case_id: UUID | None, message: str) -> str:
    """Returns the path of that case, or of its queue without one; `message` is a name of what has just been done."""
    place = f"/console/cases/{case_id}" if case_id else f"/console/queues/{queue}"
    return f"{place}?said={message}" if message else place
