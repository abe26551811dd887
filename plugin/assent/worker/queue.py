"""Defines the queue's tasks and connections: which job runs what, when it is tried again, on which threads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import procrastinate
import psycopg
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from psycopg.errors import RaiseException

from assent.core.errors import FetchFailed
from assent.core.host_errors import MatchingUnavailable
from assent.core.telemetry import log
from assent.db.pool import IDLE_LIMIT, LOST
from assent.db.queue import ENROLMENTS, OUTBOX, PICTURES, READ_CLOCK, RIGHTS, SLOW
from assent.outbox.endpoint_concurrency import EndpointConcurrency
from assent.worker.fair_jobs import FairJobs
from assent.worker.fetching import PLACES, HostSlow
from assent.worker.jobs import (
    FETCH_RETRY_SECONDS,
    WorkerContext,
    act_job,
    decide_event,
    deliver_message,
    enrol_job,
    postpone_act,
    postpone_message,
    retract_job,
)
from assent.worker.missed import match_missed
from assent.worker.turns import Turns

DELIVERIES = 16  # under way at once
# Taken from each queue at once. Deliveries beyond DELIVERIES wait for a slot of their endpoint, or a turn. An enrolment
# has two turns with the models at most; retractions need none.
JOBS = {**PLACES, ENROLMENTS: 1, RIGHTS: 3, OUTBOX: 64}
UNMATCHED_SECONDS = 3600.0  # what waits for a gallery is released before, by the worker that has one
MOST_STRIKES = 40  # that count, fewer than the priorities of two lanes lie apart


class JobRetry(BaseRetryStrategy):
    """Decides when a failed job runs again.

    A fetch runs again by `FETCH_RETRY_SECONDS`, everything else soon and then every minute, for as long as an outage
    lasts, spread over a second. `MAX_TRIES` of the jobs ends a fetch that never succeeds, and an event that itself
    takes the worker down. Where a host drips, the job goes on in SLOW at once, behind those of hosts that drip less.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        seconds = min(2 ** min(job.attempts, 6), 60) + random.random()  # noqa: S311 - spread, not a secret
        if isinstance(exception, HostSlow):
            seconds = _after_fetch(job) if exception.failed else 0
            priority = job.priority - min(exception.strikes, MOST_STRIKES)
            return RetryDecision(retry_at=_in(seconds), queue=SLOW, priority=priority)
        if isinstance(exception, MatchingUnavailable):
            return RetryDecision(retry_at=_in(UNMATCHED_SECONDS))
        if isinstance(exception, FetchFailed):
            seconds = _after_fetch(job)
        return RetryDecision(retry_at=_in(seconds))


def _after_fetch(job: Job) -> float:
    fetches = job.attempts - (job.queue == SLOW)  # on its way there it was not fetched in vain
    return FETCH_RETRY_SECONDS[min(fetches, len(FETCH_RETRY_SECONDS) - 1)]


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def _limit_idle(conn: psycopg.AsyncConnection) -> None:
    await conn.execute(IDLE_LIMIT)
    await conn.commit()


class _Connector(procrastinate.PsycopgConnector):
    """The queue's own connections.

    A statement that failed with its connection may have been a job's end: such a job would stay begun as long as this
    worker lives. So `failed` ends the queue's worker, and its lease frees the job. The end of a job that another worker
    took over and ended, which the queue's functions refuse, is no error. A job's next time, which comes by this host's
    clock, is stored by the database's, which judges it.
    """

    def __init__(self, url: str, failed: asyncio.Event) -> None:
        super().__init__(conninfo=url, min_size=1, max_size=8, timeout=10, configure=_limit_idle)
        self._failed = failed

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        try:
            if "retry_at" in arguments:
                row = await self.execute_query_one_async(READ_CLOCK)
                arguments["retry_at"] += row["now"] - datetime.now(UTC)
            await super().execute_query_async(query, **arguments)
        except ConnectorException as error:
            if isinstance(error.__cause__, RaiseException):
                log.warning("job ended elsewhere", job=arguments.get("job_id"))
                return
            if isinstance(error.__cause__, LOST):
                self._failed.set()
            raise


def queue_app(url: str, context: WorkerContext, failed: asyncio.Event | None = None) -> procrastinate.App:
    """Returns the queue's tasks, bound to this worker's context. Job arguments are ids only.

    `failed` is set when the end of a job could not be written.
    """
    app = procrastinate.App(connector=_Connector(url, failed or asyncio.Event()))
    app.job_manager = FairJobs(app.connector, JOBS)

    # Threads of their own: asyncio's few are shared by everything else here, an endpoint may hold one for 15 s, and a
    # picture's host as long as it drips.
    endpoints, turns = EndpointConcurrency(), Turns(DELIVERIES)
    threads = ThreadPoolExecutor(JOBS[OUTBOX], "deliver")
    events = ThreadPoolExecutor(sum(JOBS.values()) - JOBS[OUTBOX], "event")

    def in_turn(work: Callable[[WorkerContext, str, UUID], None], tenant: str, message: UUID) -> None:
        with turns.turn(0, tenant):
            work(context, tenant, message)

    async def run(work: Callable[..., None], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(events, work, context, *arguments)

    @app.task(name="decide", queue=PICTURES, retry=JobRetry(), pass_context=True)
    async def decide(job_context: procrastinate.JobContext, tenant: str, event: str) -> None:
        await run(decide_event, tenant, UUID(event), job_context.job.queue)

    @app.task(name="match", queue=PICTURES, retry=JobRetry(), pass_context=True)
    async def match_later(
        job_context: procrastinate.JobContext,
        tenant: str,
        event: str,
        media: str,  # noqa: ARG001 - a deletion finds the job by it
    ) -> None:
        await run(match_missed, tenant, UUID(event), job_context.job.queue)

    @app.task(name="enrol", queue=ENROLMENTS, retry=JobRetry())
    async def enrol_photos(tenant: str, event: str) -> None:
        await run(enrol_job, tenant, UUID(event))

    @app.task(name="retract", queue=RIGHTS, retry=JobRetry(), pass_context=True)
    async def retract_matches(
        job_context: procrastinate.JobContext, tenant: str, sealed: str = "", erasure: str = "", pid: str = ""
    ) -> None:
        args = {"sealed": sealed, "erasure": erasure, "pid": pid}  # the last of a job of before they were sealed
        await run(retract_job, tenant, args, job_context.job.id)

    @app.task(name="deliver", queue=OUTBOX, retry=JobRetry())
    async def send(tenant: str, endpoint: str, message: str) -> None:
        async with endpoints.slot(tenant, endpoint) as free:
            work = deliver_message if free else postpone_message
            await asyncio.get_running_loop().run_in_executor(threads, in_turn, work, tenant, UUID(message))

    @app.task(name="act", queue=OUTBOX, retry=JobRetry())
    async def act(tenant: str, source: str, action: str) -> None:
        async with endpoints.slot(tenant, f"platform:{source}") as free:  # no endpoint has such a name
            work = act_job if free else postpone_act
            await asyncio.get_running_loop().run_in_executor(threads, in_turn, work, tenant, UUID(action))

    return app
