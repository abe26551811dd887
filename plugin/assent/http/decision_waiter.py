"""Requests that wait for a job: one LISTEN connection for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from assent.core.telemetry import log

CHANNEL = "assent_done"


class Announcements:
    """Hears which jobs are done and wakes who waits for them; what nobody waits for passes by."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: dict[str, asyncio.Future[str]] = {}

    @contextmanager
    def expected(self, tenant: str, job: str) -> Iterator[asyncio.Future[str]]:
        """To be entered before the job is stored, so that its end cannot be missed."""
        name, future = f"{tenant} {job}", asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        try:
            yield future
        finally:
            del self._waiting[name]

    async def wait(self, future: asyncio.Future[str], seconds: float) -> str | None:
        """What was said at the job's end (may be empty), or None when it did not end in time."""
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return None

    async def listen(self) -> None:
        """Runs until cancelled. While the database is away, those who wait are answered by their time-out."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as conn:
                    await conn.execute(f"LISTEN {CHANNEL}")
                    async for note in conn.notifies():
                        self._hear(note.payload)
            except psycopg.OperationalError:
                log.warning("database away; listening again in a second")
                await asyncio.sleep(1)

    def _hear(self, payload: str) -> None:
        tenant, job, *said = payload.split(" ", 2)
        future = self._waiting.get(f"{tenant} {job}")
        if future is not None and not future.done():
            future.set_result(said[0] if said else "")
