"""Sends one outbox message as a signed webhook (Standard Webhooks 1.0.0), and schedules the next attempt.

One attempt: 1 assemble, sign and claim the row in one transaction, 2 send, 3 record in another. No transaction is open
while the network is waited for.

The claim is a lease: `next_at` is moved behind the attempt's end, and only the worker that moved it may record a
failure. It needs no connection during the send, unlike an advisory lock, and a lost worker's row is free again when the
lease is over. It comes after `assemble`, so that subjects are locked before outbox rows; an endpoint's row comes
between the two. A row claimed once may have reached its receiver: a withdrawal has to retract those with
`attempts > unmade`.

The subjects that a message names are locked by `locks.lock_shared_session`, on the connection that claimed it, until
the send has ended: a withdrawal waits for that. A withdrawal that waited long enough goes on without a sender that was
stopped. So no sender begins to write a body more than BODY_WITHIN after the claim, or without the connection that holds
the locks.

A message that waits for a later time does so in its row, not as a job: to find a job that is due, the queue looks
through all that are not (7.6 ms for 10,000 of them), so that one dead endpoint's backlog would slow down everything.
`queue_due` makes the jobs. An endpoint that does not answer rests: its messages wait, without an attempt being counted,
while one at a time probes it (`Health`).

A message for which no body can be made, because a sealed row does not open, follows the same schedule and in the end
becomes a dead letter. Nothing of it was sent, so these attempts are counted in `unmade` too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any, Literal
from uuid import UUID

import psycopg

from assent import __version__
from assent.audit.broken import note_broken
from assent.core.errors import AlreadyInitialised, FetchFailed, FetchRefused, NotFound, SealBroken
from assent.core.settings import AllowedHost
from assent.core.telemetry import log
from assent.core.values import Audience
from assent.db.locks import unlock_session
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import enqueue_delivery
from assent.intake.accept import live_secrets
from assent.keys.keystore import TenantKeys
from assent.net.client import ExchangeLimits, Response, request
from assent.platforms.standard_webhooks import sign_webhook

Body = Mapping[str, Any]
Assemble = Callable[[Conn, Row], Body | None]
Unsent = FetchFailed | FetchRefused

# Before the first attempt and after each failed one, as in the example of Standard Webhooks: 75 h 35 min 5 s in all.
SCHEDULE = (
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
LIMITS = ExchangeLimits(first_byte_s=15, total_s=15, max_bytes=0)  # nothing in the body of an answer matters
LEASE = timedelta(seconds=30)  # longer than sending and recording can take
BODY_WITHIN = timedelta(seconds=5)  # of the claim; with LIMITS no more than `locks.WAIT_SECONDS`
DOWN = frozenset({429, 502, 503, 504})  # answers that speak of the endpoint, not of the message
STRIKES = 5  # failures in a row, of that kind or without an answer, after which an endpoint rests
REST = (timedelta(seconds=5), timedelta(minutes=5))  # at least and at most; between, a tenth of how long it has failed
POSTPONED = timedelta(seconds=5)  # a message that found no place in its endpoint's lane
MOST_DUE = 50  # messages of one endpoint that are brought back at once
MAX_FAILING = timedelta(days=5)  # without a single success; then the endpoint is disabled
RESTS = "the endpoint rests: nobody answers there"
MAX_ERROR = 200  # characters of last_error
_Q = named_queries("outbox")
_SPREAD = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state of a message after an attempt.

    `waiting` and only it has a `retry_at`: when `queue_due` may bring it back.
    """

    state: Literal["delivered", "waiting", "dead", "superseded"]
    because: str = ""
    retry_at: datetime | None = None


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


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A claimed message, ready to be sent."""

    row: Row
    lease: datetime
    body: bytes
    headers: Mapping[str, str]


def attempt(
    pool: Pool,
    keys: TenantKeys,
    tenant: str,
    id: UUID,
    assemble: Assemble,
    allow: Sequence[AllowedHost],
    now: datetime,
) -> Outcome:
    """Tries once to deliver a message.

    `assemble` makes its body in a transaction, from a row with at least `endpoint`, `type`, `media_id` and `revision`;
    None from it means that the message is no longer to be sent.

    At most one attempt of a row is under way at a time; the receiver may still see a message twice (same webhook-id)
    where an answer was lost. Where `assemble` raises SealBroken nothing is sent, the attempt counts, and the first one
    is noted in the log. Raises NotFound when there is no such row, DatabaseUnavailable, and whatever else `assemble`
    raises (the attempt then does not count).
    """
    started = monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - started)

    with _people_held(pool) as conn:
        with conn.transaction():
            letter = _prepare(conn, keys, tenant, id, assemble, clock)  # 1
            if isinstance(letter, Outcome) and letter.state == "waiting":
                execute(conn, _Q["unqueue"], tenant=tenant, id=id)
        if isinstance(letter, Outcome):
            return letter
        if _too_old(letter, clock()):
            # Whoever was stopped since the claim must not send what may have been withdrawn or sent by another since.
            return Outcome("waiting", "the claim is too old to send", letter.lease)
        answer = _send(conn, letter, allow, clock)  # 2
    finished = clock()
    outcome = classify_response(answer, letter.row["attempts"] + 1, finished, _SPREAD)
    with transaction(pool) as conn:
        _record(conn, letter, outcome, answer, finished)  # 3
    return outcome


def next_attempt(attempts: int, now: datetime, retry_after: timedelta | None, rng: random.Random) -> datetime | None:
    """Returns the time of the next attempt after `attempts` (≥ 1) failed ones, or None after the last.

    A receiver's Retry-After only ever lengthens the wait: a shorter one would use up the attempts within minutes.
    """
    if attempts >= len(SCHEDULE):
        return None
    wait = max(SCHEDULE[attempts], retry_after or timedelta(0))
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
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    # "-0000" gives a time without a zone, which is UTC.
    wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
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
        if answer.status in (429, 502, 503, 504):
            wait = retry_after(answer.headers, now)
    else:
        because = f"{answer.code}: {answer.detail}"[:MAX_ERROR]
    at = next_attempt(attempts, now, wait, rng)
    return Outcome("dead", because) if at is None else Outcome("waiting", because, at)


def postpone(conn: Conn, tenant: str, id: UUID, now: datetime) -> None:
    """Postpones a message that found no place in its endpoint's lane."""
    execute(conn, _Q["postpone"], tenant=tenant, id=id, now=now, at=now + POSTPONED)


