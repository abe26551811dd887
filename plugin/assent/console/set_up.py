"""Serves the page that a link opens once: it makes an account, or gives one another way to sign in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.pages import render_page
from assent.console.visit import ConsoleOrigin, ConsoleRoute, FormFields, one, read_fields, with_session
from assent.core.console_errors import SetUpLinkOver, SignInRefused
from assent.core.errors import BadRequest
from assent.db.pool import Conn, transaction
from assent.http.pages import go
from assent.http.state import App, AppState
from assent.staff.passkeys import add_passkey, list_passkeys, registration_options
from assent.staff.passwords import LEAST_PASSWORD, MOST_PASSWORD, app_address, hash_password
from assent.staff.sessions import open_session
from assent.staff.sign_in import is_provided, note_sign_in
from assent.staff.team import SetUpLink, read_link, set_password, take_link, use_link
from assent.subjects.access import record_access

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
LinkToken = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{43}$")]


@router.get("/set-up/{token}")
def show_set_up(token: LinkToken, state: App, at: ConsoleOrigin) -> Response:
    """Shows what the link makes; it is spent only by what follows."""
    try:
        with transaction(state.pool) as conn:
            return _page(conn, read_link(conn, state.keystore, token), at)
    except SetUpLinkOver as error:
        return render_page("set_up_over", error.status)


@router.post("/set-up/{token}")
async def set_up(request: Request, token: LinkToken, state: App, at: ConsoleOrigin) -> Response:
    """Spends the link, and signs its account in."""
    fields = await read_fields(request)
    return await run_in_threadpool(_set_up, state, at, token, fields)


def _set_up(state: AppState, at: str, token: str, fields: FormFields) -> Response:
    hashed = None
    texts = words.WORDS["set_up"]
    try:
        if not one(fields, "passkey"):
            if not LEAST_PASSWORD <= len(one(fields, "password")) <= MOST_PASSWORD:
                raise BadRequest("password_short")
            with transaction(state.pool) as conn:  # before the hash, which takes a while
                read_link(conn, state.keystore, token)
            hashed = hash_password(one(fields, "password"))
        with transaction(state.pool) as conn:
            session = _use(conn, take_link(conn, state.keystore, token), at, fields, hashed)
    except SetUpLinkOver as error:
        return render_page("set_up_over", error.status)
    except (BadRequest, SignInRefused) as error:
        wrong = texts.get(error.detail, words.WORDS["sign_in"]["passkey_wrong"])
        with transaction(state.pool) as conn:
            return _page(conn, read_link(conn, state.keystore, token), at, one(fields, "name"), wrong)
    return with_session(go("/console"), at, session) if session else go("/console/sign-in")


def _use(conn: Conn, link: SetUpLink, at: str, fields: FormFields, hashed: str | None) -> str | None:
    """Makes the account or finds it, gives it its way to sign in, and returns a session's token.

    None for an account of the identity provider, which signs in there; it gets no password.
    """
    staff = use_link(conn, link, one(fields, "name"))
    provided = is_provided(conn, link.keys, staff.id)
    if provided and hashed is not None:
        raise SignInRefused
    if hashed is None:
        name = words.WORDS["account"]["first_key"]
        add_passkey(conn, (link.keys, staff.id), at, link.challenge, one(fields, "passkey"), name)
        record_access(conn, link.keys, "staff.keys-changed", staff.by, change="key-added")
        if provided:
            return None
        note_sign_in(conn, link.keys, staff.id, "passkey")
    else:
        step = set_password(conn, link.keys, staff.id, hashed, (link.totp, one(fields, "code")))
        record_access(conn, link.keys, "staff.keys-changed", staff.by, change="password-set")
        note_sign_in(conn, link.keys, staff.id, "password", step)
    return open_session(conn, link.keys, staff.id)


def _page(conn: Conn, link: SetUpLink, at: str, name: str | None = None, wrong: str = "") -> Response:
    known = [] if link.staff is None else [key.id for key in list_passkeys(conn, link.keys, link.staff)]
    shown = link.name if name is None or link.staff is not None else name
    return render_page(
        "set_up",
        422 if wrong else 200,
        stands=link.staff is not None,
        provided=link.staff is not None and is_provided(conn, link.keys, link.staff),
        called=shown,
        roles=", ".join(words.WORDS["roles"][role] for role in link.roles),
        options=registration_options(at, link.challenge, link.handle, link.name, known),
        secret=link.totp,
        app_address=app_address(link.totp, shown or "Assent"),
        wrong=wrong,
    )
