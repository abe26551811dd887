"""Runs a worker's jobs: decide an event, enrol photos, send a delivery. Each is safe to run twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any
from uuid import UUID

from assent.audit.broken import note_altered_row, noting_altered_rows
from assent.core.errors import (
    AssentError,
    DatabaseUnavailable,
    FetchFailed,
    GalleryUnavailable,
    KeyMissing,
    NotFound,
    SealBroken,
    WorkerLost,
)
from assent.core.media_errors import UnexpectedFailure
from assent.core.settings import Settings
from assent.core.telemetry import ANALYSIS_SECONDS, DELIVERED, FAILED, log
from assent.core.values import Action, Analysis, MediaItem, Quarantined, Unprocessable
from assent.db.locks import lock_media_sending, lock_shared_session
from assent.db.pool import Conn, Pool, Row, execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import PRIORITY, SLOW, database_time
from assent.decisions.assemble import message_body as body_of
from assent.decisions.media_items import MediaKey, forget, is_late, log_superseded
from assent.decisions.render.redact import retained_jpeg
from assent.decisions.retract import retract
from assent.decisions.retraction_jobs import retracted_pseudonym
from assent.decisions.statement import Statement, state_restriction
from assent.decisions.store import NewDecision, RetainedCopy, announce, is_recorded, note_unreadable, record
from assent.gallery.matching import Gallery
from assent.intake.accept import open_event, open_upload, store_missed
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox import deliver
from assent.outbox.actions import attempt_action, postpone_action
from assent.outbox.connections import fetch_key
from assent.pipeline import Stages, analyse
from assent.policy.model import Policy
from assent.policy.versions import Policies, PolicyUnreadable
from assent.review.history import with_history
from assent.shadow.live import TenantHeads
from assent.subjects.enrol import enrol
from assent.worker.counts import count_outcome
from assent.worker.fetching import SIDE_BY_SIDE, Fetched, Fetches, FetchWay, HostSlow
from assent.worker.turns import Turns

FETCH_RETRY_SECONDS = (10, 60, 300, 900)  # after the first, second … failed fetch
# How often an event is fetched in vain, or takes a worker down, before a moderator sees it.
MAX_TRIES = len(FETCH_RETRY_SECONDS) + 1
OUTAGES = (DatabaseUnavailable, GalleryUnavailable, KeyMissing)
_INTAKE = named_queries("intake")


@dataclass(frozen=True, slots=True, eq=False)
class WorkerContext:
    """The settings, connections, keys and stages that a worker's jobs use."""

    settings: Settings
    pool: Pool
    keystore: Keystore
    stages: Stages
    gallery: Gallery
    policies: Policies
    heads: TenantHeads
    fetches: Fetches
    turns: Turns  # with the models


class _Try:
    """Counts a try of an event once, when the first of its media items gets its turn.

    So an event that only waits, or is fetched, is charged nothing when another takes the worker down.
    """

    def __init__(self, pool: Pool, tenant: str, event_id: UUID) -> None:
        self._pool, self._key = pool, {"tenant": tenant, "event": event_id}
        self._lock, self._tries = Lock(), 0

    def number(self) -> int:
        """Returns how often the event was tried, this time included; 0 where another worker has just ended it."""
        with self._lock:
            if not self._tries:
                with transaction(self._pool) as conn:
                    row = fetch_one(conn, _INTAKE["claim_event"], **self._key)
                self._tries = row["tries"] if row else 0
            return self._tries

    def take_back(self) -> None:
        if self._tries:
            with transaction(self._pool) as conn:
                execute(conn, _INTAKE["release_event_claim"], **self._key)


def decide_event(
    context: WorkerContext, tenant: str, event_id: UUID, queue: str = SLOW, *, again: bool = False
) -> None:
    """Decides every media item of one event that is not yet decided. Safe to run twice, also at the same time.

    `again`: each has a decision, which no failure replaces. Raises HostSlow for what is left to the queue SLOW, and the
    errors after which another try may help; every other failure is recorded and goes to review.
    """
    keys = context.keystore.tenant(tenant)
    with transaction(context.pool) as conn:
        row = fetch_one(conn, _INTAKE["read_open_event"], tenant=tenant, event=event_id)
    if row is None:
        return  # done before, or past its retention
    try:
        event = open_event(keys, event_id, row)
    except SealBroken as error:
        log.error("event unreadable", tenant=tenant, event_id=str(event_id), code=error.code)
        note_altered_row(context.pool, keys, "event")
        _give_up(context, keys, row["source"], event_id, error)
        return
    source, arrival = row["source"], row["arrival"]
    media_keys = [MediaKey(tenant, event_id, source, n, event, media, arrival) for n, media in enumerate(event.media)]
    this_try = _Try(context.pool, tenant, event_id)
    try:
        with noting_altered_rows(context.pool, keys, "decide"):
            _decide_media_items(
                context, keys, media_keys, _Circumstances(queue, PRIORITY[row["lane"]], this_try, again)
            )
    except (*OUTAGES, HostSlow) as error:
        if not (isinstance(error, HostSlow) and error.failed):
            this_try.take_back()
        raise
    with transaction(context.pool) as conn:
        execute(conn, _INTAKE["finish_event"], tenant=tenant, event=event_id)
        execute(conn, _INTAKE["delete_uploads"], tenant=tenant, event=event_id)
        announce(conn, f"{tenant} {event_id}")


