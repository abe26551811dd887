"""Handles a visit to the person's own page: its session's cookie, the forms that belong to it, errors as pages."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from assent.core.errors import AssentError, BadRequest, CsrfFailed, SessionOver
from assent.db.pool import transaction
from assent.http.altered import TENANT, note_altered
from assent.http.auth import refund_address_token
from assent.http.forms import read_form
from assent.http.limits import RateLimiter
from assent.http.state import App, AppState
from assent.keys.keystore import TenantKeys
from assent.me.notice import Notice, read_notice
from assent.me.pages import error_page
from assent.media.files import MAX_IMAGE_BYTES
from assent.subjects import links

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits, base64url
_HERE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_FORM = b"assent.form/1"


@dataclass(frozen=True, slots=True, eq=False)
class Visitor:
    """A person with an open session of their own page."""

    state: AppState
    keys: TenantKeys
    session: links.Session
    cookie: str = field(repr=False)

    @property
    def ref(self) -> str:
        return self.session.ref

    @property
    def who(self) -> dict[str, Any]:
        return {"tenant": self.keys.tenant, "pid": self.session.pseudonym}

    @property
    def form(self) -> str:
        """Returns the token that every form of this session carries; it cannot be made without the cookie."""
        return hmac.new(self.cookie.encode(), _FORM, sha256).hexdigest()

    @property
    def minutes(self) -> int:
        """Returns for how many minutes the page stays open."""
        return max(1, round(self.session.left.total_seconds() / 60))

    @property
    def notice(self) -> Notice:
        return read_notice(self.state.settings.notice)

    @property
    def may_choose_anyone(self) -> bool:
        return bool(self.state.settings.anyone_declaration)


async def visitor(request: Request, state: App) -> Visitor:
    """Returns the visitor. Raises SessionOver, or RateLimited when this person sends too many requests."""
    cookie = request.cookies.get(_cookie_name(request), "")
    if not TOKEN.fullmatch(cookie):
        raise SessionOver
    session = await state.run_for_person(_session, state, cookie)
    request.scope[TENANT] = session.tenant
    refund_address_token(request)
    limits: RateLimiter = request.app.state.limits
    limits.consume("person", f"{session.tenant}/{session.pseudonym.hex()}")
    return Visitor(state, state.keystore.tenant(session.tenant), session, cookie)


def _session(state: AppState, cookie: str) -> links.Session:
    with transaction(state.people) as conn:
        return links.session(conn, state.keystore, cookie)


Me = Annotated[Visitor, Depends(visitor)]


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return error_page(BadRequest(), back=_cookie_name(request) in request.cookies)
            except AssentError as error:
                await note_altered(request, error)
                return error_page(
                    error, back=_cookie_name(request) in request.cookies and not isinstance(error, SessionOver)
                )

        return shown


async def read_own_form(request: Request, me: Visitor, photos: int = 0) -> tuple[dict[str, str], list[bytes]]:
    """Returns the fields and files of a form of this session.

    Raises CsrfFailed for any other, and what `read_form` raises.
    """
    must_be_ours(request)
    files = ("photos", "camera") if photos else ()
    # One file more than photos may come: a field in which nothing was chosen is sent, too, as an empty file.
    fields, sent = await read_form(request, MAX_IMAGE_BYTES, files=files, most=photos and photos + 1)
    if not hmac.compare_digest(fields.pop("form", "").encode(), me.form.encode()):
        raise CsrfFailed
    return fields, [data for data in sent if data]


def must_be_ours(request: Request) -> None:
    """Raises CsrfFailed when the browser reports that a form came from another site."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise CsrfFailed


def _cookie_name(request: Request) -> str:
    """Names the session's cookie: with the prefix that lets no other host set it, which browsers take over TLS only."""
    return "__Host-assent_me" if _secure(request) else "assent_me"


def with_cookie(request: Request, answer: Response, cookie: str) -> Response:
    """Sets the session's cookie in this browser, for as long as the session lasts."""
    age = int(links.SESSION.total_seconds())
    secure = _secure(request)
    answer.set_cookie(_cookie_name(request), cookie, age, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


def without_cookie(request: Request, answer: Response) -> Response:
    """Deletes the session's cookie in this browser."""
    secure = _secure(request)
    answer.delete_cookie(_cookie_name(request), "/", secure=secure, httponly=True, samesite="strict")
    return answer


def _secure(request: Request) -> bool:
    """Tells whether the cookie is for HTTPS only.

    False only for plain HTTP on this very machine, where no proxy with TLS stands before it.
    """
    return request.scope["scheme"] == "https" or not _HERE.fullmatch(request.headers.get("host", ""))
