"""Runs a worker: it takes jobs from the queue, runs the pipeline and delivers decisions.

One process holds the models, one decode child and the host's in-memory gallery. Images are fetched side by side, and a
few have a turn with the models at once, so that one is decoded while another is looked at. Deliveries have threads of
their own, so that a slow endpoint delays no image.
"""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker as QueueWorker

from assent.audit.authority import open_installation
from assent.core.errors import DatabaseUnavailable
from assent.core.settings import Settings
from assent.core.telemetry import log, serve_metrics
from assent.db.pool import open_pool
from assent.gallery.matching import MatchingRules, has_templates, host_gallery, open_gallery
from assent.gallery.memory import GalleryServer
from assent.hashlists.follow import TenantHashLists
from assent.keys.installation import database
from assent.media.sandbox import Decoder, open_decoder
from assent.perceive import Models
from assent.perceive import load_models as load_models
from assent.perceive.faces.calibration import Calibration
from assent.perceive.faces.liveness import is_live
from assent.perceive.frames.batch import MAX_IMAGES, Batcher
from assent.perceive.text.tags import open_reader
from assent.pipeline import Stages, nothing_read
from assent.policy.load import load_policy
from assent.policy.model import Policy
from assent.policy.versions import Policies
from assent.shadow.live import REFRESH_SECONDS, TenantHeads
from assent.subjects.connections import connected_subjects
from assent.subjects.enrol import SAME_PERSON_FMR
from assent.subjects.throttled import note_throttled
from assent.worker.fetching import Fetches
from assent.worker.jobs import WorkerContext
from assent.worker.maintenance import MaintenanceTask, maintenance_tasks
from assent.worker.missed import MISSED_SECONDS, release_missed
from assent.worker.models_used import note_models
from assent.worker.queue import DELIVERIES, JOBS, queue_app
from assent.worker.turns import Turns

PICTURE_JOBS = 4  # pictures of one tenant that have a turn at once in one worker; one more of another's
# Pictures in the models at once. On a CPU a batch is no faster for each, and who comes next waits for all of it.
IN_MODELS = {"CPUExecutionProvider": 1, "CUDAExecutionProvider": MAX_IMAGES}
INTERRUPTED_SECONDS = 1.0  # before a worker whose database went away looks again


async def _repeat(context: WorkerContext, seconds: float, task: MaintenanceTask) -> None:
    while True:
        await asyncio.to_thread(task, context.settings, context.pool, context.keystore)
        await asyncio.sleep(seconds)


async def _work(url: str, context: WorkerContext, stopping: asyncio.Event) -> None:
    """Works until `stopping` is set. Ends with an error as soon as a part of it ends.

    A worker that lost a part would look alive and do nothing.
    """
    failed = asyncio.Event()
    app = queue_app(url, context, failed)
    lease = context.settings.lease_seconds
    options: dict[str, Any] = {
        "install_signal_handlers": False,
        "update_heartbeat_interval": lease / 3,
        "stalled_worker_timeout": lease,
        "fetch_job_polling_interval": 1.0,  # a job that becomes due is announced by nobody
    }
    async with app.open_async():
        workers = [QueueWorker(app, [queue], concurrency=jobs, **options) for queue, jobs in JOBS.items()]
        works = [asyncio.create_task(worker.run()) for worker in workers]  # type: ignore[no-untyped-call]
        others = [
            *(asyncio.create_task(_repeat(context, *task)) for task in maintenance_tasks(context.settings)),
            asyncio.create_task(_repeat(context, REFRESH_SECONDS, context.heads.refresh)),
            asyncio.create_task(_repeat(context, MISSED_SECONDS, lambda *_: release_missed(context))),
            asyncio.create_task(failed.wait()),
        ]
        stop_requested = asyncio.create_task(stopping.wait())
        await asyncio.wait([stop_requested, *works, *others], return_when=asyncio.FIRST_COMPLETED)
        # Told, not cancelled: before Python 3.12 a cancellation that meets an answer of the database is lost, and a
        # worker that goes on alone would be waited for without end.
        for worker in workers:
            worker.stop()  # type: ignore[no-untyped-call]
        for other in (stop_requested, *others):
            other.cancel()
        ends = await asyncio.gather(*works, *others, return_exceptions=True)
    if not stopping.is_set():
        errors = (end for end in ends if isinstance(end, Exception))
        raise next(errors, DatabaseUnavailable("the queue's connection was lost"))


