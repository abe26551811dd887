"""Takes an act's steps through the guarded client: one call after the other, until they end or one fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from assent import __version__
from assent.core.clock import parse_rfc3339
from assent.core.errors import FetchFailed, FetchRefused, FetchTooLarge
from assent.core.settings import AllowedHost
from assent.net.client import ExchangeLimits, RequestBody, Response, request
from assent.outbox.schedule import MAX_ERROR, MAX_RETRY_AFTER, retry_after
from assent.platforms.calls import (
    ActCredentials,
    ActImpossible,
    ActingAdapter,
    ActUnclear,
    ApiCall,
    ApiReply,
)

CALL_SECONDS, MAX_REPLY = 15, 2_000_000  # of one call; bytes
_FINAL = frozenset({400, 404, 410, 422})  # about the request itself: it will be the same every time
_UNFORESEEN = (AttributeError, TypeError, LookupError, ValueError)
_WAIT = frozenset({429, 503})
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ActFailed:
    """A call that failed: why, whether trying again is of no use, and whether it may have been done all the same.

    `wait`: how long the platform wants to be left alone.
    """

    because: str
    final: bool = False
    unsure: bool = False
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ActingLine:
    """A connected platform as a worker calls it; `check` raises FetchFailed once the worker may no longer call."""

    adapter: ActingAdapter
    credentials: ActCredentials
    allow: Sequence[AllowedHost]
    clock: Callable[[], datetime]
    check: Callable[[], None]
    max_reply: int = MAX_REPLY


def exchange_steps(
    steps: Generator[ApiCall, ApiReply, _Result], line: ActingLine
) -> tuple[_Result | ActFailed, timedelta | None]:
    """Runs steps; returns how they ended, and how long the platform is to be left alone from now on.

    Redirects are not followed; a 2xx answer has to be JSON or empty.
    """
    rest: timedelta | None = None
    try:
        call = next(steps)
        while True:
            reply, pause = _call(call, line)
            rest = pause or rest
            if isinstance(reply, ActFailed):
                steps.close()
                return reply, rest
            call = steps.send(reply)
    except StopIteration as end:
        return end.value, rest
    except ActImpossible as error:
        return ActFailed(str(error), final=True), rest
    except ActUnclear as error:
        return ActFailed(str(error), unsure=True), rest
    except _UNFORESEEN as error:  # steps read what somebody else's server wrote
        return ActFailed(f"the answer has a shape that nobody foresaw ({type(error).__name__})", unsure=True), rest


def _call(call: ApiCall, line: ActingLine) -> tuple[ApiReply | ActFailed, timedelta | None]:
    begun = call.method == "DELETE"  # it has no body that could be held back

    def before() -> None:
        nonlocal begun
        line.check()
        begun = True

    headers = {"user-agent": f"Assent/{__version__}", **call.headers, **line.adapter.headers(line.credentials, call)}
    body = RequestBody(call.body, before) if call.method in ("POST", "PUT") else None
    url = line.credentials.url + call.path
    limits = ExchangeLimits(CALL_SECONDS, CALL_SECONDS, line.max_reply)
    try:
        line.check()
        answer = request(call.method, url, headers=headers, body=body, limits=limits, allow=line.allow)
    except (FetchRefused, FetchFailed, FetchTooLarge) as error:
        return ActFailed(f"{error.code}: {error.detail}"[:MAX_ERROR], unsure=begun), None
    now = line.clock()
    return _reply(call, answer, now), _pause(answer, now)


def _reply(call: ApiCall, answer: Response, now: datetime) -> ApiReply | ActFailed:
    what = f"{call.method} {call.path.partition('?')[0]} answered HTTP {answer.status}"
    if not (200 <= answer.status < 300 or answer.status in call.reads):
        failed = ActFailed(what, answer.status in _FINAL, answer.status >= 500, _pause(answer, now))
        if 300 <= answer.status < 400:
            return ActFailed(f"{what}: redirects are not followed")
        return failed
    if not answer.body.strip():
        return ApiReply(answer.status)
    try:
        return ApiReply(answer.status, json.loads(answer.body))
    except ValueError:
        if answer.status in call.reads:
            return ApiReply(answer.status)
        return ActFailed(f"{what} with something else than JSON", unsure=True)


def _pause(answer: Response, now: datetime) -> timedelta | None:
    """Returns how long the platform is to be left alone: it said so, or allows no further call before that time."""
    headers = answer.headers
    if answer.status in _WAIT:
        return retry_after(headers, now) or _until_reset(headers, now)
    if headers.get("x-ratelimit-remaining", "").strip() == "0":
        return _until_reset(headers, now)
    return None


def _until_reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    try:
        wait = parse_rfc3339(headers.get("x-ratelimit-reset", "").strip()) - now
    except (ValueError, TypeError):  # no time, or one without a zone
        return None
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)
