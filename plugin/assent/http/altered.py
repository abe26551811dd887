"""Notes in the audit log that a request met a row that was altered."""

from __future__ import annotations

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from assent.audit.broken import ALTERED, note_altered_row
from assent.core.errors import AssentError
from assent.core.telemetry import log
from assent.http.state import AppState, app_state

TENANT = "assent.tenant"  # in a request's scope, as soon as it is known whose rows are read


async def note_altered(request: Request, error: Exception) -> None:
    """Notes an error that an altered row was the reason of, by the route that read it; others are passed over.

    Where that is not possible either, the request's own error is answered all the same.
    """
    tenant = getattr(error, "tenant", None) or request.scope.get(TENANT)
    if isinstance(error, ALTERED) and tenant is not None:
        await run_in_threadpool(_note, app_state(request), tenant, request.scope["route"].path, error.code)


def _note(state: AppState, tenant: str, route: str, code: str) -> None:
    log.error("a stored row was altered", tenant=tenant, route=route, code=code)
    try:
        note_altered_row(state.pool, state.keystore.tenant(tenant), route)
    except AssentError as error:
        log.error("altered row not noted", tenant=tenant, route=route, code=error.code)
