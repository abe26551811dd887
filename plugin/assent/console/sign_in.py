"""Serves the sign-in by passkey or password, and the step-up, by which the owner of a session shows it once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.pages import serve_asset
from assent.console.sign_in_pages import console_path, render_sign_in, render_step_up, render_unsent
from assent.console.unsent_form import open_form
from assent.console.visit import (
    MAX_FORM_BYTES,
    SESSION_TOKEN,
    ConsoleOrigin,
    ConsoleRoute,
    FormFields,
    SignedIn,
    Visit,
    cookie_name,
    one,
    read_fields,
    read_session_form,
    with_session,
)
from assent.core.console_errors import SignInRefused
from assent.db.pool import transaction
from assent.db.queue import database_time
from assent.http.limits import ADDRESS, RateLimiter
from assent.http.pages import go
from assent.http.state import App, AppState
from assent.staff.passkeys import check_passkey
from assent.staff.sessions import end_session, open_session
from assent.staff.sign_in import SignedInAs, check_password_of, check_password_sign_in

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
WITH_UNSENT = 3 * MAX_FORM_BYTES  # bytes of a form in which another one is kept
To = Annotated[str, Query(max_length=2000)]


@router.get("/passkey.js")
async def serve_passkey_script() -> Response:
    return serve_asset("passkey.js")


@router.get("/sign-in")
def show_sign_in(state: App, at: ConsoleOrigin, to: To = "") -> Response:
    """Shows the ways to sign in."""
    with transaction(state.pool) as conn:
        return render_sign_in(conn, state, at, {"to": to})


@router.post("/sign-in")
async def sign_in(request: Request, state: App, at: ConsoleOrigin) -> Response:
    """Opens a session for whoever shows that an account is theirs."""
    fields = await read_fields(request, WITH_UNSENT)
    return await run_in_threadpool(_sign_in, request, state, at, fields)


@router.get("/step-up")
def show_step_up(me: SignedIn, at: ConsoleOrigin, to: To = "") -> Response:
    """Asks the owner of a session to show once more that it is theirs."""
    with transaction(me.state.pool) as conn:
        return render_step_up(conn, me.state, at, me.session, {"to": to})


@router.post("/step-up")
async def step_up(request: Request, me: SignedIn, at: ConsoleOrigin) -> Response:
    """Opens a new session in the place of the one whose owner has just shown that it is theirs."""
    fields = await read_session_form(request, me, WITH_UNSENT)
    return await run_in_threadpool(_step_up, request, me, at, fields)


def enter(request: Request, state: AppState, at: str, who: SignedInAs, fields: FormFields) -> Response:
    """Opens a session in this browser, ends the one before, and leads on, or to what was under way."""
    keys, staff_id = who
    before = request.cookies.get(cookie_name(at), "")
    with transaction(state.pool) as conn:
        if SESSION_TOKEN.fullmatch(before):
            end_session(conn, before)
        token = open_session(conn, keys, staff_id)
        unsent = open_form(keys, staff_id, one(fields, "unsent"), database_time(conn))
    answer: Response = render_unsent(unsent, token) if unsent else go(console_path(one(fields, "to")))
    return with_session(answer, at, token)


def try_password(request: Request, check: Callable[[], SignedInAs]) -> SignedInAs:
    """Tries a password; wrong ones of one address become fewer. Raises SignInRefused and RateLimited."""
    limits: RateLimiter = request.app.state.limits
    limits.consume("sign-in", request.scope[ADDRESS])
    who = check()
    limits.refund("sign-in", request.scope[ADDRESS])
    return who


def _sign_in(request: Request, state: AppState, at: str, fields: FormFields) -> Response:
    name, password, code = (one(fields, field) for field in ("name", "password", "code"))
    try:
        if signed := one(fields, "passkey"):
            with transaction(state.pool) as conn:
                who = check_passkey(conn, state.keystore, at, signed)
        else:
            who = try_password(
                request, lambda: check_password_sign_in(state.pool, state.keystore, name, password, code)
            )
    except SignInRefused as error:
        hidden = {"to": one(fields, "to"), "unsent": one(fields, "unsent")}
        with transaction(state.pool) as conn:
            return render_sign_in(conn, state, at, hidden, status=error.status, wrong=_wrong(error), name=name)
    return enter(request, state, at, who, fields)


def _step_up(request: Request, me: Visit, at: str, fields: FormFields) -> Response:
    owner = (me.keys, me.staff.id)
    try:
        if signed := one(fields, "passkey"):
            with transaction(me.state.pool) as conn:
                who = check_passkey(conn, me.state.keystore, at, signed, owner)
        else:
            password, code = one(fields, "password"), one(fields, "code")
            who = try_password(request, lambda: check_password_of(me.state.pool, owner, password, code))
    except SignInRefused as error:
        hidden = {"to": one(fields, "to"), "unsent": one(fields, "unsent")}
        with transaction(me.state.pool) as conn:
            return render_step_up(conn, me.state, at, me.session, hidden, status=error.status, wrong=_wrong(error))
    return enter(request, me.state, at, who, fields)


def _wrong(error: SignInRefused) -> str:
    title, text = words.error_words(error.code, error.detail)
    return f"{title}. {text}"
