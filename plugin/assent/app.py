"""Builds the HTTP application: its routes, the resources open while it runs, and its error handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from assent import __version__
from assent.audit.authority import open_installation
from assent.console.routes import CONSOLE_ROUTERS
from assent.core.errors import AssentError
from assent.core.settings import Settings
from assent.db.pool import open_pool
from assent.http import address
from assent.http.decision_waiter import Announcements
from assent.http.guard import Guard
from assent.http.limits import RateLimiter
from assent.http.openapi import Documented
from assent.http.problems import assent_problem, http_problem, validation_problem
from assent.http.routes.audit import router as audit
from assent.http.routes.intake import router as intake
from assent.http.routes.operation import router as operation
from assent.http.routes.review import router as review
from assent.http.routes.rights import router as rights
from assent.http.routes.search import router as search
from assent.http.routes.subjects import router as subjects
from assent.http.state import PEOPLE, AppState, WorkerRuns
from assent.intake.rejects import Rejects
from assent.me.public import router as me_public
from assent.me.routes import router as me

POOL = 12
ROUTERS = (intake, subjects, rights, search, review, audit, me_public, me, operation)
DESCRIPTION = """`HEAD` answers as `GET` does, without the body. An address with a slash too many is not found: nothing
is redirected. A body is sent as it is, without `Content-Encoding`."""


def create_app(settings: Settings, url: str, worker_runs: WorkerRuns | None = None) -> FastAPI:
    """Returns the application on the database at `url`, which must be initialised; `worker_runs` is `AppState`'s."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = await asyncio.to_thread(open_pool, url, size=POOL)
        people = await asyncio.to_thread(open_pool, url, size=PEOPLE)
        keystore = await asyncio.to_thread(open_installation, settings, pool)
        announcements = Announcements(url)
        app.state.rejects = rejects = Rejects()
        app.state.app_state = AppState(settings, pool, people, keystore, announcements, worker_runs)
        tasks = [
            asyncio.create_task(announcements.listen()),
            asyncio.create_task(rejects.keep_writing(pool, keystore)),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(rejects.write, pool, keystore)
        await asyncio.to_thread(pool.close)
        await asyncio.to_thread(people.close)

    # No interactive documentation: its pages would load scripts from a third-party host.
    # Nor a redirect to a path with or without a slash at its end: that would be another id, and behind a proxy with TLS
    # it would lead to http://, with the body left behind.
    app = Documented(
        title="Assent",
        version=__version__,
        description=f"{address.EXPLAINED}\n\n{DESCRIPTION}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # As they are: `include_router` would build each of them anew when it is first asked.
        routes=[route for router in (*ROUTERS, *CONSOLE_ROUTERS) for route in router.routes],
    )
    app.state.limits = RateLimiter()
    app.add_middleware(Guard)
    app.add_exception_handler(Exception, assent_problem)
    app.add_exception_handler(AssentError, assent_problem)
    app.add_exception_handler(HTTPException, http_problem)
    app.add_exception_handler(RequestValidationError, validation_problem)
    return app
