"""Provides what routes share: the open installation, the caller, bounded bodies, errors as problem+json (RFC 9457)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from assent.core.errors import (
    AssentError,
    BadRequest,
    BodyTooLarge,
    DatabaseUnavailable,
    HeadTooLarge,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    RequestTooSlow,
    Unauthorized,
)
from assent.core.settings import Settings
from assent.core.strict import place
from assent.db.pool import Pool, transaction
from assent.http.api_keys import Caller, authenticate
from assent.http.decision_waiter import Announcements
from assent.http.limits import RateLimiter
from assent.keys.keystore import Keystore

MAX_BODY = 1 << 20  # a webhook's or a JSON request's body
MAX_PHOTO = 20 << 20  # one photo sent as bytes
BODY_SECONDS = 10.0  # for all of a body of at most MAX_BODY
PROBLEM_JSON = "application/problem+json"
ADDRESS = "assent.address"  # where the scope keeps whose bucket the request's token came from


@dataclass(frozen=True, slots=True, eq=False)
class AppState:
    """The open installation that the routes work with: settings, database, keys and announcements."""

    settings: Settings
    pool: Pool
    keystore: Keystore
    announcements: Announcements


class ProblemDocument(BaseModel):
    """The body of every answer with a status from 400 up (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str


def app_state(request: Request) -> AppState:
    found: AppState = request.app.state.house
    return found


_BEARER = HTTPBearer(auto_error=False, scheme_name="API key", description="From `assent init`.")


def caller(
    request: Request,
    at: Annotated[AppState, Depends(app_state)],
    sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Caller:
    """Returns the caller. Raises Unauthorized, or RateLimited when this key sends too many requests."""
    if sent is None:
        raise Unauthorized
    with transaction(at.pool) as conn:
        by = authenticate(conn, sent.credentials)
    refund_address_token(request)
    limits: RateLimiter = request.app.state.limits
    limits.take("key", f"{by.tenant}/{by.key_id}")
    return by


App = Annotated[AppState, Depends(app_state)]
By = Annotated[Caller, Depends(caller)]


def refund_address_token(request: Request) -> None:
    """Returns the token that an authentic request took from its address's bucket."""
    limits: RateLimiter = request.app.state.limits
    limits.give_back("address", request.scope[ADDRESS])


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """Returns the raw body. Raises what `bounded` and `within` raise."""
    async with within(BODY_SECONDS):
        return b"".join([chunk async for chunk in bounded(request, limit)])


async def bounded(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yields the body in pieces.

    Raises BodyTooLarge as soon as more than `limit` bytes are announced or have arrived, BadRequest when the connection
    ends before the body.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise BodyTooLarge(f"the body is larger than {limit} bytes")
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(f"the body is larger than {limit} bytes")
            yield chunk
    except ClientDisconnect:
        raise BadRequest("the connection ended before the body did") from None


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Limits the reading of a whole body to that many seconds, however steadily it arrives.

    Raises RequestTooSlow.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RequestTooSlow(f"the body did not come within {seconds:.0f} s") from None


def problem_response(
    code: str, status: int, detail: str, remedy: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Returns a problem document (RFC 9457), with the error tree's code as its type."""
    body = {"type": f"urn:assent:error:{code}", "title": remedy, "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM_JSON)


def assent_problem_response(error: AssentError) -> JSONResponse:
    """Returns an error of the tree as its problem document."""
    headers = {}
    if isinstance(error, RateLimited):
        headers = {"Retry-After": str(error.wait_seconds)}
    elif error.retryable and error.status == 503:
        headers = {"Retry-After": "5"}
    elif isinstance(error, Unauthorized):
        headers = {"WWW-Authenticate": "Bearer"}
    return problem_response(error.code, error.status, error.detail, error.remedy, headers)


async def assent_problem(_request: Request, error: Exception) -> JSONResponse:
    """Answers an error of the tree; any other exception is an internal error and discloses nothing."""
    return assent_problem_response(error if isinstance(error, AssentError) else AssentError())


async def http_problem(_request: Request, error: Exception) -> JSONResponse:
    """Answers what the router itself refuses: an unknown path, a method that is not allowed."""
    if not isinstance(error, HTTPException):
        raise error
    known = {kind.status: kind for kind in (BadRequest, NotFound, MethodNotAllowed)}
    kind = known.get(error.status_code, AssentError)
    return problem_response(kind.code, error.status_code, str(error.detail), kind.remedy, dict(error.headers or {}))


async def validation_problem(_request: Request, error: Exception) -> JSONResponse:
    """Answers a request that does not fit its schema: names the field and the reason, never its value."""
    if not isinstance(error, RequestValidationError):
        raise error
    said = "; ".join(f"{place(e['loc'])}: {e['msg']}" for e in error.errors()[:5])
    return assent_problem_response(BadRequest(said))


ANYWHERE = (BadRequest, HeadTooLarge, RequestTooSlow, RateLimited, DatabaseUnavailable)


def error_responses(*kinds: type[AssentError]) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI `responses` of a route that may raise these, beside those that any route may raise."""
    found: dict[int | str, dict[str, Any]] = {}
    every: set[type[AssentError]] = {*ANYWHERE, *kinds}
    for kind in sorted(every, key=lambda kind: (kind.status, kind.code)):
        said = f"`{kind.code}`: {kind.remedy}"
        content = {PROBLEM_JSON: {"schema": schema_ref(ProblemDocument)}}
        answer = found.setdefault(kind.status, {"content": content, "description": ""})
        answer["description"] = f"{answer['description']} {said}".strip()
    found[429]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found


def schema_ref(kind: type[BaseModel]) -> dict[str, str]:
    """Returns a reference to the model in the OpenAPI document, for bodies that a route reads by itself.

    `assent.http.openapi` lists these models.
    """
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
