"""Finds open cases whose images look like one case's, so that a moderator decides them together and looks once.

Each member is measured to the case that the moderator opened, never to another member: two members differ in at most
twice as many bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from assent.core.errors import AssentError, BadRequest, CaseClosed, NotFound
from assent.core.review_errors import CaseClaimed
from assent.db.pool import Conn, Pool, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.review.cases import Case, read_case
from assent.review.claims import LEASE, MOST, Claim, claim_of
from assent.review.decide import ReviewInput, decide_case

CLUSTER_DISTANCE = 15  # bits of a PDQ hash; of more the index of 16 parts would not know
MOST_MEMBERS = 60
_LIMITS = {"distance": CLUSTER_DISTANCE, "most": MOST_MEMBERS}
_Q = named_queries("clusters")


@dataclass(frozen=True, slots=True)
class ClusterMember:
    """An open case of a cluster. `distance`: bits between its image and the leader's, 0–15; 0 is the leader's own.

    `claim` is None where somebody else works on it, or nobody claimed it.
    """

    case: Case
    distance: int
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class ClusterOutcome:
    """Tells what became of one picture of a decision on several. `gone` says why it was not decided, if it was not."""

    case_id: UUID
    media: str
    gone: AssentError | None = None


def count_alike(conn: Conn, tenant: str, case_id: UUID) -> int:
    """Returns how many other open cases of its queue look like this one, 0–60."""
    row = fetch_one(conn, _Q["count_alike"], tenant=tenant, case=case_id, **_LIMITS)
    return int(row["count"]) if row else 0


def cluster_of(conn: Conn, tenant: str, case_id: UUID) -> tuple[ClusterMember, ...]:
    """Returns the case, if it is open, and the open cases of its queue within 15 bits of it, the nearest first."""
    rows = fetch(conn, _Q["list_alike"], tenant=tenant, case=case_id, **_LIMITS)
    return tuple(ClusterMember(_case(row), row["distance"]) for row in rows)


def claim_cluster(conn: Conn, tenant: str, by: str, case_id: UUID) -> tuple[ClusterMember, ...]:
    """Claims a case with all that look like it, as far as nobody else works on them. Raises NotFound.

    A member that somebody else holds is returned without a claim. A claim of one's own is replaced by the new one.
    """
    queue = read_case(conn, tenant, case_id).queue
    members = cluster_of(conn, tenant, case_id)
    values: dict[str, Any] = {"cases": [member.case.id for member in members], "queue": queue, "by": by}
    rows = fetch(conn, _Q["claim_cases"], tenant=tenant, **values, lease=LEASE, most=MOST)
    claims = {row["id"]: claim_of(row) for row in rows}
    return tuple(ClusterMember(one.case, one.distance, claims.get(one.case.id)) for one in members)


def decide_cluster(
    pool: Pool, keys: TenantKeys, by: str, queue: str, claims: Mapping[UUID, UUID], given: ReviewInput
) -> list[ClusterOutcome]:
    """Decides several cases alike, each in a transaction of its own: one leaf a picture, each held and undoable.

    `claims`: the token of the claim of each case. A case that is closed, somebody else's or in another queue by now is
    named, and so is one whose policy has no such ground; the others are decided all the same. One that `by` closed
    alike already, as by sending a form twice, counts as decided. Raises NotFound for what is no case of the tenant.
    """
    outcomes = []
    for case_id, claim in claims.items():
        with transaction(pool) as conn:
            case = read_case(conn, keys.tenant, case_id)
        if case.queue != queue:
            outcomes.append(ClusterOutcome(case_id, case.media_id, CaseClaimed("it is in another queue by now")))
        else:
            outcomes.append(_decide_one(pool, keys, by, case, replace(given, claim=claim)))
    return outcomes


def _decide_one(pool: Pool, keys: TenantKeys, by: str, case: Case, given: ReviewInput) -> ClusterOutcome:
    try:
        with transaction(pool) as conn:
            decide_case(conn, keys, by, case.id, given)
    except CaseClosed as error:
        with transaction(pool) as conn:
            now = read_case(conn, keys.tenant, case.id)
        again = (now.closed_by, now.outcome) == (by, given.action)
        return ClusterOutcome(case.id, case.media_id, None if again else error)
    except (CaseClaimed, BadRequest, NotFound) as error:
        return ClusterOutcome(case.id, case.media_id, error)
    return ClusterOutcome(case.id, case.media_id)


def _case(row: dict[str, Any]) -> Case:
    return Case(**{name: value for name, value in row.items() if name != "distance"})
