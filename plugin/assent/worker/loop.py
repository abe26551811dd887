"""A worker: takes jobs from the queue, runs the pipeline, delivers what it decided.

One process holds the models, one decode child and the host's in-memory gallery. Pictures are worked on by a few
threads, so that one fetches while another is decoded; deliveries have their own, so that a slow endpoint delays no
picture.
"""

from __future__ import annotations

import asyncio
import math
import random
import resource
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, LiteralString
from uuid import UUID

import procrastinate
import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker as QueueWorker
from prometheus_client import start_http_server
from psycopg.errors import RaiseException

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
from assent.core.values import Action, Failed, Looked, Quarantined
from assent.db.locks import hold
from assent.db.pool import IDLE_LIMIT, LOST, Conn, Pool, Row, execute, fetch_one, open_pool, transaction
from assent.db.queries import load
from assent.db.queue import OUTBOX, PICTURES
from assent.decisions import document
from assent.decisions.render.redact import keepable
from assent.decisions.retract import retract
from assent.decisions.statement import Statement, state
from assent.decisions.store import Kept, Place, announce, forget, is_recorded, note_unreadable, record
from assent.gallery.matching import Gallery, host_gallery, open_gallery
from assent.gallery.memory import GalleryServer
from assent.hashlists.follow import Known
from assent.intake.accept import open_event, open_upload
from assent.keys.installation import database, open_keys
from assent.keys.keystore import Keystore, TenantKeys
from assent.media.sandbox import Decoder
from assent.outbox import deliver
from assent.outbox.endpoint_concurrency import Lanes
from assent.perceive import Models
from assent.perceive import load as load_models
from assent.perceive.faces.calibration import Calibration
from assent.perceive.faces.liveness import is_live
from assent.perceive.frames.batch import Batcher
from assent.perceive.text.tags import open_reader
from assent.pipeline import Tools, look, nothing_read
from assent.policy.compare import Outcome, compare
from assent.policy.decide import decide
from assent.policy.load import load_policy
from assent.policy.model import Policy
from assent.policy.versions import Policies, PolicyUnreadable, count_shadow
from assent.review.history import with_word
from assent.shadow.live import REFRESH_SECONDS, TenantHeads, note_trials
from assent.subjects.connections import ask_who_chose
from assent.subjects.enrol import SAME_PERSON_FMR, enrol
from assent.subjects.throttled import note_throttled
from assent.worker.maintenance import Chore, chores
from assent.worker.models_used import note_models

PICTURE_JOBS = 4  # pictures under way at once in one worker
DELIVERIES = 16  # under way at once
DELIVERY_JOBS = 64  # taken from the queue at once; those beyond wait for a place in their endpoint's lane
MAX_TRIES = 5  # how often one event may take a worker down, or fail to be fetched, before a person looks
RETRY_SECONDS = (10, 60, 300, 900)  # after the first, second … failed fetch
INTERRUPTED_SECONDS = 1.0  # before a worker whose database went away looks again
# Not the picture's fault: the job waits and is not counted against it.
OUTAGES = (DatabaseUnavailable, GalleryUnavailable, KeyMissing)
_INTAKE = load("intake")


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What a worker's jobs work with."""

    settings: Settings
    pool: Pool
    keystore: Keystore
    tools: Tools
    gallery: Gallery
    policies: Policies
    heads: TenantHeads


def decide_event(bench: Bench, tenant: str, event_id: UUID) -> None:
    """The job of one event: every picture that is not yet decided. Safe to run twice, also at the same time.

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
    places = [Place(tenant, event_id, n, event, media) for n, media in enumerate(event.media)]
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


def _give_up(bench: Bench, keys: TenantKeys, event_id: UUID, error: SealBroken) -> None:
    log.error("event unreadable", tenant=keys.tenant, event_id=str(event_id), code=error.code)
    with transaction(bench.pool) as conn:
        execute(conn, _INTAKE["finish_event"], tenant=keys.tenant, event=event_id)
        note_unreadable(conn, keys, event_id, error)


def _decide_pictures(bench: Bench, keys: TenantKeys, places: Sequence[Place], row: Row) -> None:
    """Each of them, also where one has to be tried again later. Raises what calls for that, the last one's."""
    again: FetchFailed | None = None
    for place in places:
        try:
            _decide_picture(bench, keys, place, row["tries"])
        except FetchFailed as error:
            again = error
    if again is not None:
        raise again


