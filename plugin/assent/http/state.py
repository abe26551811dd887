"""Provides what routes share: the open installation, and threads and connections that people's own pages have apart.

Reading all that is stored of a person takes a while. However many people look at once, they keep neither the threads
nor the connections that a platform's webhooks need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import BoundedSemaphore
from typing import Annotated, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from assent.core.settings import Settings
from assent.db.pool import Pool
from assent.http.decision_waiter import Announcements
from assent.http.forms import BigForms
from assent.keys.keystore import Keystore

WorkerRuns = Callable[[], bool]
DELETIONS = 3  # that may wait at a time, each with a connection
PEOPLE = 3  # pages of people at work at a time, each with a thread and a connection
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class AppState:
    """The open installation that the routes work with: settings, database, keys and announcements.

    `people` are the connections of people's own pages. `worker_runs` tells whether the worker that this process started
    runs; None where it starts none. `deletions` counts those that may still begin; `big_forms` reads forms by turns.
    """

    settings: Settings
    pool: Pool
    people: Pool
    keystore: Keystore
    announcements: Announcements
    worker_runs: WorkerRuns | None
    deletions: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(DELETIONS))
    big_forms: BigForms = field(default_factory=BigForms)
    _people_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(PEOPLE))

    async def run_for_person(self, work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
        """Runs work of a person's own page on a thread, PEOPLE at once; who comes later waits without one."""
        return await to_thread.run_sync(partial(work, *arguments, **named), limiter=self._people_threads)


def app_state(request: Request) -> AppState:
    state: AppState = request.app.state.app_state
    return state


App = Annotated[AppState, Depends(app_state)]
