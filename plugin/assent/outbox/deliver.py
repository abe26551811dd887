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
`queue_due` makes the jobs.

A message for which no body can be made, because a sealed row does not open, follows the same schedule and in the end
becomes a dead letter. Nothing of it was sent, so these attempts are counted in `unmade` too. So does one whose making
fails as nobody foresaw; the log says how, by its kind.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg

from assent import __version__
from assent.audit.broken import ALTERED, record_broken_seal
from assent.core.errors import AssentError, DecisionUnreadable, FetchFailed, FetchRefused, NotFound, SealBroken
from assent.core.media_errors import UnexpectedFailure
from assent.core.settings import AllowedHost
from assent.core.telemetry import log
from assent.db.locks import unlock_session
from assent.db.pool import LOST, Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import enqueue_delivery
from assent.intake.accept import live_secrets
from assent.keys.authority import is_authentic
from assent.keys.keystore import TenantKeys
from assent.net.client import ExchangeLimits, RequestBody, Response, request
from assent.outbox.endpoint_health import store_failure, store_success
from assent.outbox.schedule import (
    DELIVERY_SCHEDULE,
    MAX_ERROR,
    Outcome,
    Unsent,
    classify_response,
    next_attempt,
    outcome_of_failure,
)
from assent.platforms.standard_webhooks import sign_webhook

Body = Mapping[str, Any]
Assemble = Callable[[Conn, Row], Body | None]
LIMITS = ExchangeLimits(first_byte_s=15, total_s=15, max_bytes=0)  # nothing in the body of an answer matters
LEASE = timedelta(seconds=30)  # longer than sending and recording can take
BODY_WITHIN = timedelta(seconds=5)  # of the claim; with LIMITS no more than `locks.LOCK_WAIT_SECONDS`
POSTPONED = timedelta(seconds=5)  # a message whose endpoint has no free slot
MOST_DUE = 50  # messages of one endpoint that are brought back at once
RESTS = "the endpoint rests: nobody answers there"
_Q = named_queries("outbox")
_SPREAD = random.SystemRandom()


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
    message_id: UUID,
    assemble: Assemble,
    allow: Sequence[AllowedHost],
    now: datetime,
) -> Outcome:
    """Tries once to deliver a message of the tenant. `now` is the time by the database's clock, by which rows are due.

    `assemble` makes its body in a transaction, from a row with at least `endpoint`, `type`, `media_id` and `revision`;
    None from it means that the message is no longer to be sent.

    At most one attempt of a row is under way at a time; the receiver may still see a message twice (same webhook-id)
    where an answer was lost. Where `assemble` raises SealBroken nothing is sent, the attempt counts, and the first one
    is noted in the log; where it raises what nobody foresaw, the attempt counts too. Raises NotFound when there is no
    such row, DatabaseUnavailable, and every other AssentError of `assemble` (the attempt then does not count).
    """
    started = monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - started)

    with _locking_connection(pool) as conn:
        with conn.transaction():
            delivery = _prepare(conn, keys, message_id, assemble, clock)  # 1
            if isinstance(delivery, Outcome) and delivery.state == "waiting":
                execute(conn, _Q["unqueue_waiting"], tenant=keys.tenant, id=message_id)
        if isinstance(delivery, Outcome):
            return delivery
        if _claim_too_old(delivery, clock()):
            # Whoever was stopped since the claim must not send what may have been withdrawn or sent by another since.
            return Outcome("waiting", "the claim is too old to send", delivery.lease)
        answer = _send(conn, delivery, allow, clock)  # 2
    finished = clock()
    outcome = classify_response(answer, delivery.row["attempts"] + 1, finished, _SPREAD)
    with transaction(pool) as conn:
        _record(conn, delivery, outcome, answer, finished)  # 3
    return outcome


def postpone(conn: Conn, tenant: str, message_id: UUID) -> None:
    """Postpones a message whose endpoint has no free slot."""
    execute(conn, _Q["postpone_waiting"], tenant=tenant, id=message_id, postponed=POSTPONED)


def queue_due(conn: Conn) -> int:
    """Puts the messages that are due into the queue, of each endpoint at most MOST_DUE, and returns how many."""
    rows = fetch(conn, _Q["queue_due_messages"], most=MOST_DUE)
    for row in rows:
        enqueue_delivery(conn, row["tenant"], row["endpoint"], row["id"])
    return len(rows)


def _prepare(
    conn: Conn, keys: TenantKeys, message_id: UUID, assemble: Assemble, clock: Callable[[], datetime]
) -> _Delivery | Outcome:
    row = fetch_one(conn, _Q["select_message"], tenant=keys.tenant, id=message_id)
    if row is None:
        raise NotFound(f"there is no message {message_id}")
    if row["state"] != "waiting":
        return Outcome(row["state"], row["last_error"] or "")
    if row["next_at"] > clock():
        return Outcome("waiting", "not due yet, or under way elsewhere", row["next_at"])
    reason = _reason_to_give_up(row)
    if reason:
        return _record_outcome(conn, row, row["next_at"], Outcome("dead", reason))
    if row["rests_until"] and row["rests_until"] > clock():
        return Outcome("waiting", RESTS, row["rests_until"])
    try:
        with conn.transaction():
            return _build(conn, keys, row, assemble, clock)
    except (SealBroken, DecisionUnreadable) as error:
        return mark_unbuildable(conn, keys, row, error, clock())
    except (AssentError, *LOST):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the message's schedule ends
        kind = type(error).__name__
        log.error("unexpected failure", tenant=row["tenant"], message=str(row["id"]), kind=kind)
        return mark_unbuildable(conn, keys, row, UnexpectedFailure(kind), clock())


