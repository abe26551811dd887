"""Serves the page of one's own account: passkeys, password and app, sessions in other browsers."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.desk import inside
from assent.console.sign_in_pages import provider_host
from assent.console.visit import ConsoleOrigin, ConsoleRoute, FormFields, SignedIn, Visit, one, read_session_form
from assent.core.errors import BadRequest, NotFound
from assent.db.pool import Conn, transaction
from assent.http.pages import go
from assent.staff.passkeys import (
    add_own_passkey,
    list_passkeys,
    make_challenge,
    registration_options,
    rename_passkey,
)
from assent.staff.passwords import LEAST_PASSWORD, MOST_PASSWORD, app_address, hash_password
from assent.staff.sessions import end_sessions, token_secret
from assent.staff.sign_in import has_password, is_provided
from assent.staff.team import app_secret, remove_passkey, remove_password, set_password
from assent.subjects.access import record_access

router = APIRouter(prefix="/console/account", include_in_schema=False, route_class=ConsoleRoute)
AccountAct = Callable[[Conn], None]


@router.get("")
def show_account(me: SignedIn, at: ConsoleOrigin, said: str = "") -> Response:
    """Shows one's own account."""
    return _page(me, at, message=words.said(said))


@router.post("/keys")
async def add_key(request: Request, me: SignedIn, at: ConsoleOrigin) -> Response:
    """Adds a passkey that the browser has just made."""
    fields = await read_session_form(request, me)
    made = (one(fields, "passkey"), one(fields, "name"))

    def act(conn: Conn) -> None:
        add_own_passkey(conn, me.state.keystore, (me.keys, me.staff.id), at, made)

    return await _change(me, act, "key-added")


@router.post("/keys/{key}/name")
async def rename_key(request: Request, key: str, me: SignedIn) -> Response:
    """Gives a passkey another name."""
    fields = await read_session_form(request, me)
    name = one(fields, "name")
    return await _change(me, lambda conn: rename_passkey(conn, me.keys, me.staff.id, _key_id(key), name), "key-renamed")


@router.post("/keys/{key}/remove")
async def remove_key(request: Request, key: str, me: SignedIn) -> Response:
    """Removes a passkey, unless it is the last way to sign in."""
    await read_session_form(request, me)
    return await _change(me, lambda conn: remove_passkey(conn, me.keys, me.staff.id, _key_id(key)), "key-removed")


@router.post("/password")
async def change_password(request: Request, me: SignedIn, at: ConsoleOrigin) -> Response:
    """Sets a password and an authenticator app; the account's other sessions end."""
    fields = await read_session_form(request, me)
    return await run_in_threadpool(_set_password, me, at, fields)


@router.post("/password/remove")
async def drop_password(request: Request, me: SignedIn) -> Response:
    """Removes password and app, unless they are the last way to sign in."""
    await read_session_form(request, me)
    return await _change(me, lambda conn: remove_password(conn, me.keys, me.staff.id), "password-removed")


@router.post("/sessions")
async def end_other_sessions(request: Request, me: SignedIn) -> Response:
    """Ends the account's sessions in other browsers."""
    await read_session_form(request, me)
    await run_in_threadpool(_end_others, me)
    return go("/console/account?said=sessions-ended")


def _end_others(me: Visit) -> None:
    with transaction(me.state.pool) as conn:
        end_sessions(conn, me.keys, me.staff.id, me.session.token)


async def _change(me: Visit, act: AccountAct, said: str) -> Response:
    """Changes how the account signs in, in one transaction with its leaf. Raises StepUpNeeded."""
    me.session.must_be_fresh()
    await run_in_threadpool(_act, me, act, said)
    return go(f"/console/account?said={said}")


def _act(me: Visit, act: AccountAct, said: str) -> None:
    with transaction(me.state.pool) as conn:
        act(conn)
        record_access(conn, me.keys, "staff.keys-changed", me.by, change=said)


def _set_password(me: Visit, at: str, fields: FormFields) -> Response:
    me.session.must_be_fresh()
    texts = words.WORDS["set_up"]
    if not LEAST_PASSWORD <= len(one(fields, "password")) <= MOST_PASSWORD:
        return _page(me, at, 422, wrong=texts["password_short"])
    hashed = hash_password(one(fields, "password"))

    def act(conn: Conn) -> None:
        if is_provided(conn, me.keys, me.staff.id):
            raise NotFound
        set_password(conn, me.keys, me.staff.id, hashed, (_secret(me), one(fields, "code")))
        end_sessions(conn, me.keys, me.staff.id, me.session.token)

    try:
        _act(me, act, "password-set")
    except BadRequest as error:
        return _page(me, at, 422, wrong=texts.get(error.detail, error.detail))
    return go("/console/account?said=password-set")


def _page(me: Visit, at: str, status: int = 200, **shown: Any) -> Response:
    with transaction(me.state.pool) as conn:
        passkeys = list_passkeys(conn, me.keys, me.staff.id)
        challenge = make_challenge(conn, me.state.keystore).encode()
        known = [key.id for key in passkeys]
        secret = _secret(me)
        values = {
            "passkeys": [(urlsafe_b64encode(key.id).decode().rstrip("="), key) for key in passkeys],
            "options": registration_options(at, challenge, me.staff.id, me.staff.name, known),
            "has_password": has_password(conn, me.keys, me.staff.id),
            "provider": provider_host(me.state) if is_provided(conn, me.keys, me.staff.id) else None,
            "secret": secret,
            "app_address": app_address(secret, me.staff.name),
            "today": f"{me.session.now:%Y-%m-%d}",
        }
    return inside("account", me, words.WORDS["account"]["title"], status, **values, **shown)


def _secret(me: Visit) -> str:
    """Derives the next app's secret from the session, so that the page shows it until it is set."""
    return app_secret(token_secret(me.keys, me.session.token, "totp"))


def _key_id(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        raise NotFound("no such passkey") from None
