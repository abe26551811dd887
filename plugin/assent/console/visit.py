"""Handles a visit to the console: where it may be opened from, its session's cookie, its forms, errors as pages."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from assent.console.access import ROUTES
from assent.console.pages import render_error
from assent.console.sign_in_pages import render_sign_in, render_step_up
from assent.console.unsent_form import UnsentForm, seal_form
from assent.console.words import error_words
from assent.core.console_errors import RoleMissing, SignedOut, StepUpNeeded
from assent.core.errors import AssentError, BadRequest, CsrfFailed, NotFound
from assent.db.pool import transaction
from assent.db.queue import database_time
from assent.http.altered import TENANT, note_altered
from assent.http.auth import refund_address_token
from assent.http.body import read_body
from assent.http.limits import RateLimiter
from assent.http.pages import go
from assent.http.state import App, AppState
from assent.keys.keystore import TenantKeys
from assent.staff.accounts import Staff
from assent.staff.roles import STEP_UP
from assent.staff.sessions import LONGEST_SESSION, StaffSession, form_token, owner_of, read_session

SESSION_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits, base64url
MAX_FORM_BYTES = 256 << 10  # bytes
MAX_FORM_FIELDS = 200
FORM = "assent.form"  # where a request's scope keeps the fields that were read
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
SECRETS = frozenset({"password", "code", "passkey"})  # fields that are typed anew and never shown
FormFields = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """A request of a signed-in user of the console."""

    state: AppState
    keys: TenantKeys
    session: StaffSession

    @property
    def staff(self) -> Staff:
        return self.session.staff

    @property
    def by(self) -> str:
        return self.session.staff.by


def origin(request: Request, state: App) -> str:
    """Returns the console's own origin. Raises NotFound where the request was sent to another one.

    Without `ASSENT_CONSOLE_ORIGIN` the console opens on this very machine only.
    """
    host = request.headers.get("host", "")
    configured = state.settings.console_origin
    if configured:
        if host != urlsplit(configured).netloc:
            raise NotFound
        return configured
    if not _LOCAL.fullmatch(host):
        raise NotFound
    return f"http://{host}"


ConsoleOrigin = Annotated[str, Depends(origin)]


def visit(request: Request, state: App, at: ConsoleOrigin) -> Visit:
    """Returns the visit. Raises SignedOut, RoleMissing, StepUpNeeded, or RateLimited for too many of one account."""
    token = request.cookies.get(cookie_name(at), "")
    if not SESSION_TOKEN.fullmatch(token):
        raise SignedOut
    with transaction(state.pool) as conn:
        session = read_session(conn, state.keystore, token)
    staff = session.staff
    request.scope[TENANT] = staff.tenant
    refund_address_token(request)
    limits: RateLimiter = request.app.state.limits
    limits.consume("staff", f"{staff.tenant}/{staff.id}")
    permission = ROUTES.get(f"{request.method} {request.scope['route'].path}")
    if permission is None:
        raise RoleMissing
    staff.must(permission)
    if permission in STEP_UP:
        session.must_be_fresh()
    return Visit(state, state.keystore.tenant(staff.tenant), session)


SignedIn = Annotated[Visit, Depends(visit)]


class ConsoleRoute(APIRoute):
    """A route whose errors are pages; who is signed out is led to the sign-in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return render_error(BadRequest())
            except (SignedOut, StepUpNeeded) as error:
                try:
                    return await ask_who(request, error)
                except AssentError as worse:
                    return render_error(worse)
            except AssentError as error:
                await note_altered(request, error)
                return render_error(error)

        return shown


async def ask_who(request: Request, error: SignedOut | StepUpNeeded) -> Response:
    """Leads whoever asked for a page to the sign-in; answers a form with it, in which the form stands sealed."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "GET":
        page = "sign-in" if isinstance(error, SignedOut) else "step-up"
        return go(f"/console/{page}?to={quote(path, safe='')}")
    fields = request.scope.get(FORM) or await read_fields(request)
    return await run_in_threadpool(_asked, request, error, UnsentForm(path, fields))


def _asked(request: Request, error: AssentError, sent: UnsentForm) -> Response:
    state: AppState = request.app.state.app_state
    at = origin(request, state)
    token = request.cookies.get(cookie_name(at), "")
    # Only a form of the session whose cookie came along: another site's is not shown as the account's own.
    own = bool(token) and hmac.compare_digest(one(sent.fields, "form").encode(), form_token(token).encode())
    own = own and not SECRETS & set(sent.fields)
    with transaction(state.pool) as conn:
        owner = owner_of(conn, token) if own else None
        unsent = ""
        if owner is not None:
            fields = {name: values for name, values in sent.fields.items() if name != "form"}
            keys = state.keystore.tenant(owner[0])
            unsent = seal_form(keys, owner[1], UnsentForm(sent.path, fields), database_time(conn))
        to = "/console/account" if sent.path.startswith("/console/account") else "/console"
        hidden = {"to": to, "unsent": unsent}
        if isinstance(error, StepUpNeeded):
            session = read_session(conn, state.keystore, token)
            return render_step_up(conn, state, at, session, hidden, status=error.status)
        title, text = error_words(error.code, error.detail)
        return render_sign_in(conn, state, at, hidden, status=error.status, wrong="" if unsent else f"{title}. {text}")


async def read_fields(request: Request, limit: int = MAX_FORM_BYTES) -> dict[str, tuple[str, ...]]:
    """Returns the fields of a form, each with all its values.

    Raises CsrfFailed where another site sent it, BadRequest where it is malformed or not UTF-8, and what `read_body`
    raises.
    """
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise CsrfFailed
    body = await read_body(request, limit)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise BadRequest("the form") from None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value)
    request.scope[FORM] = dict(fields)
    return fields


async def read_session_form(request: Request, me: Visit, limit: int = MAX_FORM_BYTES) -> dict[str, tuple[str, ...]]:
    """Returns the fields of a form of this session. Raises CsrfFailed for any other, and what `read_fields` raises."""
    fields = await read_fields(request, limit)
    if not hmac.compare_digest(one(fields, "form").encode(), me.session.form.encode()):
        raise CsrfFailed
    fields.pop("form", None)
    return fields


def one(fields: FormFields, name: str, otherwise: str = "") -> str:
    """Returns the only value of a field. Raises BadRequest where it stands twice."""
    values = fields.get(name, (otherwise,))
    if len(values) != 1:
        raise BadRequest(f"the form: {name} twice")
    return values[0]


def cookie_name(at: str) -> str:
    """Names the session's cookie: with the prefix that browsers accept on HTTPS only, wherever there is HTTPS."""
    return "__Host-assent_console" if at.startswith("https:") else "assent_console"


def with_session(answer: Response, at: str, token: str) -> Response:
    """Sets the session's cookie in this browser, for as long as the session may last."""
    age = int(LONGEST_SESSION.total_seconds())
    secure = at.startswith("https:")
    answer.set_cookie(cookie_name(at), token, age, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


def without_session(answer: Response, at: str) -> Response:
    """Deletes the session's cookie in this browser."""
    secure = at.startswith("https:")
    answer.delete_cookie(cookie_name(at), "/", secure=secure, httponly=True, samesite="strict")
    return answer
