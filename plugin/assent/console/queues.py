"""Serves a queue: its cases as a contact sheet of veils, through filters, and the next one to work on."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.desk import inside
from assent.console.next_case import next_case_for, path_after
from assent.console.visit import ConsoleRoute, SignedIn, Visit, read_session_form
from assent.core.values import HASH_SEVERE
from assent.db.pool import transaction
from assent.http.pages import go
from assent.review.in_hand import last_decision
from assent.review.queues import QueueFilter, page_of_queue

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
CASES_OF_PAGE = 24
QueueName = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
FilterText = Annotated[str, Query(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


@router.get("/queues/{queue}")
def show_queue(
    queue: QueueName,
    request: Request,
    me: SignedIn,
    reason: FilterText = "",
    source: FilterText = "",
    after: UUID | None = None,
) -> Response:
    """Shows what waits in a queue; `urgent` and `late` in the address narrow it as `reason` and `source` do."""
    me.staff.must("see-cases", queue)
    asked = request.query_params
    filtered = QueueFilter(reason or None, source or None, asked.get("urgent") == "1", asked.get("late") == "1")
    with transaction(me.state.pool) as conn:
        page = page_of_queue(conn, me.staff.tenant, queue, filtered, CASES_OF_PAGE, after)
        undoable = last_decision(conn, me.staff.tenant, me.by)
    kept = {name: asked[name] for name in ("reason", "source", "urgent", "late") if asked.get(name)}
    following = urlencode({**kept, "after": str(page.cases[-1].id)}) if page.more else ""
    return inside(
        "queue",
        me,
        words.WORDS["queue"]["title"].format(queue=queue),
        here="/console",
        message=words.said(asked.get("said", "")),
        queue=queue,
        page=page,
        filtered=filtered,
        following=following,
        undoable=undoable,
        severe=HASH_SEVERE,
    )


@router.post("/queues/{queue}/next")
async def take_next(queue: QueueName, request: Request, me: SignedIn) -> Response:
    """Opens the account's next case of a queue: one that it has in hand, else the first that waits."""
    me.staff.must("decide", queue)
    await read_session_form(request, me)
    return go(await run_in_threadpool(_next_of, me, queue))


def _next_of(me: Visit, queue: str) -> str:
    with transaction(me.state.pool) as conn:
        case_id = next_case_for(conn, me, queue)
    return path_after(queue, case_id, "" if case_id else "none_waits")
