"""Provides what routes share: the open installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import Depends, Request

from assent.core.settings import Settings
from assent.db.pool import Pool
from assent.http.decision_waiter import Announcements
from assent.keys.keystore import Keystore

WorkerRuns = Callable[[], bool]
DELETIONS = 3  # that may wait at a time, each with a connection


@dataclass(frozen=True, slots=True, eq=False)
class AppState:
    """The open installation that the routes work with: settings, database, keys and announcements.

    `worker_runs` tells whether the worker that this process started runs; None where it starts none. `deletions` counts
    those that may still begin.
    """

    settings: Settings
    pool: Pool
    keystore: Keystore
    announcements: Announcements
    worker_runs: WorkerRuns | None
    deletions: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(DELETIONS))


def app_state(request: Request) -> AppState:
    state: AppState = request.app.state.app_state
    return state


App = Annotated[AppState, Depends(app_state)]
