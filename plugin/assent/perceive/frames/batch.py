"""Runs the models on images that wait for them at the same time, in one batch.

The thread that gets the models also takes the images that other threads queued meanwhile, as a database does with
commits. A single image never waits for others.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from assent.core.values import Perception, Picture
from assent.perceive import Models, perceive

MAX_IMAGES = 8


@dataclass(slots=True, eq=False)
class _Ticket:
    picture: Picture
    compare: bool
    perception: Perception | None = None


class Batcher:
    """Shares the models among the threads of one worker."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._gate = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Ticket] = []

    def __call__(self, picture: Picture, compare: bool) -> Perception:
        """Returns the image's perception; `compare`: whether its faces are embedded. Raises as `perceive` does."""
        ticket = _Ticket(picture, compare)
        with self._gate:
            self._waiting.append(ticket)
        with self._turn:
            return ticket.perception or self._run(ticket)

    def _run(self, ticket: _Ticket) -> Perception:
        batch = self._take(ticket)
        try:
            perceptions = perceive(self._models, [t.picture for t in batch], embed=ticket.compare)
        except Exception:
            if len(batch) == 1:
                raise
            # It may be another image's error, of whatever kind: each of the batch now goes through alone.
            perceptions = perceive(self._models, [ticket.picture], embed=ticket.compare)
        else:
            for served, perception in zip(batch, perceptions, strict=True):
                served.perception = perception
        return perceptions[0]

    def _take(self, ticket: _Ticket) -> list[_Ticket]:
        with self._gate:
            if ticket not in self._waiting:
                return [ticket]  # the batch it was taken into failed: now it runs alone, and answers for itself
            others = [t for t in self._waiting if t is not ticket and t.compare == ticket.compare]
            batch = [ticket, *others[: MAX_IMAGES - 1]]
            self._waiting = [t for t in self._waiting if t not in batch]
            return batch
