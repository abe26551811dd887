"""Runs a worker's jobs: decide an event, enrol photos, send a delivery. Each is safe to run twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from assent.audit.broken import noting_altered_rows
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
from assent.core.telemetry import ANALYSIS_SECONDS, BROKEN, DECIDED, DELIVERED, FAILED, log
from assent.core.values import Action, Analysis, Quarantined, Unprocessable
from assent.db.locks import lock_shared_session
from assent.db.pool import Conn, Pool, Row, execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.assemble import message_body as body_of
from assent.decisions.render.redact import retained_jpeg
from assent.decisions.statement import Statement, state_restriction
from assent.decisions.store import (
    MediaKey,
    NewDecision,
    RetainedCopy,
    announce,
    forget,
    is_recorded,
    note_unreadable,
    record,
)
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


def decide_event(context: WorkerContext, tenant: str, event_id: UUID) -> None:
    """Decides every media item of one event that is not yet decided. Safe to run twice, also at the same time.

    Raises the errors after which another try may help; every other failure is recorded and goes to review.
    """
    keys = context.keystore.tenant(tenant)
    with transaction(context.pool) as conn:
        row = fetch_one(conn, _INTAKE["claim_event"], tenant=tenant, event=event_id)
    if row is None:
        return  # done before, or past its retention
    try:
        event = open_event(keys, event_id, row)
    except SealBroken as error:
        _give_up(context, keys, event_id, error)
        return
    media_keys = [MediaKey(tenant, event_id, n, event, media) for n, media in enumerate(event.media)]
    try:
        with noting_altered_rows(context.pool, keys, "decide"):
            _decide_media_items(context, keys, media_keys, row)
    except OUTAGES:
        with transaction(context.pool) as conn:
            execute(conn, _INTAKE["release_event_claim"], tenant=tenant, event=event_id)
        raise
    with transaction(context.pool) as conn:
        execute(conn, _INTAKE["finish_event"], tenant=tenant, event=event_id)
        execute(conn, _INTAKE["delete_uploads"], tenant=tenant, event=event_id)
        announce(conn, f"{tenant} {event_id}")


def _give_up(context: WorkerContext, keys: TenantKeys, event_id: UUID, error: SealBroken) -> None:
    log.error("event unreadable", tenant=keys.tenant, event_id=str(event_id), code=error.code)
    with transaction(context.pool) as conn:
        execute(conn, _INTAKE["finish_event"], tenant=keys.tenant, event=event_id)
        note_unreadable(conn, keys, event_id, error)


def _decide_media_items(context: WorkerContext, keys: TenantKeys, media_keys: Sequence[MediaKey], row: Row) -> None:
    """Decides each media item, also where one has to be tried again later. Raises the last error that asks for that."""
    last: FetchFailed | None = None
    for media_key in media_keys:
        try:
            _decide_media_item(context, keys, media_key, row["tries"])
        except FetchFailed as error:
            last = error
    if last is not None:
        raise last


def _decide_media_item(context: WorkerContext, keys: TenantKeys, media_key: MediaKey, tries: int) -> None:
    with transaction(context.pool) as conn:
        if media_key.event.type == "media.deleted":
            forget(conn, keys, media_key)
            return
        if is_recorded(conn, media_key):
            return
        try:
            policies = context.policies.of(conn, media_key.tenant)
        except PolicyUnreadable as error:
            log.error("the active policy does not read", tenant=media_key.tenant, code=error.code)
            unread = NewDecision(Unprocessable(error), error.ref)  # nothing is decided; a person looks
            record(conn, keys, media_key, unread)
            FAILED.labels(error.code).inc()
            return
    policy = policies.active
    analysed = _analyse(context, keys, media_key, tries, policy)
    retained = _copy_to_retain(context.settings, analysed)
    with transaction(context.pool) as conn:
        outcome = with_history(conn, media_key, policy, analysed) if isinstance(analysed, Analysis) else analysed
        if outcome is not analysed:
            retained = _copy_to_retain(context.settings, outcome)
        record(conn, keys, media_key, NewDecision(outcome, policy.ref, retained, _state(policy, outcome)))
    if isinstance(outcome, Analysis) and outcome.perception.trials:
        with transaction(context.pool) as conn:
            note_trials(conn, media_key, outcome.perception.trials)
    if isinstance(outcome, Analysis):
        DECIDED.labels(outcome.verdict.action.name).inc()
        for rule in outcome.verdict.broken:
            BROKEN.labels(policy.ref.name, rule).inc()
        _try_shadow(context, media_key, outcome, policies.shadow)
    elif isinstance(outcome, Quarantined):
        DECIDED.labels(Action.block.name).inc()
    else:
        FAILED.labels(outcome.error.code).inc()
        log.info(
            "picture failed",
            tenant=media_key.tenant,
            event_id=str(media_key.event_id),
            n=media_key.n,
            code=outcome.error.code,
        )


def _state(policy: Policy, outcome: Analysis | Quarantined | Unprocessable) -> Statement | None:
    if not isinstance(outcome, Analysis):
        return None
    moderated = outcome.moderated
    if moderated is None:
        return state_restriction(policy, outcome.perception, outcome.verdict)
    return state_restriction(policy, moderated.perception, moderated.verdict, by_person=moderated.holds)


def _try_shadow(context: WorkerContext, media_key: MediaKey, analysis: Analysis, shadow: Policy | None) -> None:
    """Counts the shadow policy's verdict beside the active policy's; the verdict itself is not stored."""
    if shadow is None:
        return
    faces = {match.face for match in analysis.matches}
    verdict = decide(shadow, media_key.event, analysis.picture, analysis.perception, faces)
    # Policies beside each other, and no moderator.
    active = analysis.moderated.automated if analysis.moderated else analysis.verdict
    counts = compare_outcomes(ComparedOutcome.of_verdict(active), ComparedOutcome.of_verdict(verdict))
    with transaction(context.pool) as conn:
        count_shadow(conn, media_key.tenant, shadow.ref, counts)


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
    context: WorkerContext, keys: TenantKeys, media_key: MediaKey, tries: int, policy: Policy
) -> Analysis | Quarantined | Unprocessable:
    if tries > MAX_TRIES:
        return Unprocessable(WorkerLost())
    upload = None
    if media_key.media.url is None:
        with transaction(context.pool) as conn:
            upload = open_upload(conn, keys, media_key.event_id, media_key.n)
    try:
        with ANALYSIS_SECONDS.time():
            return analyse(context.stages, policy, media_key.tenant, media_key.event, media_key.media, upload)
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
        return body_of(conn, keys, row, lock_shared_session)

    now = datetime.now(UTC)
    outcome = deliver.attempt(context.pool, keys, message, body, context.settings.allow_private, now)
    DELIVERED.labels(outcome.state).inc()


def enrol_job(context: WorkerContext, tenant: str, job: UUID) -> None:
    enrol(context.pool, context.keystore.tenant(tenant), context.stages, context.gallery.wait_for, job)


def postpone_message(context: WorkerContext, tenant: str, message: UUID) -> None:
    """Postpones an outbox message where too many deliveries to its endpoint wait for an answer already."""
    with transaction(context.pool) as conn:
        deliver.postpone(conn, tenant, message, datetime.now(UTC))
