"""Serves the desk, the page on which a moderator begins, and the files that all pages share."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from assent.console import words
from assent.console.keys_table import keys_of
from assent.console.pages import render_page, serve_asset
from assent.console.visit import ConsoleOrigin, ConsoleRoute, SignedIn, Visit, read_session_form, without_session
from assent.db.pool import transaction
from assent.http.pages import go
from assent.review.in_hand import last_decision, own_claims, release_own_claims
from assent.review.queues import COUNTED, list_queues
from assent.staff.roles import Permission
from assent.staff.sessions import end_session

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
# The navigation: path, permission, and the name's key in [page] of the words.
NAVIGATION: tuple[tuple[str, Permission, str], ...] = (
    ("/console", "home", "desk"),
    ("/console/care", "decide", "care"),
    ("/console/settings", "home", "settings"),
    ("/console/account", "home", "account"),
    ("/console/team", "manage-team", "team"),
    ("/console/log", "read-own-log", "log"),
    ("/console/system", "read-system", "system"),
)


def inside(name: str, me: Visit, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a page of an open session with the navigation around it; `message` and `wrong` are told above it."""
    texts = words.WORDS["page"]
    shown = {"message": "", "wrong": "", "here": f"/console/{name}", "keys": keys_of(me.staff.settings), **values}
    places = [(path, permission, texts[key]) for path, permission, key in NAVIGATION]
    return render_page(name, status, me=me, title=title, places=places, **shown)


@router.get("/style.css")
async def serve_style() -> Response:
    return serve_asset("style.css")


@router.get("/console.js")
async def serve_script() -> Response:
    return serve_asset("console.js")


@router.get("")
def show_desk(me: SignedIn) -> Response:
    """Shows what the account has in hand, what waits in its queues, and since when."""
    with transaction(me.state.pool) as conn:
        queues = list_queues(conn, me.staff.tenant) if me.staff.may("see-cases") else []
        claims = own_claims(conn, me.staff.tenant, me.by)
        undoable = last_decision(conn, me.staff.tenant, me.by)
    return inside(
        "desk",
        me,
        words.WORDS["desk"]["title"],
        here="/console",
        queues=[queue for queue in queues if me.staff.may("see-cases", queue.name)],
        claims=[claim for claim in claims if me.staff.may("see-cases", claim.queue)],
        undoable=undoable,
        counted=COUNTED,
    )


@router.post("/sign-out")
async def sign_out(request: Request, me: SignedIn, at: ConsoleOrigin) -> Response:
    """Ends the session; what the account had in hand waits for anybody."""
    await read_session_form(request, me)
    await run_in_threadpool(_end, me)
    return without_session(go("/console/sign-in"), at)


def _end(me: Visit) -> None:
    with transaction(me.state.pool) as conn:
        release_own_claims(conn, me.staff.tenant, me.by)
        end_session(conn, me.session.token)
