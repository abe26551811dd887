"""Reads request bodies as they are sent, bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from assent.core.errors import BadRequest, BodyTooLarge, RequestTooSlow
from assent.core.http_errors import ContentCodingUnsupported

MAX_BODY = 1 << 20  # a webhook's or a JSON request's body
BODY_SECONDS = 10.0  # for all of a body of at most MAX_BODY


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """Returns the raw body. Raises what `bounded` and `within` raise."""
    async with within(BODY_SECONDS):
        return b"".join([chunk async for chunk in bounded(request, limit)])


async def bounded(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yields the body in pieces.

    Raises ContentCodingUnsupported for a body in any coding, BodyTooLarge as soon as more than `limit` bytes are
    announced or have arrived, BadRequest when the connection ends before the body.
    """
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if not {coding.strip() for coding in codings} <= {"", "identity"}:
        raise ContentCodingUnsupported
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