def queue_due(conn: Conn) -> int:
    """Puts the messages that are due into the queue, of each endpoint at most MOST_DUE, and returns how many."""
    rows = fetch(conn, _Q["queue_due"], most=MOST_DUE)
    for row in rows:
        enqueue_delivery(conn, row["tenant"], row["endpoint"], row["id"])
    return len(rows)


def record_failure(health: Health, answer: Response | Unsent, now: datetime) -> Health:
    """Returns an endpoint's health after a failed attempt. A receiver's Retry-After holds for all messages to it."""
    since = health.failing_since or now
    status = answer.status if isinstance(answer, Response) else None
    because = None
    if status == 410:
        because = "HTTP 410: the receiver wants no more"
    elif now - since >= MAX_FAILING:
        because = f"no attempt has succeeded since {since:%Y-%m-%d %H:%M} UTC"
    if status is not None and status not in DOWN:
        return Health(since, disabled_because=because)
    failures = health.failures + 1
    rest = (retry_after(answer.headers, now) if isinstance(answer, Response) else None) or timedelta(0)
    if failures >= STRIKES:
        rest = max(rest, min(max((now - since) / 10, REST[0]), REST[1]))
    return Health(since, failures, now + rest if rest else None, because)


def dead_letters(conn: Conn, tenant: str) -> list[Row]:
    """Returns the dead letters, oldest first.

    Columns: id, endpoint, type, media_id, revision, attempts, created_at, last_error.
    """
    return fetch(conn, _Q["dead_letters"], tenant=tenant)


