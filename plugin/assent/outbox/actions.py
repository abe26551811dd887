"""Does and undoes acts at a platform, one attempt at a time, by the schedule of deliveries.

One attempt: 1 look whether the act is still wanted, and claim its row in one transaction, 2 call the platform, 3 record
what came of it, with its leaf, in another. The claim is a lease, as a delivery's is.

A row that was claimed and has no outcome may have reached the platform: its `unsure` says so, and the next attempt asks
the platform before it does anything. So nothing is done twice where the platform can be asked.

Nothing is called before the operator has connected the source and switched acting on: until then an act ends as a dry
run. Switched off later, undoing waits too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Literal, NamedTuple
from uuid import UUID

from assent.audit.broken import record_broken_seal
from assent.audit.log import Part, append
from assent.core.errors import FetchFailed, NotFound, SealBroken
from assent.core.settings import AllowedHost
from assent.core.telemetry import ACTED, log
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import enqueue_act
from assent.decisions.acts import open_act_request
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.outbox.connections import PlatformConnection, open_connection
from assent.outbox.exchange import ActFailed, ActingLine, exchange_steps
from assent.outbox.schedule import DELIVERY_SCHEDULE, next_attempt
from assent.platforms.acting import ACTING
from assent.platforms.calls import ActDone, ActTarget
from assent.policy.acts import outlives_post

ActState = Literal["intended", "done", "failed", "dry-run", "undoing", "undone", "cannot-undo"]
ACT_LEASE = timedelta(seconds=120)  # longer than all calls of an attempt and recording it can take
CALL_WITHIN = timedelta(seconds=90)  # of the claim; one call takes 15 s at most
OFF_PAUSE = timedelta(minutes=5)  # before somebody looks again whether undoing was switched on
MOST_DUE_ACTIONS = 200
_Q = named_queries("actions")
_SPREAD = random.SystemRandom()
NOT_DONE = "it had not been done"
_LEAVES = {"done": "action.done", "failed": "action.failed", "undone": "action.undone", "cannot-undo": "action.kept"}


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """The state of an action after an attempt, why, and when there is another one; None: nothing is due."""

    state: ActState
    because: str = ""
    next_at: datetime | None = None


class _Claim(NamedTuple):
    row: Row
    target: ActTarget
    connection: PlatformConnection
    undo: bool
    lease: datetime


class _End(NamedTuple):
    """The end of an attempt: `handle` is what an undo needs, None leaves what there was."""

    state: ActState
    because: str = ""
    unsure: bool = False
    handle: dict[str, Any] | None = None
    attempts: int = 0
    retry_at: datetime | None = None


def attempt_action(
    pool: Pool, keys: TenantKeys, action_id: UUID, allow: Sequence[AllowedHost], now: datetime
) -> ActionOutcome:
    """Tries once to bring an act to what the decisions want. `now` is the time by the database's clock.

    Raises NotFound when there is no such action, DatabaseUnavailable.
    """
    started = monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - started)

    with transaction(pool) as conn:
        claim = _prepare(conn, keys, action_id, now)  # 1
    if isinstance(claim, ActionOutcome):
        return claim

    def check() -> None:
        if clock() > claim.lease - ACT_LEASE + CALL_WITHIN:
            raise FetchFailed("the claim is too old for another call")

    line = ActingLine(ACTING[claim.row["platform"]], claim.connection.credentials, allow, clock, check)
    end, rest = _call_platform(claim, line)  # 2
    finished = clock()
    with transaction(pool) as conn:
        if rest:
            until = finished + rest
            execute(conn, _Q["rest_connection"], tenant=keys.tenant, source=claim.target.source, until=until)
        return _record(conn, keys, claim, _ended(claim, end, finished), finished)  # 3


def queue_due_actions(conn: Conn) -> int:
    """Puts actions that are due into the queue, of each tenant MOST_DUE_ACTIONS at most, and returns how many."""
    rows = fetch(conn, _Q["queue_due_actions"], most=MOST_DUE_ACTIONS)
    for row in rows:
        enqueue_act(conn, row["tenant"], row["source"], row["id"])
    return len(rows)


def postpone_action(conn: Conn, tenant: str, action_id: UUID, pause: timedelta = timedelta(seconds=5)) -> None:
    """Postpones an action whose platform has no free slot."""
    execute(conn, _Q["postpone_action"], tenant=tenant, id=action_id, postponed=pause)


def list_actions(conn: Conn, tenant: str, state: str | None = None, most: int = 100) -> list[Row]:
    """Returns the newest actions, of one state or all.

    Columns: id, source, act, state, attempts, last_error, created_at, changed_at, media (a list of ids).
    """
    return fetch(conn, _Q["list_actions"], tenant=tenant, state=state, most=most)


def retry_actions(conn: Conn, tenant: str, ids: Sequence[UUID] | None) -> list[UUID]:
    """Intends failed actions anew, all or those named, and returns their ids."""
    rows = fetch(conn, _Q["retry_failed_actions"], tenant=tenant, ids=None if ids is None else list(ids))
    return [row["id"] for row in rows]


def _prepare(conn: Conn, keys: TenantKeys, action_id: UUID, now: datetime) -> _Claim | ActionOutcome:
    row = fetch_one(conn, _Q["select_action"], tenant=keys.tenant, id=action_id, now=now)
    if row is None:
        raise NotFound(f"there is no action {action_id}")
    if row["next_at"] is None or row["next_at"] > now:
        execute(conn, _Q["unqueue_action"], tenant=keys.tenant, id=action_id)
        return ActionOutcome(row["state"], "not due yet, or under way elsewhere", row["next_at"])
    state = _wanted_state(row)
    if state in ("done", "dry-run", "failed", "undone", "cannot-undo"):
        return _settle(conn, row, state, now)
    if row["state"] != state:
        row = {**row, "attempts": 0}
    try:
        connection = open_connection(keys, row["source"], row["sealed"]) if row["sealed"] else None
        target = _target(keys, row, connection.credentials.url if connection else "")
    except SealBroken:
        outcome = _write(conn, row, _End(_given_up(state), "a sealed row was altered"), now)
        record_broken_seal(conn, keys, "act", now)
        return outcome
    if connection is None or not connection.acting:
        if state == "intended" and not row["unsure"]:
            return _write(conn, row, _End("dry-run", "acting is not switched on"), now)
        return _wait(conn, row, state, "acting is switched off", now + OFF_PAUSE)
    if row["rests_until"] and row["rests_until"] > now:
        return _wait(conn, row, state, "the platform asked for a pause", row["rests_until"])
    if row["attempts"] >= len(DELIVERY_SCHEDULE):
        lost = _End(_given_up(state), "the worker was lost during the last attempt", row["unsure"])
        return _record(conn, keys, _Claim(row, target, connection, state == "undoing", row["next_at"]), lost, now)
    lease = now + ACT_LEASE
    values = {"attempts": row["attempts"] + 1, "lease": lease, "state": state}
    execute(conn, _Q["claim_action"], tenant=keys.tenant, id=action_id, **values)
    return _Claim({**row, "attempts": row["attempts"] + 1}, target, connection, state == "undoing", lease)


def _wanted_state(row: Row) -> ActState:
    """Returns the state to go on from: what is not wanted and may have been done has to be undone."""
    state: ActState = row["state"]
    if row["wanted"]:
        if state == "undoing" and row["attempts"] == 0:  # wanted again before anything was undone
            return "done" if row["outcome"] else "intended"
        return state
    if not row["caused"] and outlives_post(row["act"]) and (state == "done" or row["unsure"]):
        return state  # whether it was done has still to be found out
    if state == "done" or (state in ("intended", "failed") and row["unsure"]):
        return "undoing"
    return "undone" if state in ("intended", "failed", "dry-run") else state


def _settle(conn: Conn, row: Row, state: ActState, now: datetime) -> ActionOutcome:
    """Writes a state for which nothing has to be called."""
    because = "taken back before anything was done" if state == "undone" and row["state"] != state else ""
    end = _End(state, because or row["last_error"] or "", row["unsure"], attempts=row["attempts"])
    outcome = _write(conn, row, end, now)
    _delete_if_of_nothing(conn, row)
    return outcome


def _delete_if_of_nothing(conn: Conn, row: Row) -> None:
    values = {"tenant": row["tenant"], "id": row["id"], "outlives": outlives_post(row["act"])}
    execute(conn, _Q["delete_action_of_nothing"], **values)


def _target(keys: TenantKeys, row: Row, site: str) -> ActTarget:
    request = open_act_request(keys, row["id"], row["request"])
    handle = {}
    if row["outcome"]:
        place = (keys.tenant, "act", "outcome", str(row["id"]))
        handle = json.loads(unseal_for_tenant(keys, "event", row["outcome"], *place))
    return ActTarget(
        row["id"],
        request.act,
        row["source"],
        site,
        request.media,
        request.rule,
        request.words,
        request.post,
        row["created_at"],
        row["round"],
        handle,
    )


def _call_platform(claim: _Claim, line: ActingLine) -> tuple[ActDone | ActFailed, timedelta | None]:
    """Asks first where an earlier call may have reached the platform; then does or undoes the act."""
    adapter, target, rest = line.adapter, claim.target, None
    if claim.row["unsure"] and not (claim.undo and target.handle):
        found, rest = exchange_steps(adapter.find(target), line)
        if isinstance(found, ActFailed):
            return replace(found, unsure=True), rest
        if found is None and (claim.undo or not claim.row["wanted"]):
            return ActDone(NOT_DONE), rest
        if found is not None:
            if not claim.undo:
                return found, rest
            target = replace(target, handle=found.handle)
    end, pause = exchange_steps(adapter.undo(target) if claim.undo else adapter.do(target), line)
    return end, pause or rest


def _ended(claim: _Claim, end: ActDone | ActFailed, now: datetime) -> _End:
    state: ActState = "undoing" if claim.undo else "intended"
    if isinstance(end, ActDone) and end.changed == NOT_DONE:
        return _End("undone", NOT_DONE)
    if isinstance(end, ActDone):
        handle = {**end.handle, "changed": end.changed}
        return _End("undone" if claim.undo else "done", end.changed, handle=None if claim.undo else handle)
    attempts = claim.row["attempts"]
    retry_at = None if end.final else next_attempt(attempts, now, end.wait, _SPREAD)
    if retry_at is None:
        return _End(_given_up(state), end.because, end.unsure)
    return _End(state, end.because, end.unsure, attempts=attempts, retry_at=retry_at)


def _given_up(state: ActState) -> ActState:
    return "cannot-undo" if state == "undoing" else "failed"


def _record(conn: Conn, keys: TenantKeys, claim: _Claim, end: _End, now: datetime) -> ActionOutcome:
    """Records the end of an attempt and appends its leaf, unless another worker took the action over meanwhile."""
    row = fetch_one(conn, _Q["select_action"], tenant=keys.tenant, id=claim.target.id, now=now)
    if row is None or row["next_at"] != claim.lease:
        return ActionOutcome(end.state, "recorded by another worker", None)
    media = [dict(one) for one in fetch(conn, _Q["list_media_of_action"], tenant=keys.tenant, id=row["id"])]
    outcome = _write(conn, row, end, now, keys)
    _delete_if_of_nothing(conn, row)
    if end.state in _LEAVES:
        body = {"source": row["source"], "platform": row["platform"], "act": row["act"]}
        payload = {"action": str(row["id"]), "media": media or claim.target.media, "changed": end.because}
        append(conn, keys, _LEAVES[end.state], body, [Part(payload)], now)
        log.info("platform action", tenant=keys.tenant, action=str(row["id"]), act=row["act"], state=end.state)
    return outcome


def _write(conn: Conn, row: Row, end: _End, now: datetime, keys: TenantKeys | None = None) -> ActionOutcome:
    """Writes an end where the row still stands as it was read, and when it has to be looked at again.

    What is no longer as the decisions want it is looked at at once; what a moderator's hold will turn, after it.
    """
    outcome, next_at = None, end.retry_at
    if end.handle is not None and keys is not None:
        sealed = json.dumps(end.handle).encode()
        outcome = seal_for_tenant(keys, "event", sealed, keys.tenant, "act", "outcome", str(row["id"]))
    stays = row["wanted"] or (not row["caused"] and outlives_post(row["act"]))
    if next_at is None and end.state in ("done", "failed", "dry-run"):
        next_at = row["turns_at"] if stays else now
    again = {"tenant": row["tenant"], "id": row["id"]}
    # A decision came to want it again meanwhile.
    if end.state == "undone" and row["wanted"] and not execute(conn, _Q["join_other_action"], **again):
        execute(conn, _Q["begin_round"], **again, now=now)
        return ActionOutcome("intended", end.because, now)
    values = {"state": end.state, "unsure": end.unsure, "attempts": end.attempts, "because": end.because or None}
    key = {"tenant": row["tenant"], "id": row["id"], "read": row["next_at"]}
    execute(conn, _Q["record_action"], **key, **values, outcome=outcome, next_at=next_at)
    if end.state != row["state"] and end.state not in ("intended", "undoing"):
        ACTED.labels(row["platform"], row["act"], end.state).inc()
    return ActionOutcome(end.state, end.because, next_at)


def _wait(conn: Conn, row: Row, state: ActState, because: str, until: datetime) -> ActionOutcome:
    values = {"state": state, "unsure": row["unsure"], "attempts": row["attempts"], "because": because}
    key = {"tenant": row["tenant"], "id": row["id"], "read": row["next_at"]}
    execute(conn, _Q["record_action"], **key, **values, outcome=None, next_at=until)
    return ActionOutcome(state, because, until)
