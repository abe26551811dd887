"""Serves a moderator's decision on a case, and its undoing: stored at once, sent when it can no longer be undone."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console.case import (
    MAX_NOTE,
    acting,
    case_for,
    case_page,
    claim_in,
    count_look_seconds,
    seconds_in,
)
from assent.console.next_case import care_message, next_case_for, path_after, working_queue
from assent.console.visit import ConsoleRoute, FormFields, SignedIn, Visit, one, read_session_form
from assent.core.boxes import read_box
from assent.core.errors import AssentError, BadRequest, CaseClosed
from assent.core.values import Box
from assent.db.pool import Conn, transaction
from assent.http.idempotency import once
from assent.http.pages import go
from assent.review.decide import Final, ReviewInput, decide_case
from assent.review.in_hand import CaseInHand, note_lost
from assent.review.looks import count_case_seconds
from assent.review.undo import undo

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
_ONCE = re.compile(r"[A-Za-z0-9_-]{24}")
_LABEL = re.compile(r"[^\s,;]{1,64}")
_FINAL: dict[str, Final] = {"allow": "allow", "label": "label", "limit": "limit", "block": "block"}
_SIDES = ("x", "y", "width", "height")


@router.post("/cases/{case_id}/decide")
async def submit_decision(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Decides a case and opens the next one of its queue; the same form sent twice decides once."""
    sent = await read_session_form(request, me)
    return await run_in_threadpool(_decide, me, case_id, sent)


@router.post("/cases/{case_id}/undo")
async def undo_decision(case_id: UUID, request: Request, me: SignedIn) -> Response:
    """Undoes the account's own decision while it is held back; the case is in its hand again."""
    await read_session_form(request, me)

    def act(held: CaseInHand) -> str:
        with transaction(me.state.pool) as conn:
            undo(conn, me.keys, me.by, case_id)
        return f"/console/cases/{held.case.id}?said=undone"

    return await run_in_threadpool(acting, me, case_id, {}, act)


def _decide(me: Visit, case_id: UUID, sent: FormFields) -> Response:
    held = case_for(me, case_id, "decide")
    try:
        given = _read_decision(sent, timedelta(seconds=me.staff.settings.undo_seconds))
        key = _read_key(me, sent)
        queue = working_queue(me, held, sent)
        call = json.dumps([f"POST /console/cases/{case_id}/decide", sorted(sent.items())]).encode()
        decided: list[dict[str, Any]] = []  # empty where the form had been sent before

        def decide() -> dict[str, Any]:
            count_case_seconds(conn, me.staff.tenant, me.by, case_id, seconds_in(sent))
            decided.append(_decide_and_claim(conn, me, held, given, queue))
            return decided[0]

        with transaction(me.state.pool) as conn:
            answer = once(conn, me.keys, key, call, decide)
    except AssentError as error:
        return _refused(me, case_id, sent, error)
    if decided:
        count_look_seconds(me, held, sent)
    return go(answer["to"])


def _decide_and_claim(conn: Conn, me: Visit, held: CaseInHand, given: ReviewInput, queue: str) -> dict[str, Any]:
    """Returns where the moderator goes on. The leaf comes last: it locks the log's tree."""
    following = next_case_for(conn, me, queue, held.case.id)
    message = care_message(conn, me, "decided")
    decide_case(conn, me.keys, me.by, held.case.id, given)
    return {"to": path_after(queue, following, message)}


def _refused(me: Visit, case_id: UUID, sent: FormFields, error: AssentError) -> Response:
    """Shows the case as it is now with everything typed. A note on what was deleted meanwhile is kept in the log."""
    held = case_for(me, case_id, "see-cases")
    note = one(sent, "note").strip()[:MAX_NOTE]
    if isinstance(error, CaseClosed) and held.is_deleted and note:
        with transaction(me.state.pool) as conn:
            note_lost(conn, me.keys, me.by, case_id, {"action": one(sent, "action"), "note": note})
    return case_page(me, held, error, typed=sent)


def _read_decision(sent: FormFields, hold: timedelta) -> ReviewInput:
    """Returns what a form decides. Raises BadRequest, which names the field."""
    action = _FINAL.get(one(sent, "action"))
    if action is None:
        raise BadRequest("action")
    return ReviewInput(
        action,
        add=tuple(dict.fromkeys(_LABEL.findall(" ".join(sent.get("add", ()))))),
        remove=tuple(dict.fromkeys(sent.get("remove", ()))),
        note=one(sent, "note").strip()[:MAX_NOTE] or None,
        claim=claim_in(sent),
        hold=hold,
        ground=(one(sent, "ground") or None) if action != "allow" else None,
        hide=_read_areas(sent),
        with_looks=True,
    )


def _read_areas(sent: FormFields) -> tuple[Box, ...]:
    """Returns the areas to hide: those drawn, each four numbers in one field, and the one typed into four."""
    drawn = [text.split(",") for text in sent.get("hide", ())]
    typed = [one(sent, f"hide_{side}").strip() for side in _SIDES]
    try:
        areas = [tuple(map(int, numbers)) for numbers in [*drawn, *([typed] if any(typed) else [])]]
        return tuple(read_box(area) for area in areas)
    except ValueError:
        raise BadRequest("hide") from None


def _read_key(me: Visit, sent: FormFields) -> str:
    """Returns the key under which the form is acted on once; it counts for this account alone."""
    key = one(sent, "once")
    if not _ONCE.fullmatch(key):
        raise BadRequest("once")
    return f"console/{me.by}/{key}"
