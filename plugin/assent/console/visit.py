"""Handles a visit to the console: where it may be opened from, its session's cookie, its forms, errors as pages."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from assent.console.access import ROUTES
from assent.console.pages import render_error
from assent.core.console_errors import RoleMissing, SignedOut
from assent.core.errors import AssentError, BadRequest, CsrfFailed, NotFound
from assent.db.pool import transaction
from assent.http.altered import TENANT, note_altered
from assent.http.auth import refund_address_token
from assent.http.body import read_body
from assent.http.limits import RateLimiter
from assent.http.pages import go
from assent.http.state import App, AppState
from assent.keys.keystore import TenantKeys
from assent.staff.accounts import Staff
from assent.staff.roles import STEP_UP
from assent.staff.sessions import LONGEST_SESSION, StaffSession, read_session

SESSION_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits, base64url
MAX_FORM_BYTES = 256 << 10  # bytes
MAX_FORM_FIELDS = 200
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
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
            except SignedOut as error:
                if request.method != "GET":
                    return render_error(error)
                path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return go(f"/console/sign-in?to={quote(path, safe='')}")
            except AssentError as error:
                await note_altered(request, error)
                return render_error(error)

        return shown


async def read_fields(request: Request) -> dict[str, tuple[str, ...]]:
    """Returns the fields of a form, each with all its values.

    Raises CsrfFailed where another site sent it, BadRequest where it is malformed or not UTF-8, and what `read_body`
    raises.
    """
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise CsrfFailed
    body = await read_body(request, MAX_FORM_BYTES)
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
    return fields


async def read_session_form(request: Request, me: Visit) -> dict[str, tuple[str, ...]]:
    """Returns the fields of a form of this session. Raises CsrfFailed for any other, and what `read_fields` raises."""
    fields = await read_fields(request)
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
