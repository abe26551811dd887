"""Lets requests wait for a job: one LISTEN connection for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from assent.core.telemetry import log
from assent.db.channels import DONE_CHANNEL

ENROLMENT_WAIT_SECONDS = 30.0  # how long the answer to photos waits for the worker


class Announcements:
    """Receives the announcements of ended jobs and wakes the requests that wait for them; others are ignored."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: dict[str, asyncio.Future[str]] = {}

    @contextmanager
    def expected(self, tenant: str, job: str) -> Iterator[asyncio.Future[str]]:
        """Yields a future for the job's end; enter it before the job is stored, so that its end is not missed."""
        name, future = f"{tenant} {job}", asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        try:
            yield future
        finally:
            del self._waiting[name]

    async def wait(self, future: asyncio.Future[str], seconds: float) -> str | None:
        """Returns the job's outcome (may be empty), or None when the job did not end in time."""
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return None

    async def listen(self) -> None:
        """Listens until cancelled.

        While the database is away, waiting requests are answered when their time is over.
        """
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as conn:
                    await conn.execute(f"LISTEN {DONE_CHANNEL}")
                    async for note in conn.notifies():
                        self._hear(note.payload)
            except psycopg.OperationalError:
                log.warning("database away; listening again in a second")
                await asyncio.sleep(1)

    def _hear(self, payload: str) -> None:
        tenant, job, *outcome = payload.split(" ", 2)
        future = self._waiting.get(f"{tenant} {job}")
        if future is not None and not future.done():
            future.set_result(outcome[0] if outcome else "")
