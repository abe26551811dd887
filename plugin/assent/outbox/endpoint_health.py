"""Decides whether an endpoint rests or is disabled, from how its attempts went.

An endpoint that does not answer rests: its messages wait, without an attempt being counted, while one at a time probes
it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from assent.core.clock import format_minute
from assent.core.telemetry import log
from assent.db.pool import Conn, Row, execute, fetch_one
from assent.db.queries import named_queries
from assent.net.answer import TRY_AGAIN, Response
from assent.outbox.schedule import Unsent, retry_after

STRIKES = 5  # failures in a row, by TRY_AGAIN (it speaks of the endpoint, not of the message) or without an answer
REST = (timedelta(seconds=5), timedelta(minutes=5))  # at least and at most; between, a tenth of how long it has failed
MAX_FAILING = timedelta(days=5)  # without a single success; then the endpoint is disabled
_Q = named_queries("outbox")


@dataclass(frozen=True, slots=True)
class Health:
    """The health of an endpoint.

    It says since when nothing was delivered, how often in a row nobody answered, until when the endpoint rests, and why
    it is disabled, if it is.
    """

    failing_since: datetime | None = None
    failures: int = 0
    rests_until: datetime | None = None
    disabled_because: str | None = None


def record_failure(health: Health, answer: Response | Unsent, now: datetime) -> Health:
    """Returns an endpoint's health after a failed attempt. A receiver's Retry-After holds for all messages to it."""
    since = health.failing_since or now
    status = answer.status if isinstance(answer, Response) else None
    because = None
    if status == 410:
        because = "HTTP 410: the receiver wants no more"
    elif now - since >= MAX_FAILING:
        because = f"no attempt has succeeded since {format_minute(since)} UTC"
    if status is not None and status not in TRY_AGAIN:
        return Health(since, disabled_because=because)
    failures = health.failures + 1
    rest = (retry_after(answer.headers, now) if isinstance(answer, Response) else None) or timedelta(0)
    if failures >= STRIKES:
        rest = max(rest, min(max((now - since) / 10, REST[0]), REST[1]))
    return Health(since, failures, now + rest if rest else None, because)


def store_success(conn: Conn, message: Row) -> None:
    """Ends the failing of the endpoint that the message went to, if it still has that URL."""
    key = {"tenant": message["tenant"], "endpoint": message["endpoint"]}
    execute(conn, _Q["reset_failing_endpoint"], **key, url=message["url"])


def store_failure(conn: Conn, message: Row, answer: Response | Unsent, now: datetime) -> None:
    """Stores the health of the message's endpoint after a failed attempt, if it still has the URL that was used."""
    key = {"tenant": message["tenant"], "endpoint": message["endpoint"]}
    row = fetch_one(conn, _Q["lock_endpoint_health"], **key, url=message["url"])
    if row is None:
        return
    health = record_failure(Health(row["failing_since"], row["failures"]), answer, now)
    disabled_at = now if health.disabled_because else None
    execute(conn, _Q["update_endpoint_health"], **key, **asdict(health), disabled_at=disabled_at)
    if disabled_at:
        log.warning("endpoint disabled", **key, because=health.disabled_because)
