"""Checks every request's head and address and counts its sender's rate before a route receives it, a HEAD as a GET."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from assent.core.errors import AssentError, BadRequest, HeadTooLarge, RateLimited
from assent.http.address import check_query, normal_path
from assent.http.limits import ADDRESS, RateLimiter, rate_limit_prefix
from assent.http.problems import assent_problem_response

MAX_HEAD = 16 << 10  # bytes
MAX_FIELDS = 64
Fields = Sequence[tuple[bytes, bytes]]


class Guard:
    """ASGI middleware that checks each request's head and takes a token from its address's bucket.

    Routes see the path in its normal form.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope[ADDRESS] = rate_limit_prefix(scope["client"][0]) if scope["client"] else ""
            limits: RateLimiter = scope["app"].state.limits
            limits.consume("address", scope[ADDRESS])
            check_head(scope["http_version"], scope["raw_path"] + scope["query_string"], scope["headers"])
            check_query(scope["query_string"])
            scope["path"] = normal_path(scope["raw_path"])
        except AssentError as error:
            answer = assent_problem_response(error)
            if not isinstance(error, RateLimited):
                answer.headers["Connection"] = "close"  # where the next request would begin is not certain
            await answer(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # the server, which has a scope of its own, leaves the answer's body away
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def check_head(version: str, target: bytes, fields: Fields) -> None:
    """Raises HeadTooLarge, or BadRequest for another HTTP version and for a head that can be read in two ways."""
    if len(fields) > MAX_FIELDS or len(target) + sum(len(name) + len(value) + 4 for name, value in fields) > MAX_HEAD:
        raise HeadTooLarge
    if version not in ("1.0", "1.1"):
        raise BadRequest("this server speaks HTTP/1.1")
    names = [name for name, _ in fields]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise BadRequest("Content-Length and Transfer-Encoding in one request")
    if names.count(b"content-length") > 1 or names.count(b"authorization") > 1:
        raise BadRequest("a header that may stand once stands twice")