def _decide_picture(bench: Bench, keys: TenantKeys, place: Place, tries: int) -> None:
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
            record(conn, keys, place, Failed(error), error.ref)  # nothing is decided; a person looks
            FAILED.labels(error.code).inc()
            return
    policy = chosen.active
    looked = _look(bench, keys, place, tries, policy)
    kept = _to_keep(bench.settings, looked)
    with transaction(bench.pool) as conn:
        outcome = with_word(conn, place, policy, looked) if isinstance(looked, Looked) else looked
        if outcome is not looked:
            kept = _to_keep(bench.settings, outcome)
        record(conn, keys, place, outcome, policy.ref, kept, _state(policy, outcome))
    if isinstance(outcome, Looked) and outcome.seen.trials:
        with transaction(bench.pool) as conn:
            note_trials(conn, place, outcome.seen.trials)
    if isinstance(outcome, Looked):
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


def _state(policy: Policy, outcome: Looked | Quarantined | Failed) -> Statement | None:
    if not isinstance(outcome, Looked):
        return None
    heeded = outcome.heeded
    if heeded is None:
        return state(policy, outcome.seen, outcome.verdict)
    return state(policy, heeded.seen, heeded.verdict, by_person=heeded.holds)


def _try_shadow(bench: Bench, place: Place, looked: Looked, shadow: Policy | None) -> None:
    """What another policy would have decided is counted beside what was, and kept nowhere."""
    if shadow is None:
        return
    faces = {match.face for match in looked.matches}
    verdict = decide(shadow, place.event, looked.picture, looked.seen, faces)
    active = looked.heeded.alone if looked.heeded else looked.verdict  # policies beside each other, and no moderator
    counts = compare(Outcome.of_verdict(active), Outcome.of_verdict(verdict))
    with transaction(bench.pool) as conn:
        count_shadow(conn, place.tenant, shadow.ref, counts)


def _to_keep(settings: Settings, outcome: Looked | Quarantined | Failed) -> Kept | None:
    """A copy for who reviews the picture, and for who asks for it with faces hidden; never of one that is withheld."""
    if not isinstance(outcome, Looked):
        return None
    verdict = outcome.verdict
    wanted = verdict.action is Action.review or verdict.review is not None or verdict.redact
    return Kept(keepable(outcome.picture), settings.keep_days) if wanted or settings.keep_for_redaction else None


def _look(bench: Bench, keys: TenantKeys, place: Place, tries: int, policy: Policy) -> Looked | Quarantined | Failed:
    if tries > MAX_TRIES:
        return Failed(WorkerLost())
    upload = None
    if place.media.url is None:
        with transaction(bench.pool) as conn:
            upload = open_upload(conn, keys, place.event_id, place.n)
    try:
        with LOOK_SECONDS.time():
            return look(replace(bench.tools, policy=policy), place.tenant, place.event, place.media, upload)
    except OUTAGES:
        raise
    except AssentError as error:
        if error.retryable and tries < MAX_TRIES:
            raise
        return Failed(error)


def deliver_message(bench: Bench, tenant: str, message: UUID) -> None:
    """The job of one outbox row: one attempt."""
    keys = bench.keystore.tenant(tenant)

    def body(conn: Conn, row: Row) -> dict[str, Any] | None:
        return document.body(conn, keys, row, hold)

    now = datetime.now(UTC)
    outcome = deliver.attempt(bench.pool, keys, tenant, message, body, bench.settings.allow_private, now)
    DELIVERED.labels(outcome.state).inc()


def _enrol(bench: Bench, tenant: str, job: UUID) -> None:
    with _noting_broken(bench, tenant, "enrol"):
        enrol(bench.pool, bench.keystore.tenant(tenant), bench.tools, bench.gallery.wait_for, job)


@contextmanager
def _noting_broken(bench: Bench, tenant: str, work: str) -> Iterator[None]:
    """A sealed row that does not open ends the work, and is noted in the log."""
    try:
        yield
    except SealBroken:
        with transaction(bench.pool) as conn:
            note_broken(conn, bench.keystore.tenant(tenant), work, datetime.now(UTC))
        raise


