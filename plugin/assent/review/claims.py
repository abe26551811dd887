"""Keeps two moderators from working on one case: a claim, fenced by a token in the case's row.

A claim lasts five minutes and half an hour at most, by the database's clock. One that has lapsed still counts until
somebody else takes the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from assent.audit.log import Part, append
from assent.core.clock import rfc3339
from assent.core.review_errors import CaseClaimed
from assent.db.pool import Conn, Row, execute, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.review.cases import Case, case_closed, read_case

LEASE, MOST = timedelta(minutes=5), timedelta(minutes=30)
SENIOR_QUEUE = "senior"  # of cases that a moderator escalated
ClaimEnd = Literal["release", "skip", "escalate"]
_LEAVES: Mapping[ClaimEnd, str] = {"skip": "case.skipped", "escalate": "case.escalated"}
_TIMES = {"lease": LEASE, "most": MOST}
_Q = named_queries("claims")


@dataclass(frozen=True, slots=True)
class Claim:
    """A moderator's claim of a case: the token that fences it, and until when it lasts."""

    case_id: UUID
    token: UUID
    until: datetime

    def document(self) -> dict[str, Any]:
        """Returns the claim as it leaves over HTTP."""
        return {"case": str(self.case_id), "claim": str(self.token), "until": rfc3339(self.until)}


@dataclass(frozen=True, slots=True)
class Holder:
    """A moderator (an API key's id, or `cli`) with their claim of a case."""

    by: str
    case_id: UUID
    token: UUID

    def key(self, tenant: str) -> dict[str, Any]:
        return {"tenant": tenant, "case": self.case_id, "claim": self.token, "by": self.by}


def claim_case(conn: Conn, tenant: str, by: str, case_id: UUID) -> Claim:
    """Claims an open case that nobody else works on; a claim of one's own is replaced by the new one.

    Raises NotFound, CaseClosed, CaseClaimed.
    """
    row = fetch_one(conn, _Q["claim_case"], tenant=tenant, case=case_id, by=by, **_TIMES)
    if row is None:
        raise refused(conn, tenant, case_id)
    return claim_of(row)


def claim_next(conn: Conn, tenant: str, by: str, queue: str | None = None) -> Claim | None:
    """Claims the first case, of one queue or of all, that nobody works on and that `by` has not skipped.

    Returns None where none waits.
    """
    row = fetch_one(conn, _Q["claim_next_case"], tenant=tenant, by=by, queue=queue, lease=LEASE)
    return claim_of(row) if row else None


def extend(conn: Conn, tenant: str, holder: Holder) -> Claim:
    """Extends a claim to five minutes from now, but to no more than half an hour in all.

    Raises NotFound, CaseClosed, CaseClaimed where somebody took the case or it was released.
    """
    row = fetch_one(conn, _Q["extend_claim"], **holder.key(tenant), **_TIMES)
    if row is None:
        raise refused(conn, tenant, holder.case_id)
    return claim_of(row)


def end_claim(conn: Conn, keys: TenantKeys, holder: Holder, how: ClaimEnd, reason: str | None = None) -> None:
    """Ends a claim without a decision.

    `release`: the case waits for anybody.
    `skip`: it is not this moderator's next one again.
    `escalate`: it moves to the queue `senior`.

    The log notes the last two with their reason, sealed. Raises NotFound, CaseClosed, CaseClaimed.
    """
    queue = SENIOR_QUEUE if how == "escalate" else None
    row = fetch_one(conn, _Q["release_case"], **holder.key(keys.tenant), queue=queue)
    if row is None:
        raise refused(conn, keys.tenant, holder.case_id)
    if how == "skip":
        execute(conn, _Q["insert_skip"], tenant=keys.tenant, case=holder.case_id, by=holder.by)
    if how in _LEAVES:
        payload = {"by": holder.by, "case": str(holder.case_id), "reason": reason}
        payload |= {"media": row["media_id"], "revision": row["revision"]}
        append(conn, keys, _LEAVES[how], {}, [Part(payload)], datetime.now(UTC))


def refused(conn: Conn, tenant: str, case_id: UUID) -> Exception:
    """Returns the error for a moderator who may not act on a case: it is closed, or not theirs. Raises NotFound."""
    case = read_case(conn, tenant, case_id)
    return case_closed(case) if case.closed_at is not None else _claimed(case)


def _claimed(case: Case) -> CaseClaimed:
    if case.claimed_until is None:
        return CaseClaimed("this claim has ended; claim the case anew")
    return CaseClaimed(f"{case.claimed_by} works on it until {rfc3339(case.claimed_until)}")


def claim_of(row: Row) -> Claim:
    """Returns the claim in a row of `review_case`."""
    return Claim(row["id"], row["claim"], row["claimed_until"])
