"""Says where a moderator goes on: to a case that they have in hand, to the next one of the queue, or to the queue."""

from __future__ import annotations

import re
from urllib.parse import urlencode
from uuid import UUID

from assent.console.visit import FormFields, Visit, one
from assent.core.errors import BadRequest
from assent.db.pool import Conn
from assent.review.care import CaseTaker, care_meter, claim_next_for
from assent.review.in_hand import CaseInHand, own_claims

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def next_case_for(conn: Conn, me: Visit, queue: str, but: UUID | None = None) -> UUID | None:
    """Returns the account's next case of a queue: one that it has in hand already, but for that one, else a new claim.

    Of a grave queue every eighth is one of an ordinary queue. None where none waits for it.
    """
    tenant = me.staff.tenant
    for claim in own_claims(conn, tenant, me.by, queue):
        if claim.case_id != but:
            return claim.case_id
    taker = CaseTaker(me.by, me.staff.queues, me.staff.may("decide-senior"), me.staff.settings.muted)
    claimed = claim_next_for(conn, tenant, taker, queue)
    return claimed.case_id if claimed else None


def path_after(queue: str, case_id: UUID | None, message: str) -> str:
    """Returns the path of that case, or of its queue without one; `message` is a name of what has just been done.

    `queue` is the one that the moderator works in, also where the case is of another one.
    """
    asked = urlencode({"of": queue} if case_id else {}) + (f"&said={message}" if message else "")
    place = f"/console/cases/{case_id}" if case_id else f"/console/queues/{queue}"
    return f"{place}?{asked.removeprefix('&')}" if asked else place


def working_queue(me: Visit, held: CaseInHand, sent: FormFields) -> str:
    """Returns the queue that the moderator works in, as a case's form says it.

    Raises BadRequest for what is no queue's name, RoleMissing.
    """
    queue = one(sent, "of") or held.case.queue
    if not _QUEUE_NAME.fullmatch(queue):
        raise BadRequest("of")
    me.staff.must("decide", queue)
    return queue


def care_message(conn: Conn, me: Visit, otherwise: str) -> str:
    """Returns the name of what is to be told after a decision: that a pause is due or a limit reached, if one is."""
    meter = care_meter(conn, me.staff.tenant, me.by)
    if meter.is_day_full:
        return "day_full"
    if meter.is_hour_full:
        return "hour_full"
    return "pause" if meter.is_pause_due else otherwise
