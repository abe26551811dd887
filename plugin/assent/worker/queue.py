"""Defines the queue's tasks and connections: which job runs what, when it is tried again, on which threads."""

from __future__ import annotations

import asyncio
import random
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
from assent.core.telemetry import log
from assent.db.pool import IDLE_LIMIT, LOST
from assent.db.queue import OUTBOX, PICTURES, READ_CLOCK
from assent.decisions.retract import retract
from assent.outbox.endpoint_concurrency import EndpointConcurrency
from assent.worker.jobs import (
    FETCH_RETRY_SECONDS,
    WorkerContext,
    decide_event,
    deliver_message,
    enrol_job,
    postpone_message,
)

DELIVERIES = 16  # under way at once


class JobRetry(BaseRetryStrategy):
    """Decides when a failed job runs again.

    A fetch runs again by `FETCH_RETRY_SECONDS`, everything else soon and then every minute, for as long as an outage
    lasts, spread over a second. `MAX_TRIES` of the jobs ends a fetch that never succeeds, and an event that itself
    takes the worker down.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        seconds = min(2 ** min(job.attempts, 6), 60) + random.random()  # noqa: S311 - spread, not a secret
        if isinstance(exception, FetchFailed):
            seconds = FETCH_RETRY_SECONDS[min(job.attempts, len(FETCH_RETRY_SECONDS) - 1)]
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=seconds))


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
        super().__init__(conninfo=url, min_size=1, max_size=6, timeout=10, configure=_limit_idle)
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

    @app.task(name="decide", queue=PICTURES, retry=JobRetry())
    async def decide(tenant: str, event: str) -> None:
        await asyncio.to_thread(decide_event, context, tenant, UUID(event))

    @app.task(name="enrol", queue=PICTURES, retry=JobRetry())
    async def enrol_photos(tenant: str, event: str) -> None:
        await asyncio.to_thread(enrol_job, context, tenant, UUID(event))

    @app.task(name="retract", queue=PICTURES, retry=JobRetry(), pass_context=True)
    async def retract_matches(job_context: procrastinate.JobContext, tenant: str, pid: str, erasure: str = "") -> None:
        if pid:  # else it was done
            erasure_id, keys = UUID(erasure) if erasure else None, context.keystore.tenant(tenant)
            await asyncio.to_thread(retract, context.pool, keys, bytes.fromhex(pid), erasure_id, job_context.job.id)

    # Threads of their own: asyncio's few are shared by everything else here, and an endpoint may hold one for 15 s.
    endpoints, threads = EndpointConcurrency(), ThreadPoolExecutor(DELIVERIES, "deliver")

    @app.task(name="deliver", queue=OUTBOX, retry=JobRetry())
    async def send(tenant: str, endpoint: str, message: str) -> None:
        async with endpoints.slot(tenant, endpoint) as free:
            work = deliver_message if free else postpone_message
            await asyncio.get_running_loop().run_in_executor(threads, work, context, tenant, UUID(message))

    return app
