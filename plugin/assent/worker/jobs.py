"""Runs a worker's jobs: decide an event, enrol photos, send a delivery. Each is safe to run twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from assent.audit.broken import note_broken
from assent.core.errors import (
    AssentError,
    DatabaseUnavailable,
    FetchFailed,
    GalleryUnavailable,
    KeyMissing,
    SealBroken,
    WorkerLost,
)
from assent.core.settings import Settings
from assent.core.telemetry import BROKEN, DECIDED, DELIVERED, FAILED, LOOK_SECONDS, log
from assent.core.values import Action, Analysis, Quarantined, Unprocessable
from assent.db.locks import lock_shared_session
from assent.db.pool import Conn, Pool, Row, execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.assemble import message_body as body_of
from assent.decisions.render.redact import retained_jpeg
from assent.decisions.statement import Statement, state_restriction
from assent.decisions.store import MediaKey, RetainedCopy, announce, forget, is_recorded, note_unreadable, record
from assent.gallery.matching import Gallery
from assent.intake.accept import open_event, open_upload
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox import deliver
from assent.pipeline import Stages, analyse
from assent.policy.compare import ComparedOutcome, compare_outcomes
from assent.policy.decide import decide
from assent.policy.model import Policy
from assent.policy.versions import Policies, PolicyUnreadable, count_shadow
from assent.review.history import with_history
from assent.shadow.live import TenantHeads, note_trials
from assent.subjects.enrol import enrol

MAX_TRIES = 5  # how often one event may take a worker down, or fail to be fetched, before a person looks


OUTAGES = (DatabaseUnavailable, GalleryUnavailable, KeyMissing)


_INTAKE = named_queries("intake")


@dataclass(frozen=True, slots=True, eq=False)
class WorkerContext:
    """The settings, connections, keys and stages that a worker's jobs use."""

    settings: Settings
    pool: Pool
    keystore: Keystore
    tools: Stages
    gallery: Gallery
    policies: Policies
    heads: TenantHeads


def decide_event(bench: WorkerContext, tenant: str, event_id: UUID) -> None:
    """Decides every media item of one event that is not yet decided. Safe to run twice, also at the same time.

    Raises the errors after which another try may help; every other failure is recorded and goes to review.
    """
    keys = bench.keystore.tenant(tenant)
    with transaction(bench.pool) as conn:
        row = fetch_one(conn, _INTAKE["begin_event"], tenant=tenant, event=event_id)
    if row is None:
        return  # done before, or past its retention
    try:
        event = open_event(keys, event_id, row)
    except SealBroken as error:
        _give_up(bench, keys, event_id, error)
        return
    places = [MediaKey(tenant, event_id, n, event, media) for n, media in enumerate(event.media)]
    try:
        with _noting_broken(bench, tenant, "decide"):
            _decide_pictures(bench, keys, places, row)
    except OUTAGES:
        with transaction(bench.pool) as conn:
            execute(conn, _INTAKE["unbegin_event"], tenant=tenant, event=event_id)
        raise
    with transaction(bench.pool) as conn:
        execute(conn, _INTAKE["finish_event"], tenant=tenant, event=event_id)
        execute(conn, _INTAKE["drop_uploads"], tenant=tenant, event=event_id)
        announce(conn, f"{tenant} {event_id}")


def _give_up(bench: WorkerContext, keys: TenantKeys, event_id: UUID, error: SealBroken) -> None:
    log.error("event unreadable", tenant=keys.tenant, event_id=str(event_id), code=error.code)
    with transaction(bench.pool) as conn:
        execute(conn, _INTAKE["finish_event"], tenant=keys.tenant, event=event_id)
        note_unreadable(conn, keys, event_id, error)


def _decide_pictures(bench: WorkerContext, keys: TenantKeys, places: Sequence[MediaKey], row: Row) -> None:
    """Decides each media item, also where one has to be tried again later. Raises the last error that asks for that."""
    again: FetchFailed | None = None
    for place in places:
        try:
            _decide_picture(bench, keys, place, row["tries"])
        except FetchFailed as error:
            again = error
    if again is not None:
        raise again


