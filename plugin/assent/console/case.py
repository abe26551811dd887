"""Serves a case's page, and everything that a moderator does to a case short of deciding it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup

from assent.console import words
from assent.console.desk import inside
from assent.console.next_case import next_case_for, path_after, working_queue
from assent.console.visit import ConsoleRoute, FormFields, SignedIn, Visit, one, read_session_form
from assent.core.errors import AssentError, BadRequest, NotFound
from assent.core.taxonomy import BY_NAME
from assent.db.pool import transaction
from assent.decisions.assemble import assemble_to_draw
from assent.decisions.document import Decision
from assent.http.pages import PAGE_HEADERS, go
from assent.review.cases import is_severe
from assent.review.claims import ClaimEnd, Holder, claim_case, end_claim, extend
from assent.review.evidence import why_of
from assent.review.ground import Grounds, list_grounds
from assent.review.in_hand import (
    CaseInHand,
    add_note,
    last_decision,
    note_denied,
    read_case_in_hand,
)
from assent.review.looks import count_case_seconds, count_seconds, look_category
from assent.review.veto import veto_match
from assent.staff.roles import Permission

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
LookQuery = Annotated[str, Query(pattern=r"^([A-Za-z0-9_-]{43})?$")]
FaceNumber = Annotated[int, Path(ge=0, lt=2**15)]
MAX_NOTE = 2_000  # characters
# Labels that a moderator may add, as the form offers them: hundreds, so they are written once.
_OFFERED = Markup().join(
    Markup('<option value="{}">').format(name) for name, label in BY_NAME.items() if label.category != "face"
)
_NOTHING: FormFields = {}


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case's page: the case as its reader has it, its decision, and what stands beside it."""

    held: CaseInHand
    decision: Decision | None
    grounds: Grounds
    typed: FormFields

    @property
    def is_withheld(self) -> bool:
        return is_severe(self.held.case, self.decision)

    @property
    def has_picture(self) -> bool:
        shown = self.decision is not None and self.decision.media.width is not None
        return shown and self.held.kept and self.held.case.closed_at is None and not self.is_withheld

    def value(self, name: str) -> str:
        """Returns what was typed into a field before; the last of several."""
        return self.typed.get(name, ("",))[-1]

    def has(self, name: str, value: str) -> bool:
        return value in self.typed.get(name, ())


def case_for(me: Visit, case_id: UUID, permission: Permission) -> CaseInHand:
    """Returns the case as the account sees it. Raises RoleMissing where it lacks the permission for the case's queue,
    and NotFound, with a leaf `case.denied`, for a case that its tenant does not have."""
    with transaction(me.state.pool) as conn:
        try:
            held = read_case_in_hand(conn, me.keys, me.by, case_id)
        except NotFound:
            note_denied(conn, me.keys, me.by, case_id)
            held = None
    if held is None:
        raise NotFound("no case of that id")
    me.staff.must(permission, held.case.queue)
    return held


def case_page(me: Visit, held: CaseInHand, error: AssentError | None = None, **shown: Any) -> HTMLResponse:
    """Renders a case's page. With an error it says so above the form, which keeps `typed`, all that was typed."""
    with transaction(me.state.pool) as conn:
        decision = assemble_to_draw(conn, me.keys, held.case.item)
        this = held.case.id if held.case.closed_by == me.by else None
        undoable = last_decision(conn, me.staff.tenant, me.by, this)
        language = words.WORDS["page"]["lang"]
        grounds = list_grounds(conn, me.staff.tenant, decision, language) if decision else Grounds()
        why = why_of(conn, me.keys, held.case, decision, language) if decision else None
    typed: FormFields = shown.pop("typed", _NOTHING)
    view = CaseView(held, decision, grounds, typed)
    wrong = error_sentence(error) if error else ""
    shown = {"look": "", "veil": "1", "of": view.value("of"), **shown}
    return inside(
        "case",
        me,
        words.WORDS["case"]["title"].format(queue=held.case.queue),
        error.status if error else 200,
        here="/console",
        wrong=wrong,
        view=view,
        why=why,
        undoable=undoable,
        grey=me.staff.settings.grey,
        offered=_OFFERED,
        once=view.value("once") or secrets.token_urlsafe(18),
        may_decide=me.staff.may("decide", held.case.queue),
        may_look=me.staff.may("see-grave" if held.rules.grave else "see-pictures", held.case.queue),
        **shown,
    )


def error_sentence(error: AssentError) -> str:
    """Returns an error as one line above a form; its own detail where that helps, which never names an account."""
    title, text = words.error_words(error.code, error.detail)
    detail = f" ({error.detail})" if error.code in ("label_unknown", "bad_request") else ""
    return f"{title}. {text}{detail}"


@router.get("/cases/{case_id}")
def show_case_page(
    case_id: UUID, request: Request, me: SignedIn, look: LookQuery = "", veil: Annotated[str, Query()] = "1"
) -> Response:
    """Shows a case: its picture behind a veil, or once in full by the token of a counted look.

    `of` in the query is the queue that the moderator works in, where it is not the case's own.
    """
    held = case_for(me, case_id, "see-cases")
    step = "2" if veil == "2" else "1"
    asked = request.query_params
    return case_page(me, held, look=look, veil=step, of=asked.get("of", ""), message=words.said(asked.get("said", "")))


