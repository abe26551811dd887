"""Answers errors as problem+json (RFC 9457), and describes these answers in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

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
from assent.core.http_errors import ContentCodingUnsupported
from assent.core.strict import field_path
from assent.http.altered import note_altered

PROBLEM_JSON = "application/problem+json"


class ProblemDocument(BaseModel):
    """The body of every answer with a status from 400 up (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str


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
    elif isinstance(error, ContentCodingUnsupported):
        headers = {"Accept-Encoding": "identity"}
    return problem_response(error.code, error.status, error.detail, error.remedy, headers)


async def assent_problem(request: Request, error: Exception) -> JSONResponse:
    """Answers an error of the tree; any other exception is an internal error and discloses nothing."""
    await note_altered(request, error)
    return assent_problem_response(error if isinstance(error, AssentError) else AssentError())


async def http_problem(_request: Request, error: Exception) -> JSONResponse:
    """Answers what the router itself refuses: an unknown path, a method that is not allowed."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == NotFound.status:
        return assent_problem_response(NotFound("nothing is served at this path; a slash inside an id is written %2F"))
    known = {kind.status: kind for kind in (BadRequest, MethodNotAllowed)}
    kind = known.get(error.status_code, AssentError)
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # the guard sees to it
    return problem_response(kind.code, error.status_code, str(error.detail), kind.remedy, headers)


async def validation_problem(_request: Request, error: Exception) -> JSONResponse:
    """Answers a request that does not fit its schema: names the field and the reason, never its value."""
    if not isinstance(error, RequestValidationError):
        raise error
    detail = "; ".join(f"{field_path(e['loc'])}: {e['msg']}" for e in error.errors()[:5])
    return assent_problem_response(BadRequest(detail))


ANYWHERE = (BadRequest, HeadTooLarge, RequestTooSlow, RateLimited, DatabaseUnavailable)


def error_responses(*kinds: type[AssentError]) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI `responses` of a route that may raise these, beside those that any route may raise."""
    responses: dict[int | str, dict[str, Any]] = {}
    every: set[type[AssentError]] = {*ANYWHERE, *kinds}
    if BodyTooLarge in every:  # so it reads a body, and none that is coded
        every.add(ContentCodingUnsupported)
    for kind in sorted(every, key=lambda kind: (kind.status, kind.code)):
        meaning = f"`{kind.code}`: {kind.remedy}"
        content = {PROBLEM_JSON: {"schema": schema_ref(ProblemDocument)}}
        answer = responses.setdefault(kind.status, {"content": content, "description": ""})
        answer["description"] = f"{answer['description']} {meaning}".strip()
    responses[429]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return responses


def header_parameters(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns the OpenAPI `parameters` of headers that have to be there, from their descriptions by name."""
    return [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}
        for name, description in headers.items()
    ]


def schema_ref(kind: type) -> dict[str, str]:
    """Returns a reference to the model in the OpenAPI document, for bodies that a route reads by itself.

    `assent.http.openapi` lists these models.
    """
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