def _decide_picture(bench: WorkerContext, keys: TenantKeys, place: MediaKey, tries: int) -> None:
    with transaction(bench.pool) as conn:
        if place.event.type == "media.deleted":
            forget(conn, keys, place)
            return
        if is_recorded(conn, place):
            return
        try:
            chosen = bench.policies.of(conn, place.tenant, bench.tools.policy)
        except PolicyUnreadable as error:
            log.error("the active policy does not read", tenant=place.tenant, code=error.code)
            record(conn, keys, place, Unprocessable(error), error.ref)  # nothing is decided; a person looks
            FAILED.labels(error.code).inc()
            return
    policy = chosen.active
    looked = _analyse(bench, keys, place, tries, policy)
    kept = _to_keep(bench.settings, looked)
    with transaction(bench.pool) as conn:
        outcome = with_history(conn, place, policy, looked) if isinstance(looked, Analysis) else looked
        if outcome is not looked:
            kept = _to_keep(bench.settings, outcome)
        record(conn, keys, place, outcome, policy.ref, kept, _state(policy, outcome))
    if isinstance(outcome, Analysis) and outcome.seen.trials:
        with transaction(bench.pool) as conn:
            note_trials(conn, place, outcome.seen.trials)
    if isinstance(outcome, Analysis):
        DECIDED.labels(outcome.verdict.action.name).inc()
        for rule in outcome.verdict.broken:
            BROKEN.labels(policy.ref.name, rule).inc()
        _try_shadow(bench, place, outcome, chosen.shadow)
    elif isinstance(outcome, Quarantined):
        DECIDED.labels(Action.block.name).inc()
    else:
        FAILED.labels(outcome.error.code).inc()
        log.info(
            "picture failed", tenant=place.tenant, event_id=str(place.event_id), n=place.n, code=outcome.error.code
        )


def _state(policy: Policy, outcome: Analysis | Quarantined | Unprocessable) -> Statement | None:
    if not isinstance(outcome, Analysis):
        return None
    heeded = outcome.heeded
    if heeded is None:
        return state_restriction(policy, outcome.seen, outcome.verdict)
    return state_restriction(policy, heeded.seen, heeded.verdict, by_person=heeded.holds)


def _try_shadow(bench: WorkerContext, place: MediaKey, looked: Analysis, shadow: Policy | None) -> None:
    """Counts the shadow policy's verdict beside the active policy's; the verdict itself is not stored."""
    if shadow is None:
        return
    faces = {match.face for match in looked.matches}
    verdict = decide(shadow, place.event, looked.picture, looked.seen, faces)
    active = looked.heeded.alone if looked.heeded else looked.verdict  # policies beside each other, and no moderator
    counts = compare_outcomes(ComparedOutcome.of_verdict(active), ComparedOutcome.of_verdict(verdict))
    with transaction(bench.pool) as conn:
        count_shadow(conn, place.tenant, shadow.ref, counts)


def _to_keep(settings: Settings, outcome: Analysis | Quarantined | Unprocessable) -> RetainedCopy | None:
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
    bench: WorkerContext, keys: TenantKeys, place: MediaKey, tries: int, policy: Policy
) -> Analysis | Quarantined | Unprocessable:
    if tries > MAX_TRIES:
        return Unprocessable(WorkerLost())
    upload = None
    if place.media.url is None:
        with transaction(bench.pool) as conn:
            upload = open_upload(conn, keys, place.event_id, place.n)
    try:
        with LOOK_SECONDS.time():
            return analyse(replace(bench.tools, policy=policy), place.tenant, place.event, place.media, upload)
    except OUTAGES:
        raise
    except AssentError as error:
        if error.retryable and tries < MAX_TRIES:
            raise
        return Unprocessable(error)


def deliver_message(bench: WorkerContext, tenant: str, message: UUID) -> None:
    """Makes one attempt to deliver an outbox message."""
    keys = bench.keystore.tenant(tenant)

    def body(conn: Conn, row: Row) -> dict[str, Any] | None:
        return body_of(conn, keys, row, lock_shared_session)

    now = datetime.now(UTC)
    outcome = deliver.attempt(bench.pool, keys, tenant, message, body, bench.settings.allow_private, now)
    DELIVERED.labels(outcome.state).inc()


def enrol_job(bench: WorkerContext, tenant: str, job: UUID) -> None:
    with _noting_broken(bench, tenant, "enrol"):
        enrol(bench.pool, bench.keystore.tenant(tenant), bench.tools, bench.gallery.wait_for, job)


@contextmanager
def _noting_broken(bench: WorkerContext, tenant: str, work: str) -> Iterator[None]:
    """Ends the work where a sealed row does not open, and notes that in the log. SealBroken goes on to the caller."""
    try:
        yield
    except SealBroken:
        with transaction(bench.pool) as conn:
            note_broken(conn, bench.keystore.tenant(tenant), work, datetime.now(UTC))
        raise


def postpone_message(bench: WorkerContext, tenant: str, message: UUID) -> None:
    """Postpones an outbox message where too many deliveries to its endpoint wait for an answer already."""
    with transaction(bench.pool) as conn:
        deliver.postpone(conn, tenant, message, datetime.now(UTC))