def postpone_message(bench: Bench, tenant: str, message: UUID) -> None:
    """The same where too many deliveries to that endpoint wait for its answer already."""
    with transaction(bench.pool) as conn:
        deliver.postpone(conn, tenant, message, datetime.now(UTC))


class _Again(BaseRetryStrategy):
    """A failed fetch: after its own times. Everything else: soon, then every minute, for as long as an outage lasts;
    an event that itself brings the job down is ended by `MAX_TRIES`."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        seconds = min(2 ** min(job.attempts, 6), 60) + random.random()  # noqa: S311 - spread, not a secret
        if isinstance(exception, FetchFailed):
            seconds = RETRY_SECONDS[min(job.attempts, len(RETRY_SECONDS) - 1)]
        return RetryDecision(retry_in={"seconds": int(seconds)})


async def _limit_idle(conn: psycopg.AsyncConnection) -> None:
    await conn.execute(IDLE_LIMIT)
    await conn.commit()


class _Connector(procrastinate.PsycopgConnector):
    """The queue's own connections. A statement that failed with its connection may have been a job's end: such a job
    would stay begun as long as this worker lives. So `failed` ends the queue's worker, and its lease frees the job.
    The end of a job that somebody else took over and ended, which the queue's functions refuse, is no error."""

    def __init__(self, url: str, failed: asyncio.Event) -> None:
        super().__init__(conninfo=url, min_size=1, max_size=6, timeout=10, configure=_limit_idle)
        self._failed = failed

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        try:
            await super().execute_query_async(query, **arguments)
        except ConnectorException as error:
            if isinstance(error.__cause__, RaiseException):
                log.warning("job ended elsewhere", job=arguments.get("job_id"))
                return
            if isinstance(error.__cause__, LOST):
                self._failed.set()
            raise


def queue_app(url: str, bench: Bench, failed: asyncio.Event | None = None) -> procrastinate.App:
    """The queue's tasks, bound to this worker's bench. Job arguments are ids only. `failed` is set when the end of a
    job could not be written."""
    app = procrastinate.App(connector=_Connector(url, failed or asyncio.Event()))

    @app.task(name="decide", queue=PICTURES, retry=_Again())
    async def decide(tenant: str, event: str) -> None:
        await asyncio.to_thread(decide_event, bench, tenant, UUID(event))

    @app.task(name="enrol", queue=PICTURES, retry=_Again())
    async def enrol_photos(tenant: str, event: str) -> None:
        await asyncio.to_thread(_enrol, bench, tenant, UUID(event))

    @app.task(name="retract", queue=PICTURES, retry=_Again(), pass_context=True)
    async def take_back(context: procrastinate.JobContext, tenant: str, pid: str, erasure: str = "") -> None:
        if pid:  # else it was done
            asked, keys = UUID(erasure) if erasure else None, bench.keystore.tenant(tenant)
            await asyncio.to_thread(retract, bench.pool, keys, bytes.fromhex(pid), asked, context.job.id)

    # Threads of their own: asyncio's few are shared by everything else here, and an endpoint may hold one for 15 s.
    lanes, threads = Lanes(), ThreadPoolExecutor(DELIVERIES, "deliver")

    @app.task(name="deliver", queue=OUTBOX, retry=_Again())
    async def send(tenant: str, endpoint: str, message: str) -> None:
        async with lanes.place(tenant, endpoint) as free:
            work = deliver_message if free else postpone_message
            await asyncio.get_running_loop().run_in_executor(threads, work, bench, tenant, UUID(message))

    return app


async def _again_and_again(bench: Bench, seconds: float, chore: Chore) -> None:
    while True:
        await asyncio.to_thread(chore, bench.settings, bench.pool, bench.keystore)
        await asyncio.sleep(seconds)


