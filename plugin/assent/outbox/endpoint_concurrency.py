"""Limits the deliveries under way to each endpoint in one worker, so that one without an answer holds up no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SLOTS = 4  # attempts under way at once to one endpoint
PATIENCE = 0.5  # seconds without a freed slot after which nobody waits for one any longer


class EndpointConcurrency:
    """Holds the slots of each endpoint. For one event loop."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str, str], _Slots] = {}

    @asynccontextmanager
    async def slot(self, tenant: str, endpoint: str) -> AsyncIterator[bool]:
        """Yields whether there is a slot, which is taken until the block ends. Waits as long as others become free."""
        key = (tenant, endpoint)
        slots = self._endpoints.setdefault(key, _Slots())
        slots.users += 1
        try:
            entered = await slots.enter()
            try:
                yield entered
            finally:
                if entered:
                    slots.free.release()
        finally:
            slots.users -= 1
            if not slots.users:
                del self._endpoints[key]


class _Slots:
    def __init__(self) -> None:
        self.free = asyncio.Semaphore(SLOTS)
        self.users = 0  # in a slot or waiting for one
        self._moved = time.monotonic()

    async def enter(self) -> bool:
        while True:
            patience = self._moved + PATIENCE - time.monotonic()
            if self.free.locked() and patience <= 0:
                return False
            try:
                async with asyncio.timeout(max(patience, 0.001)):
                    await self.free.acquire()
            except TimeoutError:
                continue
            self._moved = time.monotonic()
            return True
