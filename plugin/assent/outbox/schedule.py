"""Decides what follows an attempt to deliver: nothing more, or the time of the next attempt."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from assent.core.errors import FetchFailed, FetchRefused
from assent.net.answer import TRY_AGAIN, Response

Unsent = FetchFailed | FetchRefused

# Before the first attempt and after each failed one, as in the example of Standard Webhooks: 75 h 35 min 5 s in all.
DELIVERY_SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
JITTER = 0.1  # of the delay, added
MAX_RETRY_AFTER = timedelta(days=1)
MAX_ERROR = 200  # characters of last_error


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a message after an attempt.

    `waiting` and only it has a `retry_at`: when `queue_due` may bring it back.
    """

    state: Literal["delivered", "waiting", "dead", "superseded"]
    because: str = ""
    retry_at: datetime | None = None


def next_attempt(attempts: int, now: datetime, retry_after: timedelta | None, rng: random.Random) -> datetime | None:
    """Returns the time of the next attempt after `attempts` (≥ 1) failed ones, or None after the last.

    A receiver's Retry-After only ever lengthens the wait: a shorter one would use up the attempts within minutes.
    """
    if attempts >= len(DELIVERY_SCHEDULE):
        return None
    wait = max(DELIVERY_SCHEDULE[attempts], retry_after or timedelta(0))
    return now + wait * (1 + JITTER * rng.random())


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Returns the wait in the Retry-After header (RFC 9110 §10.2.3: seconds or an HTTP date), from 0 to a day.

    None where it is absent or malformed.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        # 18 digits are beyond a day, however many more follow.
        return min(timedelta(seconds=min(int(text[:18]), 10**6)), MAX_RETRY_AFTER)
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return None
    # "-0000" gives a time without a zone, which is UTC.
    wait = (time if time.tzinfo else time.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)


def classify_response(answer: Response | Unsent, attempts: int, now: datetime, rng: random.Random) -> Outcome:
    """Returns the outcome of an answer, or of the lack of one, after `attempts` attempts.

    Only 2xx is success, 410 ends it, everything else (redirects included) is a failure that is tried again by the
    schedule.
    """
    wait = None
    if isinstance(answer, Response):
        if 200 <= answer.status < 300:
            return Outcome("delivered")
        if answer.status == 410:
            return Outcome("dead", "HTTP 410: the receiver wants no more")
        because = f"HTTP {answer.status}" + (": redirects are not followed" if 300 <= answer.status < 400 else "")
        if answer.status in TRY_AGAIN:
            wait = retry_after(answer.headers, now)
    else:
        because = f"{answer.code}: {answer.detail}"[:MAX_ERROR]
    return outcome_of_failure(because, next_attempt(attempts, now, wait, rng))


def outcome_of_failure(because: str, retry_at: datetime | None) -> Outcome:
    """Returns `waiting` until the next attempt, or `dead` where there is none."""
    return Outcome("dead", because) if retry_at is None else Outcome("waiting", because, retry_at)