async def _work_until_stopped(url: str, context: WorkerContext, stopping: asyncio.Event) -> None:
    """Works until `stopping` is set and begins again after each interruption, as another worker of the queue each time.

    The database may be gone for a while, or this worker was taken for lost. The jobs it had are freed by the lease.
    """
    while not stopping.is_set():
        try:
            await _work(url, context, stopping)
        except (DatabaseUnavailable, ConnectorException, psycopg.OperationalError) as error:
            log.warning("queue interrupted; beginning again", error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), INTERRUPTED_SECONDS)


def run_worker(settings: Settings, ready: Callable[[], None]) -> None:
    """Works until SIGTERM or SIGINT; jobs under way are finished first. Calls `ready` when all is open that it needs.

    Without room for a gallery it works, and matches nobody. Raises KeyMissing, PolicyInvalid, ModelMissing,
    GalleryUnavailable or DatabaseUnavailable when it cannot begin.
    """
    if settings.metrics_port is not None:
        serve_metrics(settings.metrics_host, settings.metrics_port)

    async def until_stopped(url: str, context: WorkerContext) -> None:
        stopping = asyncio.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
        log.info("worker ready", policy=context.policies.default.ref.name)
        ready()
        await _work_until_stopped(url, context, stopping)

    models = load_models(settings.models_dir, settings.threads, settings.accept_licence, settings.second_opinion)
    with (
        database(settings) as url,
        open_decoder(settings) as decoder,
        open_worker_context(settings, url, models, decoder, host_gallery(settings)) as context,
    ):
        note_models(context.pool, context.keystore, models, settings.accept_licence)
        asyncio.run(until_stopped(url, context))


def alike(calibration: Calibration) -> float:
    """Returns the score from which two photos may show one person; infinity without a calibration."""
    known = calibration.templates_supported(SAME_PERSON_FMR)
    return calibration.threshold(1, SAME_PERSON_FMR) if known else math.inf


@contextmanager
def open_worker_context(
    settings: Settings, url: str, models: Models, decoder: Decoder, gallery_server: GalleryServer
) -> Iterator[WorkerContext]:
    """Opens everything that a worker's jobs use, for as long as the context lasts."""
    with ExitStack() as stack:
        policy: Policy = load_policy(settings.policy)
        pool = stack.enter_context(open_pool(url, size=PICTURE_JOBS + DELIVERIES + 5))
        keystore = open_installation(settings, pool)
        rules = MatchingRules(
            anyone=settings.anyone_declaration is not None,
            connected_subjects=partial(connected_subjects, pool),
            has_templates=partial(has_templates, pool),
            note_throttled=partial(note_throttled, pool),
        )
        gallery = stack.enter_context(open_gallery(gallery_server, url, keystore, models, rules))
        heads = TenantHeads(models, settings.threads)
        heads.refresh(settings, pool, keystore)
        stages = Stages(
            decoder=decoder,
            perceive=Batcher(models),
            model_turn=partial(Turns(IN_MODELS[models.safety.net.provider]).turn, 0),
            candidate_count=gallery.candidate_count,
            match=gallery.match,
            heads=heads,
            allow=settings.allow_private,
            alike=alike(models.calibration),
            find_listed=TenantHashLists(pool),
            read=open_reader(settings) or nothing_read,
            live=partial(is_live, models.liveness),
        )
        turns = Turns(PICTURE_JOBS + 1)
        yield WorkerContext(settings, pool, keystore, stages, gallery, Policies(policy), heads, Fetches(), turns)