def _give_up(context: WorkerContext, keys: TenantKeys, source: str, event_id: UUID, error: AssentError) -> None:
    """Ends an event as a case of its own, whose media items could not even be recorded."""
    with transaction(context.pool) as conn:
        if execute(conn, _INTAKE["finish_event"], tenant=keys.tenant, event=event_id):
            execute(conn, _INTAKE["delete_uploads"], tenant=keys.tenant, event=event_id)
            note_unreadable(conn, keys, source, event_id, error)


@dataclass(frozen=True, slots=True, eq=False)
class _Circumstances:
    """The circumstances under which an event's job runs: its queue, its priority, its try, whether it was decided."""

    queue: str
    priority: int
    this_try: _Try
    again: bool


def _decide_media_items(
    context: WorkerContext, keys: TenantKeys, media_keys: Sequence[MediaKey], circumstances: _Circumstances
) -> None:
    """Decides the media items, some side by side, each once its bytes are in hand, also where others have to wait.

    Raises HostSlow where one drips or the event's budget of fetches is spent, else the last error that asks for another
    try.
    """
    with transaction(context.pool) as conn:
        undecided = [media_key for media_key in media_keys if not is_recorded(conn, media_key)]
        late = {media_key.n for media_key in undecided if is_late(conn, keys, media_key)}
        urls = [media_key.media.url for media_key in undecided if media_key.media.url]
        way = FetchWay(context.stages.allow, fetch_key(conn, keys, media_keys[0].source, urls))

    took: list[float] = []  # the event's fetches

    def decide_one(media_key: MediaKey) -> Exception | None:
        url = None if media_key.event.type == "media.deleted" or media_key.n in late else media_key.media.url
        try:
            with (
                context.fetches.fetched(circumstances.queue, keys.tenant, url, way, took) as fetched,
                context.turns.turn(circumstances.priority, keys.tenant),
            ):
                _decide_media_item(context, keys, media_key, circumstances, fetched)
        except (FetchFailed, HostSlow) as error:
            return error
        except OUTAGES:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other media items are decided
            return _unexpected(context, keys, media_key, circumstances, error)
        return None

    with ThreadPoolExecutor(SIDE_BY_SIDE, "media") as threads:
        errors = list(filter(None, threads.map(decide_one, undecided)))
    failed = next((error for error in reversed(errors) if not isinstance(error, HostSlow)), None)
    strikes = max((error.strikes for error in errors if isinstance(error, HostSlow)), default=0)
    if strikes:
        raise HostSlow(strikes, failed)
    if isinstance(failed, UnexpectedFailure):
        _give_up(context, keys, media_keys[0].source, media_keys[0].event_id, failed)
    elif failed:
        raise failed


def _unexpected(
    context: WorkerContext, keys: TenantKeys, media_key: MediaKey, circumstances: _Circumstances, failure: Exception
) -> Exception | None:
    """Returns a failure for another try; the last try records it. One that nobody foresaw is logged by its kind.

    Returns UnexpectedFailure where not even that could be recorded.
    """
    event_id = str(media_key.event_id)
    error = failure if isinstance(failure, AssentError) else UnexpectedFailure()
    if error is not failure:
        log.error("unexpected failure", tenant=keys.tenant, event_id=event_id, kind=type(failure).__name__)
    if circumstances.this_try.number() < MAX_TRIES:
        return failure
    if circumstances.again:
        return None
    try:
        with transaction(context.pool) as conn:
            policy = context.policies.of(conn, media_key.tenant).active.ref
            record(conn, keys, media_key, NewDecision(Unprocessable(error), policy))
    except OUTAGES:
        raise
    except Exception as unrecorded:  # noqa: BLE001 - a case of the event's own says so instead
        log.error("failure not recorded", tenant=keys.tenant, event_id=event_id, kind=type(unrecorded).__name__)
        return UnexpectedFailure()
    FAILED.labels(error.code).inc()
    return None


