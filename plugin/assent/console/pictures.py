"""Serves the pictures of cases: veils shrunk on the server, and the whole one once for each look that was counted."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from assent.console.case import case_for
from assent.console.visit import ConsoleRoute, SignedIn, Visit, one, read_session_form
from assent.core.errors import PictureNotKept, PictureWithheld
from assent.db.pool import transaction
from assent.decisions.assemble import assemble_to_draw
from assent.http.pages import PAGE_HEADERS, go
from assent.review.cases import case_closed, is_severe, picture_of
from assent.review.in_hand import CaseInHand, read_case_in_hand
from assent.review.looks import ask_look, look_category, take_look

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
VEILS = {1: 24, 2: 96}  # pixels of the longer side
LookToken = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{43}$")]


@router.get("/cases/{case_id}/veil/{step}")
def show_veil(case_id: UUID, step: Literal["1", "2"], me: SignedIn) -> Response:
    """Returns an open case's picture, 24 or 96 pixels wide or high, with every face hidden that is nobody's."""
    case_for(me, case_id, "see-cases")
    with transaction(me.state.pool) as conn:
        return _jpeg(picture_of(conn, me.keys, case_id, VEILS[int(step)]))


@router.post("/cases/{case_id}/look")
async def look(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Counts a look and leads to the page that shows it once; a script is told where the picture is instead."""
    of = one(await read_session_form(request, me), "of")
    token = await run_in_threadpool(_ask, me, case_id)
    if request.headers.get("accept") == "application/json":
        return JSONResponse({"look": f"/console/looks/{token}"}, headers=PAGE_HEADERS)
    asked = urlencode({"look": token, "of": of} if of else {"look": token})
    return go(f"/console/cases/{case_id}?{asked}")


@router.get("/looks/{token}")
def show_look(token: LookToken, me: SignedIn) -> Response:
    """Returns the whole picture to whoever asked for this look, once, within a minute."""
    with transaction(me.state.pool) as conn:  # where the picture cannot be shown now, the look is not spent
        case_id = take_look(conn, me.staff.tenant, me.by, token)
        held = read_case_in_hand(conn, me.keys, me.by, case_id)
        _must_see(me, held)
        return _jpeg(picture_of(conn, me.keys, case_id))


def _ask(me: Visit, case_id: UUID) -> str:
    """Counts only what can be shown."""
    held = case_for(me, case_id, "see-pictures")
    _must_see(me, held)
    if held.rules.grave:
        me.session.must_be_fresh()
    if held.case.closed_at is not None:
        raise case_closed(held.case)
    with transaction(me.state.pool) as conn:
        decision = assemble_to_draw(conn, me.keys, held.case.item)
        if is_severe(held.case, decision):
            raise PictureWithheld
        if decision is None or not held.kept:
            raise PictureNotKept("no copy of this picture is kept")
        category = look_category(held.case, decision)
        return ask_look(conn, me.staff.tenant, me.by, held.case, category, held.rules.grave)


def _must_see(me: Visit, held: CaseInHand) -> None:
    me.staff.must("see-pictures", held.case.queue)
    if held.rules.grave:
        me.staff.must("see-grave", held.case.queue)


def _jpeg(picture: bytes) -> Response:
    return Response(
        picture, media_type="image/jpeg", headers={**PAGE_HEADERS, "Cross-Origin-Resource-Policy": "same-origin"}
    )