def _build(
    conn: Conn, keys: TenantKeys, row: Row, assemble: Assemble, clock: Callable[[], datetime]
) -> _Delivery | Outcome:
    if not is_authentic(keys, "endpoint", row):
        raise SealBroken("the endpoint's address or audience was altered; add it anew, under another name")
    body = assemble(conn, row)
    if body is None:
        return _record_outcome(conn, row, row["next_at"], Outcome("superseded", "nothing is left to say"))
    try:
        secrets = live_secrets(conn, keys, "endpoint", row["endpoint"])
    except SealBroken:
        outcome = Outcome("dead", "a signing secret does not open with this keystore")
        _record_outcome(conn, row, row["next_at"], outcome)
        record_broken_seal(conn, keys, "secret", clock())
        return outcome
    if not secrets:
        outcome = Outcome("dead", "the endpoint has no live signing secret")
        return _record_outcome(conn, row, row["next_at"], outcome)
    return _claim(conn, row, body, secrets, clock())


def _reason_to_give_up(row: Row) -> str:
    """Returns the reason that a due message cannot be sent at all, or an empty string."""
    if row["url"] is None:
        return "the endpoint was removed"
    if row["disabled_at"] is not None:
        return "the endpoint is disabled"
    if row["attempts"] >= len(DELIVERY_SCHEDULE):
        return "the worker was lost during the last attempt"
    return ""


def mark_unbuildable(
    conn: Conn, keys: TenantKeys, row: Row, error: SealBroken | DecisionUnreadable | UnexpectedFailure, now: datetime
) -> Outcome:
    """Records an attempt for which there was no body, and notes the first in the log, where a row was altered.

    The tree's lock comes last.
    """
    because = f"{error.code}: {error.detail}"[:MAX_ERROR]
    outcome = outcome_of_failure(because, next_attempt(row["attempts"] + 1, now, None, _SPREAD))
    key = {"tenant": row["tenant"], "id": row["id"], "read": row["next_at"]}
    values = {"state": outcome.state, "because": because, "retry_at": outcome.retry_at}
    if execute(conn, _Q["mark_unbuildable"], **key, **values) and not row["unmade"]:
        log.error("message cannot be made", tenant=row["tenant"], message=str(row["id"]), code=error.code)
        if isinstance(error, ALTERED):
            record_broken_seal(conn, keys, "deliver", now)
    return outcome


def _claim(conn: Conn, row: Row, body: Body, secrets: Sequence[str], now: datetime) -> _Delivery | Outcome:
    lease = now + LEASE
    if row["rests_until"]:
        values = {"tenant": row["tenant"], "endpoint": row["endpoint"], "read": row["rests_until"]}
        if not execute(conn, _Q["claim_endpoint_probe"], **values, lease=lease):
            return Outcome("waiting", RESTS, lease)
    # Waits for whoever changes the row now, and then finds it as they left it: claimed elsewhere, or superseded.
    if not execute(conn, _Q["claim_message"], tenant=row["tenant"], id=row["id"], lease=lease, read=row["next_at"]):
        return Outcome("waiting", "under way elsewhere, or replaced", lease)
    raw = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    headers = {"content-type": "application/json", "user-agent": f"Assent/{__version__}"}
    return _Delivery(row, lease, raw, headers | sign_webhook(f"msg_{row['id'].hex}", now, raw, secrets))


@contextmanager
def _locking_connection(pool: Pool) -> Iterator[Conn]:
    """Yields a connection in no transaction; the subjects that it locks are released at the end."""
    with transaction(pool) as conn:
        conn.autocommit = True
        try:
            yield conn
        finally:
            with suppress(psycopg.OperationalError):  # a lost connection locks nobody
                unlock_session(conn)
                conn.autocommit = False


def _claim_too_old(delivery: _Delivery, now: datetime) -> bool:
    return now > delivery.lease - LEASE + BODY_WITHIN


def _send(
    conn: Conn, delivery: _Delivery, allow: Sequence[AllowedHost], clock: Callable[[], datetime]
) -> Response | Unsent:
    def check() -> None:
        if _claim_too_old(delivery, clock()):
            raise FetchFailed("the connection did not stand within 5 s of the claim")
        conn.execute("SELECT 1")  # fails where the subjects are no longer locked

    url, headers, body = delivery.row["url"], delivery.headers, RequestBody(delivery.body, check)
    try:
        return request("POST", url, headers=headers, body=body, limits=LIMITS, allow=allow)
    except (FetchFailed, FetchRefused) as error:
        return error


def _record(conn: Conn, delivery: _Delivery, outcome: Outcome, answer: Response | Unsent, now: datetime) -> None:
    row = delivery.row
    if outcome.state == "delivered":
        store_success(conn, row)
        execute(conn, _Q["mark_delivered"], tenant=row["tenant"], id=row["id"], at=now)
        return
    store_failure(conn, row, answer, now)
    _record_outcome(conn, row, delivery.lease, outcome)


def _record_outcome(conn: Conn, row: Row, next_at: datetime, outcome: Outcome) -> Outcome:
    """Records an outcome other than delivery, where `next_at` still stands as we left or found it."""
    key = {"tenant": row["tenant"], "id": row["id"], "next_at": next_at}
    values = {"state": outcome.state, "because": outcome.because, "retry_at": outcome.retry_at}
    execute(conn, _Q["record_outcome_if_unchanged"], **key, **values)
    return outcome