async def _work(url: str, bench: Bench, stopping: asyncio.Event) -> None:
    """Until `stopping` is set. Ends with an error as soon as a part of it ends: what is left would look alive and do
    nothing."""
    failed = asyncio.Event()
    app = queue_app(url, bench, failed)
    lease = bench.settings.lease_seconds
    options: dict[str, Any] = {
        "install_signal_handlers": False,
        "update_heartbeat_interval": lease / 3,
        "stalled_worker_timeout": lease,
        "fetch_job_polling_interval": 1.0,  # a job that becomes due is announced by nobody
    }
    async with app.open_async():
        workers = (
            QueueWorker(app, [PICTURES], concurrency=PICTURE_JOBS, **options),
            QueueWorker(app, [OUTBOX], concurrency=DELIVERY_JOBS, **options),
        )
        works = [asyncio.create_task(worker.run()) for worker in workers]  # type: ignore[no-untyped-call]
        others = [
            *(asyncio.create_task(_again_and_again(bench, *chore)) for chore in chores(bench.settings)),
            asyncio.create_task(_again_and_again(bench, REFRESH_SECONDS, bench.heads.refresh)),
            asyncio.create_task(failed.wait()),
        ]
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait([asked, *works, *others], return_when=asyncio.FIRST_COMPLETED)
        # Told, not cancelled: before Python 3.12 a cancellation that meets an answer of the database is lost, and a
        # worker that goes on alone would be waited for without end.
        for worker in workers:
            worker.stop()  # type: ignore[no-untyped-call]
        for other in (asked, *others):
            other.cancel()
        ends = await asyncio.gather(*works, *others, return_exceptions=True)
    if not stopping.is_set():
        errors = (end for end in ends if isinstance(end, Exception))
        raise next(errors, DatabaseUnavailable("the queue's connection was lost"))


async def _work_on(url: str, bench: Bench, stopping: asyncio.Event) -> None:
    """The same again and again, as another worker of the queue each time: the database may be gone for a while, or this
    worker was taken for lost. The jobs it had are freed by the lease."""
    while not stopping.is_set():
        try:
            await _work(url, bench, stopping)
        except (DatabaseUnavailable, ConnectorException, psycopg.OperationalError) as error:
            log.warning("queue interrupted; beginning again", error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), INTERRUPTED_SECONDS)


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT; jobs under way are finished first.

    Raises KeyMissing, PolicyInvalid, ModelMissing, GalleryUnavailable or DatabaseUnavailable when it cannot begin.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold embeddings
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, settings.host)  # the API's own are at /metrics

    async def until_stopped(url: str, bench: Bench) -> None:
        stopping = asyncio.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
        log.info("worker ready", policy=bench.tools.policy.ref.name)
        await _work_on(url, bench, stopping)

    models = load_models(settings.models_dir, settings.threads, settings.accept_licence)
    with (
        database(settings) as url,
        Decoder() as decoder,
        open_bench(settings, url, models, decoder, host_gallery(settings)) as bench,
    ):
        note_models(bench.pool, bench.keystore, models, settings.accept_licence)
        asyncio.run(until_stopped(url, bench))


def alike(calibration: Calibration) -> float:
    """The score from which two photos may show one person; without a calibration none do."""
    known = calibration.templates_supported(SAME_PERSON_FMR)
    return calibration.threshold(1, SAME_PERSON_FMR) if known else math.inf


@contextmanager
def open_bench(
    settings: Settings, url: str, models: Models, decoder: Decoder, gallery_server: GalleryServer
) -> Iterator[Bench]:
    """Everything a worker works with, for as long as the context lasts."""
    with ExitStack() as stack:
        policy: Policy = load_policy(settings.policy)
        pool = stack.enter_context(open_pool(url, size=PICTURE_JOBS + DELIVERIES + 2))
        keystore = open_keys(settings, pool)
        asks = (settings.anyone_declaration is not None, partial(ask_who_chose, pool), partial(note_throttled, pool))
        gallery = stack.enter_context(open_gallery(gallery_server, url, keystore, models, *asks))
        heads = TenantHeads(models, settings.threads)
        heads.refresh(settings, pool, keystore)
        tools = Tools(
            decoder=decoder,
            perceive=Batcher(models),
            circle=gallery.circle,
            match=gallery.match,
            policy=policy,
            heads=heads,
            allow=settings.allow_private,
            alike=alike(models.calibration),
            known=Known(pool),
            read=open_reader(settings) or nothing_read,
            live=partial(is_live, models.liveness),
        )
        yield Bench(settings, pool, keystore, tools, gallery, Policies(policy), heads)