def _decide_media_item(
    context: WorkerContext,
    keys: TenantKeys,
    media_key: MediaKey,
    circumstances: _Circumstances,
    fetched: Fetched | None,
) -> None:
    with transaction(context.pool) as conn:
        if media_key.event.type == "media.deleted":
            forget(conn, keys, [media_key])
            return
        if is_recorded(conn, media_key):
            return
        if is_late(conn, keys, media_key):
            log_superseded(conn, keys, media_key)
            return
        try:
            policies = context.policies.of(conn, media_key.tenant)
        except PolicyUnreadable as error:
            log.error("the active policy does not read", tenant=media_key.tenant, code=error.code)
            if circumstances.again:
                return
            unread = NewDecision(Unprocessable(error), error.ref)  # nothing is decided; a person looks
            record(conn, keys, media_key, unread)
            FAILED.labels(error.code).inc()
            return
    policy = policies.active
    analysed = _analyse(context, keys, media_key, circumstances.this_try.number(), fetched, policy)
    if circumstances.again and isinstance(analysed, Unprocessable):
        return
    retained = _copy_to_retain(context.settings, analysed)
    with transaction(context.pool) as conn:
        outcome = with_history(conn, media_key, policy, analysed) if isinstance(analysed, Analysis) else analysed
        if outcome is not analysed:
            retained = _copy_to_retain(context.settings, outcome)
        stored = record(conn, keys, media_key, NewDecision(outcome, policy.ref, retained, _state(policy, outcome)))
        if stored and isinstance(outcome, Analysis) and outcome.unmatched:
            store_missed(conn, keys, media_key)
    count_outcome(context.pool, media_key, policies, outcome)


def _state(policy: Policy, outcome: Analysis | Quarantined | Unprocessable) -> Statement | None:
    if not isinstance(outcome, Analysis):
        return None
    moderated = outcome.moderated
    if moderated is None:
        return state_restriction(policy, outcome.perception, outcome.verdict)
    return state_restriction(policy, moderated.perception, moderated.verdict, by_person=moderated.holds)


def _copy_to_retain(settings: Settings, outcome: Analysis | Quarantined | Unprocessable) -> RetainedCopy | None:
    """Returns the copy to keep for review and for redaction, or None; a withheld image is never copied."""
    if not isinstance(outcome, Analysis):
        return None
    verdict = outcome.verdict
    wanted = verdict.action is Action.review or verdict.review is not None or verdict.redact
    return (
        RetainedCopy(retained_jpeg(outcome.picture), settings.keep_days)
        if wanted or settings.keep_for_redaction
        else None
    )


def _analyse(
    context: WorkerContext,
    keys: TenantKeys,
    media_key: MediaKey,
    tries: int,
    fetched: Fetched | None,
    policy: Policy,
) -> Analysis | Quarantined | Unprocessable:
    if tries > MAX_TRIES:
        return Unprocessable(WorkerLost())
    try:
        if fetched is None:
            with noting_altered_rows(context.pool, keys, "upload"), transaction(context.pool) as conn:
                fetched = open_upload(conn, keys, media_key.event_id, media_key.n)
        if isinstance(fetched, AssentError):
            raise fetched
        with ANALYSIS_SECONDS.time():
            return analyse(context.stages, policy, media_key.tenant, media_key.event, media_key.media, fetched)
    except OUTAGES:
        raise
    except AssentError as error:
        if error.retryable and tries < MAX_TRIES:
            raise
        return Unprocessable(error)


def deliver_message(context: WorkerContext, tenant: str, message: UUID) -> None:
    """Makes one attempt to deliver an outbox message."""
    keys = context.keystore.tenant(tenant)

    def body(conn: Conn, row: Row) -> dict[str, Any] | None:
        lock_media_sending(conn, MediaItem(row["source"], row["media_id"]).key(tenant))
        return body_of(conn, keys, row, lock_shared_session)

    with transaction(context.pool) as conn:
        now = database_time(conn)
    try:
        outcome = deliver.attempt(context.pool, keys, message, body, context.settings.allow_private, now)
    except NotFound:
        return  # it went with its media item, which the platform deleted
    DELIVERED.labels(outcome.state).inc()


def enrol_job(context: WorkerContext, tenant: str, job: UUID) -> None:
    turn = partial(context.turns.turn, PRIORITY["enrolment"], tenant)
    enrol(context.pool, context.keystore.tenant(tenant), context.stages, context.gallery.wait_for, job, turn)


def retract_job(context: WorkerContext, tenant: str, args: Mapping[str, str], job: int) -> None:
    """Retracts the matches of whom the job's arguments seal, unless that was done."""
    keys = context.keystore.tenant(tenant)
    if (pseudonym := retracted_pseudonym(keys, args)) is None:
        return
    erasure = args.get("erasure")
    retract(context.pool, keys, pseudonym, UUID(erasure) if erasure else None, job)


def postpone_message(context: WorkerContext, tenant: str, message: UUID) -> None:
    """Postpones an outbox message where too many deliveries to its endpoint wait for an answer already."""
    with transaction(context.pool) as conn:
        deliver.postpone(conn, tenant, message)


def act_job(context: WorkerContext, tenant: str, action: UUID) -> None:
    """Makes one attempt to do or undo an act at a platform."""
    with transaction(context.pool) as conn:
        now = database_time(conn)
    try:
        attempt_action(context.pool, context.keystore.tenant(tenant), action, context.settings.allow_private, now)
    except NotFound:
        return  # it went with its media items


def postpone_act(context: WorkerContext, tenant: str, action: UUID) -> None:
    """Postpones an act where too many at its platform wait for an answer already."""
    with transaction(context.pool) as conn:
        postpone_action(conn, tenant, action)