def redrive(conn: Conn, tenant: str, ids: Sequence[UUID] | None) -> list[UUID]:
    """Makes dead letters, all or those named, wait again from their first attempt, and returns their ids."""
    rows = fetch(conn, _Q["redrive"], tenant=tenant, ids=None if ids is None else list(ids))
    return [row["id"] for row in rows]


def endpoints(conn: Conn, tenant: str) -> list[Row]:
    """Returns the tenant's endpoints by name.

    Columns: name, url, audience, failing_since, rests_until, disabled_at, disabled_because, waiting.
    """
    return fetch(conn, _Q["endpoints"], tenant=tenant)


def add(conn: Conn, tenant: str, endpoint: str, url: str, audience: Audience) -> None:
    """Adds an endpoint that is sent to from now on. Raises AlreadyInitialised.

    One of the platform gets decisions; one that asks the person gets `tag.suggested`, and nothing else. It needs a
    signing secret.
    """
    if not execute(conn, _Q["add_endpoint"], tenant=tenant, endpoint=endpoint, url=url, audience=audience):
        raise AlreadyInitialised(f"tenant {tenant} has an endpoint {endpoint}")


def enable(conn: Conn, tenant: str, endpoint: str) -> None:
    """Enables a disabled or resting endpoint, at once. Raises NotFound."""
    if not execute(conn, _Q["enable_endpoint"], tenant=tenant, endpoint=endpoint):
        raise NotFound(f"tenant {tenant} has no endpoint {endpoint}")


def _prepare(
    conn: Conn, keys: TenantKeys, tenant: str, id_: UUID, assemble: Assemble, clock: Callable[[], datetime]
) -> _Delivery | Outcome:
    row = fetch_one(conn, _Q["message"], tenant=tenant, id=id_)
    if row is None:
        raise NotFound(f"there is no message {id_}")
    if row["state"] != "waiting":
        return Outcome(row["state"], row["last_error"] or "")
    if row["next_at"] > clock():
        return Outcome("waiting", "not due yet, or under way elsewhere", row["next_at"])
    reason = _hopeless(row)
    if reason:
        return _settle(conn, row, row["next_at"], Outcome("dead", reason))
    if row["rests_until"] and row["rests_until"] > clock():
        return Outcome("waiting", RESTS, row["rests_until"])
    try:
        with conn.transaction():
            body = assemble(conn, row)
    except SealBroken as error:
        return mark_unbuildable(conn, keys, row, error, clock())
    if body is None:
        return _settle(conn, row, row["next_at"], Outcome("superseded", "nothing is left to say"))
    try:
        secrets = live_secrets(conn, keys, "endpoint", row["endpoint"])
    except SealBroken:
        return _settle(conn, row, row["next_at"], Outcome("dead", "a signing secret does not open with this keystore"))
    if not secrets:
        return _settle(conn, row, row["next_at"], Outcome("dead", "the endpoint has no live signing secret"))
    return _claim(conn, row, body, secrets, clock())


def _hopeless(row: Row) -> str:
    """Returns the reason that a due message cannot be sent at all, or an empty string."""
    if row["url"] is None:
        return "the endpoint was removed"
    if row["disabled_at"] is not None:
        return "the endpoint is disabled"
    if row["attempts"] >= len(SCHEDULE):
        return "the worker was lost during the last attempt"
    return ""


def mark_unbuildable(conn: Conn, keys: TenantKeys, row: Row, error: SealBroken, now: datetime) -> Outcome:
    """Records an attempt for which there was no body, and notes the first in the log. The tree's lock comes last."""
    because = f"{error.code}: {error.detail}"[:MAX_ERROR]
    at = next_attempt(row["attempts"] + 1, now, None, _SPREAD)
    outcome = Outcome("dead", because) if at is None else Outcome("waiting", because, at)
    place = {"tenant": row["tenant"], "id": row["id"], "read": row["next_at"]}
    said = {"state": outcome.state, "because": because, "retry_at": at}
    if execute(conn, _Q["unmade"], **place, **said) and not row["unmade"]:
        log.error("message cannot be made", tenant=row["tenant"], message=str(row["id"]), code=error.code)
        note_broken(conn, keys, "deliver", now)
    return outcome


