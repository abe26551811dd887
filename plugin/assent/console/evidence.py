"""Serves what stands beside a case: similar decisions, other policies' verdicts, the statement as its author reads it.

Each is a page of its own, and a part of one with `?bare=1`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from assent.console import words
from assent.console.case import case_for
from assent.console.desk import inside
from assent.console.visit import ConsoleRoute, SignedIn, Visit
from assent.core.errors import BadRequest
from assent.core.names import ENTITY_NAME
from assent.core.values import MediaItem
from assent.db.locks import lock_shared_or_busy
from assent.db.pool import Conn, transaction
from assent.decisions.assemble import assemble
from assent.decisions.document import Decision
from assent.http.pages import PAGE_HEADERS
from assent.platforms.event import TYPEABLE
from assent.review.cases import Case
from assent.review.decide import Final
from assent.review.evidence import why_of
from assent.review.preview import StatementPreview, possible_grounds, preview_statement
from assent.review.similar import queue_of, similar_decisions, similar_veil
from assent.review.verdicts import verdicts_of

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
VeilSide = Literal["24", "96"]  # pixels of the longer side
Bare = Annotated[bool, Query()]


@router.get("/cases/{case_id}/why")
def show_why(case_id: UUID, me: SignedIn, bare: Bare = False) -> Response:
    """Shows what speaks for and against the decision: rules, labels with their precision, lists, people."""
    case = visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        why = why_of(conn, me.keys, case, _decision(conn, me, case), words.WORDS["page"]["lang"])
    title = words.WORDS["why"]["page"]
    return inside("why", me, title, case=case, bare=bare, why=why)


@router.get("/cases/{case_id}/similar")
def show_similar(case_id: UUID, me: SignedIn, bare: Bare = False) -> Response:
    """Shows what was decided on images that look like the case's; of queues that the account may not see, no veil."""
    case = visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        similar = similar_decisions(conn, me.keys.tenant, case, _decision(conn, me, case))
    seen = [one.queue is None or me.staff.may("see-cases", one.queue) for one in similar]
    return _part("case_similar", me, case, bare, similar=list(zip(similar, seen, strict=True)))


@router.get("/cases/{case_id}/similar/veil")
def serve_similar_veil(
    case_id: UUID,
    me: SignedIn,
    source: Annotated[str, Query(pattern=f"^{ENTITY_NAME}$")],
    media: Annotated[str, Query(max_length=256, pattern=TYPEABLE)],
    side: VeilSide = "96",
) -> Response:
    """Returns the veil of an image that looks like the case's."""
    other = MediaItem(source, media)
    case = visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        queue = queue_of(conn, me.keys.tenant, other)
        if queue is not None:
            me.staff.must("see-cases", queue)
        return veil(similar_veil(conn, me.keys, case, other, int(side)))


@router.get("/cases/{case_id}/policies")
def show_policies(case_id: UUID, me: SignedIn, bare: Bare = False) -> Response:
    """Shows what every stored policy says of the case, and the threshold that is nearest to changing it."""
    case = visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        verdicts = verdicts_of(conn, me.keys.tenant, case)
    return _part("case_policies", me, case, bare, said=verdicts)


@router.get("/cases/{case_id}/statement")
def show_statement(
    case_id: UUID,
    me: SignedIn,
    action: Final = "limit",
    ground: Annotated[str, Query(max_length=64)] = "",
    bare: Bare = False,
) -> Response:
    """Shows the statement of reasons that an action on a ground would make, as its author would read it."""
    preview, wrong = None, ""
    case = visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        decision = _decision(conn, me, case)
        grounds = possible_grounds(conn, me.keys.tenant, decision) if decision else ()
        if decision:
            try:
                preview = preview_statement(conn, me.keys.tenant, decision, action, ground or None)
            except BadRequest:
                preview, wrong = StatementPreview("none"), words.WORDS["statement"]["no_ground"]
    values = {"preview": preview, "grounds": grounds, "action": action, "ground": ground}
    return _part("case_statement", me, case, bare, wrong=wrong, **values)


def visible_case(me: Visit, case_id: UUID) -> Case:
    """Returns a case that the account may see, open or closed. Raises as `case_for` does."""
    return case_for(me, case_id, "see-cases").case


def veil(jpeg: bytes) -> Response:
    """Returns an image that is small enough for everybody who may see the case."""
    return Response(jpeg, media_type="image/jpeg", headers=PAGE_HEADERS)


def _decision(conn: Conn, me: Visit, case: Case) -> Decision | None:
    return assemble(conn, me.keys, case.item, lock=lock_shared_or_busy)


def _part(name: str, me: Visit, case: Case, bare: bool, **values: Any) -> HTMLResponse:
    title = words.WORDS[name.removeprefix("case_")]["title"]
    return inside(name, me, title, case=case, bare=bare, **values)
