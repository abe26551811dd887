"""Limits the deliveries under way to each endpoint in one worker, so that one without an answer holds up no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PLACES = 4  # attempts under way at once to one endpoint
PATIENCE = 0.5  # seconds without any movement in a full lane after which it takes nobody in


class Lanes:
    """Holds one lane of places for each endpoint. For one event loop."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], _Lane] = {}

    @asynccontextmanager
    async def place(self, tenant: str, endpoint: str) -> AsyncIterator[bool]:
        """Yields whether there is a place, which is taken until the block ends. Waits as long as the lane moves."""
        key = (tenant, endpoint)
        lane = self._lanes.setdefault(key, _Lane())
        lane.guests += 1
        try:
            entered = await lane.enter()
            try:
                yield entered
            finally:
                if entered:
                    lane.free.release()
        finally:
            lane.guests -= 1
            if not lane.guests:
                del self._lanes[key]


class _Lane:
    def __init__(self) -> None:
        self.free = asyncio.Semaphore(PLACES)
        self.guests = 0  # in a place or waiting for one
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