def _claim(conn: Conn, row: Row, body: Body, secrets: Sequence[str], at: datetime) -> _Delivery | Outcome:
    lease = at + LEASE
    if row["rests_until"]:
        values = {"tenant": row["tenant"], "endpoint": row["endpoint"], "read": row["rests_until"]}
        if not execute(conn, _Q["probe"], **values, lease=lease):
            return Outcome("waiting", RESTS, lease)
    # Waits for whoever changes the row now, and then finds it as they left it: claimed elsewhere, or superseded.
    if not execute(conn, _Q["claim"], tenant=row["tenant"], id=row["id"], lease=lease, read=row["next_at"]):
        return Outcome("waiting", "under way elsewhere, or replaced", lease)
    raw = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    headers = {"content-type": "application/json", "user-agent": f"Assent/{__version__}"}
    return _Delivery(row, lease, raw, headers | sign_webhook(f"msg_{row['id'].hex}", at, raw, secrets))


@contextmanager
def _people_held(pool: Pool) -> Iterator[Conn]:
    """Yields a connection in no transaction; the subjects that it locks are released at the end."""
    with transaction(pool) as conn:
        conn.autocommit = True
        try:
            yield conn
        finally:
            with suppress(psycopg.OperationalError):  # who lost the connection holds nobody
                unlock_session(conn)
                conn.autocommit = False


def _too_old(letter: _Delivery, now: datetime) -> bool:
    return now > letter.lease - LEASE + BODY_WITHIN


def _send(
    conn: Conn, letter: _Delivery, allow: Sequence[AllowedHost], clock: Callable[[], datetime]
) -> Response | Unsent:
    url, headers, body = letter.row["url"], letter.headers, letter.body

    def check() -> None:
        if _too_old(letter, clock()):
            raise FetchFailed("the connection did not stand within 5 s of the claim")
        conn.execute("SELECT 1")  # fails where the people are no longer held

    try:
        return request("POST", url, headers=headers, body=body, limits=LIMITS, allow=allow, before_body=check)
    except (FetchFailed, FetchRefused) as error:
        return error


def _record(conn: Conn, letter: _Delivery, outcome: Outcome, answer: Response | Unsent, at: datetime) -> None:
    row = letter.row
    if outcome.state == "delivered":
        place = {"tenant": row["tenant"], "endpoint": row["endpoint"], "url": row["url"]}
        execute(conn, _Q["endpoint_works"], **place)
        execute(conn, _Q["delivered"], tenant=row["tenant"], id=row["id"], at=at)
        return
    _note_failure(conn, row, answer, at)
    _settle(conn, row, letter.lease, outcome)


def _note_failure(conn: Conn, row: Row, answer: Response | Unsent, at: datetime) -> None:
    place = {"tenant": row["tenant"], "endpoint": row["endpoint"]}
    found = fetch_one(conn, _Q["health"], **place, url=row["url"])
    if found is None:
        return
    health = record_failure(Health(found["failing_since"], found["failures"]), answer, at)
    disabled_at = at if health.disabled_because else None
    execute(conn, _Q["set_health"], **place, **asdict(health), disabled_at=disabled_at)
    if disabled_at:
        log.warning("endpoint disabled", **place, because=health.disabled_because)


def _settle(conn: Conn, row: Row, next_at: datetime, outcome: Outcome) -> Outcome:
    """Records an outcome other than delivery, where `next_at` still stands as we left or found it."""
    values = {"tenant": row["tenant"], "id": row["id"], "next_at": next_at}
    said = {"state": outcome.state, "because": outcome.because, "retry_at": outcome.retry_at}
    execute(conn, _Q["settle"], **values, **said)
    return outcome