@router.post("/cases/{case_id}/claim")
async def claim(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Claims the case that is on the page."""
    await read_session_form(request, me)

    def act(held: CaseInHand) -> str:
        with transaction(me.state.pool) as conn:
            claim_case(conn, me.staff.tenant, me.by, case_id)
        return f"/console/cases/{held.case.id}"

    return await run_in_threadpool(acting, me, case_id, _NOTHING, act)


@router.post("/cases/{case_id}/leave")
async def leave_case(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Ends a claim without a decision: `release`, `skip`, or `escalate`, which needs a reason."""
    sent = await read_session_form(request, me)

    def act(held: CaseInHand) -> str:
        how = _claim_end(one(sent, "how"))
        reason = one(sent, "reason").strip()[:MAX_NOTE] or None
        if how == "escalate" and reason is None:
            raise BadRequest("reason")
        queue = working_queue(me, held, sent)
        with transaction(me.state.pool) as conn:
            if reason and how == "escalate":
                add_note(conn, me.keys, me.by, case_id, reason)
            following = None if how == "release" else next_case_for(conn, me, queue, case_id)
            end_claim(conn, me.keys, Holder(me.by, case_id, claim_in(sent)), how, reason)
        return path_after(queue, following, how)

    return await run_in_threadpool(acting, me, case_id, sent, act)


@router.post("/cases/{case_id}/note")
async def keep_note(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Keeps a note on the case; the rest of the form stays as it was typed."""
    sent = await read_session_form(request, me)
    text = one(sent, "note").strip()[:MAX_NOTE]

    def act() -> Response:
        case_for(me, case_id, "decide")
        if text:
            with transaction(me.state.pool) as conn:
                add_note(conn, me.keys, me.by, case_id, text)
        kept = {name: values for name, values in sent.items() if name != "note"}
        return case_page(me, case_for(me, case_id, "decide"), typed=kept, message=words.said("noted" if text else ""))

    return await run_in_threadpool(act)


@router.post("/cases/{case_id}/extend")
async def extend_claim(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Extends a claim while its page is in use; answers in JSON with the seconds that are left, 0 where it is over.

    `seconds`: for how long the picture was seen in full since the last time.
    """
    sent = await read_session_form(request, me)

    def act() -> Response:
        held = case_for(me, case_id, "decide")
        count_look_seconds(me, held, sent)
        with transaction(me.state.pool) as conn:
            count_case_seconds(conn, me.staff.tenant, me.by, case_id, seconds_in(sent))
            until = extend(conn, me.staff.tenant, Holder(me.by, case_id, claim_in(sent))).until
        return JSONResponse({"seconds": int((until - held.rules.now).total_seconds())}, headers=PAGE_HEADERS)

    try:
        return await run_in_threadpool(act)
    except AssentError as error:
        return JSONResponse({"seconds": 0}, error.status, headers=PAGE_HEADERS)


@router.post("/cases/{case_id}/faces/{face}/veto")
async def veto(case_id: UUID, face: FaceNumber, request: Request, me: SignedIn) -> Response:
    """Removes a wrong match of a face for good. It asks a second time: this alone cannot be undone."""
    sent = await read_session_form(request, me)

    def act(held: CaseInHand) -> str | Response:
        if one(sent, "sure") != "1":
            title = words.WORDS["veto"]["title"]
            return inside("case_veto", me, title, here="/console", held=held, face=face, claim=claim_in(sent))
        with transaction(me.state.pool) as conn:
            veto_match(conn, me.keys, me.by, case_id, face, claim_in(sent))
        return f"/console/cases/{case_id}?said=vetoed"

    return await run_in_threadpool(acting, me, case_id, sent, act)


def acting(me: Visit, case_id: UUID, sent: FormFields, act: Callable[[CaseInHand], str | Response]) -> Response:
    """Acts on a case that the account may decide; where that is refused, shows the case with everything typed."""
    held = case_for(me, case_id, "decide")
    try:
        answer = act(held)
    except AssentError as error:
        return case_page(me, case_for(me, case_id, "see-cases"), error, typed=sent)
    return go(answer) if isinstance(answer, str) else answer


def claim_in(sent: FormFields) -> UUID:
    """Returns the claim that a form was made under. Raises BadRequest."""
    try:
        return UUID(one(sent, "claim"))
    except ValueError:
        raise BadRequest("claim") from None


def count_look_seconds(me: Visit, held: CaseInHand, sent: FormFields) -> None:
    """Counts the seconds that a form reports; nothing for what is no number."""
    if seconds := seconds_in(sent):
        with transaction(me.state.pool) as conn:
            category = look_category(held.case, assemble_to_draw(conn, me.keys, held.case.item))
            count_seconds(conn, me.staff.tenant, me.by, category, held.rules.grave, seconds)


def seconds_in(sent: FormFields) -> int:
    """Returns for how long a form says that the picture was seen in full, in seconds; 0 for what is no number."""
    text = sent.get("seconds", ("",))[-1]
    return int(text[:6]) if text.isdecimal() and text.isascii() else 0


def _claim_end(text: str) -> ClaimEnd:
    if text == "release":
        return "release"
    if text == "skip":
        return "skip"
    if text == "escalate":
        return "escalate"
    raise BadRequest("how")
