"""Serves the way to the identity provider and back."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.sign_in import WITH_UNSENT
from assent.console.sign_in_pages import console_path, render_go, render_sign_in, render_unsent
from assent.console.unsent_form import open_form
from assent.console.visit import (
    SESSION_TOKEN,
    ConsoleOrigin,
    ConsoleRoute,
    FormFields,
    cookie_name,
    one,
    read_fields,
    with_session,
)
from assent.core.console_errors import ProviderFailed, RoleMissing, SignedOut
from assent.core.errors import NotFound
from assent.db.pool import Conn, transaction
from assent.db.queue import database_time
from assent.http.limits import ADDRESS, RateLimiter
from assent.http.state import App, AppState
from assent.keys.keystore import TenantKeys
from assent.staff.oidc import Asking, Vouched, account_vouched, address_of_sign_in, ask_provider, provider_of
from assent.staff.sessions import (
    end_session_named,
    form_token,
    name_of_session,
    open_session,
    read_session,
    store_token,
    take_token,
)
from assent.staff.sign_in import note_sign_in

router = APIRouter(prefix="/console/sign-in/provider", include_in_schema=False, route_class=ConsoleRoute)
UNDER_WAY = timedelta(minutes=10)
NOT_FRESH = timedelta(hours=1)  # as old as a sign-in counts whose time the provider does not say
Told = Annotated[str, Query(max_length=4000)]


@router.post("")
async def go_to_provider(request: Request, state: App, at: ConsoleOrigin) -> Response:
    """Leads to the provider's sign-in; the cookie and the address's `state` belong together."""
    fields = await read_fields(request, WITH_UNSENT)
    return await run_in_threadpool(_begin, request, state, at, fields)


@router.get("")
def come_back(
    request: Request, state: App, at: ConsoleOrigin, code: Told = "", given: Annotated[str, Query(alias="state")] = ""
) -> Response:
    """Opens a session for whom the provider vouches."""
    held: dict[str, Any] = {}
    try:
        provider = provider_of(state.settings)
        cookie = request.cookies.get(_cookie(at), "")
        if provider is None or not SESSION_TOKEN.fullmatch(given) or not hmac.compare_digest(cookie, given):
            raise ProviderFailed
        with transaction(state.pool) as conn:
            taken = take_token(conn, state.keystore, given, "sign-in")
            now = database_time(conn)
        if taken is None:
            raise ProviderFailed
        keys, held = taken
        asking = Asking(f"{at}{request.url.path}", held["nonce"], held["verifier"], held["anew"])
        vouched = ask_provider(provider, asking, code, now)
        with transaction(state.pool) as conn:
            staff_id = account_vouched(conn, keys, provider, vouched)
        limits: RateLimiter = request.app.state.limits
        limits.refund("sign-in", request.scope[ADDRESS])
        if staff_id is None:
            raise RoleMissing
        with transaction(state.pool) as conn:
            return _enter(conn, keys, staff_id, at, (held, vouched))
    except ProviderFailed as error:
        return _refused(state, at, error, held)


def _begin(request: Request, state: AppState, at: str, fields: FormFields) -> Response:
    provider = provider_of(state.settings)
    if provider is None:
        raise NotFound
    limits: RateLimiter = request.app.state.limits
    limits.consume("sign-in", request.scope[ADDRESS])  # each one is stored
    names = state.keystore.tenants()
    keys = state.keystore.tenant("default" if "default" in names else names[0])
    asking = Asking(
        f"{at}{request.url.path}", secrets.token_urlsafe(24), secrets.token_urlsafe(48), one(fields, "again") == "yes"
    )
    held = {
        "nonce": asking.nonce,
        "verifier": asking.verifier,
        "anew": asking.anew,
        "to": one(fields, "to"),
        "unsent": one(fields, "unsent"),
    }
    try:
        with transaction(state.pool) as conn:
            if asking.anew:
                held |= _owner(conn, state, request.cookies.get(cookie_name(at), ""), one(fields, "form"))
            token = store_token(conn, keys, "sign-in", UNDER_WAY, held, None)
        answer = render_go(address_of_sign_in(provider, asking, token))
    except ProviderFailed as error:
        return _refused(state, at, error, held)
    secure, age = at.startswith("https:"), int(UNDER_WAY.total_seconds())
    # Lax: the way back comes from another site.
    answer.set_cookie(_cookie(at), token, age, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def _owner(conn: Conn, state: AppState, token: str, form: str) -> dict[str, str]:
    """Returns whose session this is, and its name: it ends when its owner has shown who they are."""
    if not SESSION_TOKEN.fullmatch(token) or not hmac.compare_digest(form.encode(), form_token(token).encode()):
        raise SignedOut
    session = read_session(conn, state.keystore, token)
    return {"owner": session.staff.by, "before": name_of_session(token)}


def _enter(conn: Conn, keys: TenantKeys, staff_id: UUID, at: str, came: tuple[dict[str, Any], Vouched]) -> Response:
    """A strict cookie would not be sent along a redirect that began at another site: the page leads on by itself."""
    held, vouched = came
    if held["anew"]:
        if held["owner"] != str(staff_id):
            raise ProviderFailed
        end_session_named(conn, held["before"])
    now = database_time(conn)
    note_sign_in(conn, keys, staff_id, "provider")
    token = open_session(conn, keys, staff_id, vouched.at or now - NOT_FRESH)
    unsent = open_form(keys, staff_id, held["unsent"], now)
    answer = render_unsent(unsent, token) if unsent else render_go(console_path(held["to"]))
    answer.delete_cookie(_cookie(at), "/", secure=at.startswith("https:"), httponly=True, samesite="lax")
    return with_session(answer, at, token)


def _refused(state: AppState, at: str, error: ProviderFailed, held: dict[str, Any]) -> Response:
    title, text = words.error_words(error.code, error.detail)
    hidden = {"to": held.get("to", ""), "unsent": held.get("unsent", "")}
    with transaction(state.pool) as conn:
        return render_sign_in(conn, state, at, hidden, status=error.status, wrong=f"{title}. {text}")


def _cookie(at: str) -> str:
    return "__Host-assent_sign_in" if at.startswith("https:") else "assent_sign_in"
