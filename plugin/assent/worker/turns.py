"""Limits how many threads of a worker use the models at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from threading import Condition


class Turns:
    """Gives `places` turns at once. Of those who wait the highest priority goes first, then who came first."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[int, int]] = []  # a heap of priorities, negated, and numbers
        self._numbers = count()
        self._changed = Condition()

    @contextmanager
    def turn(self, priority: int) -> Iterator[None]:
        """Waits for a turn, which lasts until the block ends."""
        with self._changed:
            ticket = (-priority, next(self._numbers))
            heappush(self._waiting, ticket)
            self._changed.wait_for(lambda: self._free > 0 and self._waiting[0] == ticket)
            heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()  # the next may have a turn too
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()
