"""Serves the contact sheet of cases whose images look alike: one decision for all that are ticked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.desk import inside
from assent.console.evidence import VeilSide, veil, visible_case
from assent.console.visit import ConsoleRoute, FormFields, SignedIn, Visit, one, read_session_form
from assent.core.errors import AssentError, BadRequest, CaseClosed, NotFound
from assent.core.review_errors import CaseClaimed, UndoOver
from assent.db.locks import lock_shared_or_busy
from assent.db.pool import Conn, transaction
from assent.decisions.assemble import assemble
from assent.review.cases import Case, picture_of, read_case
from assent.review.claims import Holder, end_claim
from assent.review.clusters import MOST_MEMBERS, ClusterOutcome, claim_cluster, decide_cluster
from assent.review.decide import Final, ReviewInput
from assent.review.preview import possible_grounds
from assent.review.undo import undo

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
_Told = list[tuple[str, str]]  # pictures, each with a sentence
_MOST_NOTE = 2_000  # characters
_GONE: Mapping[type[AssentError], str] = {
    CaseClosed: "closed",
    CaseClaimed: "claimed",
    UndoOver: "undo_over",
    BadRequest: "ground",
}


@router.get("/clusters/{case_id}")
def show_cluster(case_id: UUID, me: SignedIn) -> Response:
    """Claims a case with all that look like it, and shows them small; those that somebody else holds are named."""
    case = visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        me.staff.must("decide", case.queue)
        members = claim_cluster(conn, me.keys.tenant, me.by, case_id)
        decision = assemble(conn, me.keys, case.item, lock=lock_shared_or_busy) if members else None
        grounds = possible_grounds(conn, me.keys.tenant, decision) if decision else ()
    return inside("cluster", me, words.WORDS["cluster"]["title"], case=case, members=members, grounds=grounds)


@router.get("/clusters/{case_id}/veil")
def serve_cluster_veil(case_id: UUID, me: SignedIn, side: VeilSide = "96") -> Response:
    """Returns the veil of an open case's image."""
    visible_case(me, case_id)
    with transaction(me.state.pool) as conn:
        return veil(picture_of(conn, me.keys, case_id, int(side)))


@router.post("/clusters/{case_id}")
async def decide_alike(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Decides all ticked cases alike, and releases the others."""
    fields = await read_session_form(request, me)
    return await run_in_threadpool(_decide, me, case_id, fields)


@router.post("/clusters/{case_id}/undo")
async def undo_alike(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Undoes one decision of a cluster, or all."""
    fields = await read_session_form(request, me)
    return await run_in_threadpool(_undo, me, case_id, fields)


def _decide(me: Visit, case_id: UUID, fields: FormFields) -> Response:
    case = visible_case(me, case_id)
    me.staff.must("decide", case.queue)
    claims, ticked = _claims(fields), _ids(fields, "ticked")
    given = _input(me, fields)
    wanted = {member: token for member, token in claims.items() if member in ticked}
    outcomes = decide_cluster(me.state.pool, me.keys, me.by, case.queue, wanted, given)
    _release(me, {member: token for member, token in claims.items() if member not in ticked})
    done = [outcome for outcome in outcomes if outcome.gone is None]
    return _told(me, case, "done", done, _gone(outcomes), action=given.action)


def _undo(me: Visit, case_id: UUID, fields: FormFields) -> Response:
    gone: list[ClusterOutcome] = []
    case = visible_case(me, case_id)
    wanted = _ids(fields, "only") or _ids(fields, "case")
    for member in sorted(wanted):
        with transaction(me.state.pool) as conn:
            media = _member(conn, me, member).media_id
        try:
            with transaction(me.state.pool) as conn:
                undo(conn, me.keys, me.by, member)
        except UndoOver as error:
            gone.append(ClusterOutcome(member, media, error))
    return _told(me, case, "undone", [], _gone(gone), undone=len(wanted) - len(gone))


def _member(conn: Conn, me: Visit, case_id: UUID) -> Case:
    case = read_case(conn, me.keys.tenant, case_id)
    me.staff.must("decide", case.queue)
    return case


def _told(
    me: Visit, case: Case, what: Literal["done", "undone"], done: list[ClusterOutcome], gone: _Told, **values: Any
) -> Response:
    """Renders what became of each picture; while it may be undone, with a button for each."""
    shown = {"action": "", "undone": 0, "seconds": me.staff.settings.undo_seconds, **values}
    title = words.WORDS["cluster"][f"{what}_title"]
    return inside("cluster_done", me, title, case=case, what=what, done=done, gone=gone, **shown)


def _gone(outcomes: list[ClusterOutcome]) -> _Told:
    """Returns each picture that was not decided, with why in words."""
    texts = words.WORDS["cluster"]["gone"]
    return [(one.media, texts[_GONE.get(type(one.gone), "closed")]) for one in outcomes if one.gone]


def _release(me: Visit, claims: Mapping[UUID, UUID]) -> None:
    for case_id, token in claims.items():
        try:
            with transaction(me.state.pool) as conn:
                end_claim(conn, me.keys, Holder(me.by, case_id, token), "release")
        except (CaseClosed, CaseClaimed, NotFound):
            continue  # it is nobody's, or somebody else's, already


def _input(me: Visit, fields: FormFields) -> ReviewInput:
    action = one(fields, "action")
    if action not in get_args(Final):
        raise BadRequest("the form: action")
    note, ground = one(fields, "note").strip(), one(fields, "ground")
    if len(note) > _MOST_NOTE:
        raise BadRequest("the form: note")
    hold = timedelta(seconds=me.staff.settings.undo_seconds)
    final: Final = action  # type: ignore[assignment]  # checked above
    return ReviewInput(final, note=note or None, hold=hold, ground=ground or None, with_looks=True)


def _claims(fields: FormFields) -> dict[UUID, UUID]:
    """Returns the token of the claim of each case, by case."""
    pairs = [value.partition(":") for value in fields.get("claim", ())]
    if len(pairs) > MOST_MEMBERS:
        raise BadRequest("the form: claim")
    try:
        return {UUID(case_id): UUID(token) for case_id, _, token in pairs}
    except ValueError:
        raise BadRequest("the form: claim") from None


def _ids(fields: FormFields, name: str) -> set[UUID]:
    values = fields.get(name, ())
    if len(values) > MOST_MEMBERS:
        raise BadRequest(f"the form: {name}")
    try:
        return {UUID(value) for value in values}
    except ValueError:
        raise BadRequest(f"the form: {name}") from None
