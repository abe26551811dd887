"""Authenticates the caller of a route by its API key, and counts the requests of each key."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from assent.audit.broken import note_altered_row
from assent.core.errors import Unauthorized
from assent.db.pool import transaction
from assent.http.altered import TENANT
from assent.http.api_keys import Caller, KeyAltered, authenticate
from assent.http.limits import ADDRESS, RateLimiter
from assent.http.state import App

_BEARER = HTTPBearer(auto_error=False, scheme_name="api-key", description="From `assent init`.")


def caller(
    request: Request,
    state: App,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Caller:
    """Returns the caller. Raises Unauthorized, or RateLimited when this key sends too many requests."""
    if credentials is None:
        raise Unauthorized
    try:
        with transaction(state.pool) as conn:
            by = authenticate(conn, state.keystore, credentials.credentials)
    except KeyAltered as error:
        note_altered_row(state.pool, state.keystore.tenant(error.tenant), "api_key")
        raise
    request.scope[TENANT] = by.tenant
    refund_address_token(request)
    limits: RateLimiter = request.app.state.limits
    limits.consume("key", f"{by.tenant}/{by.key_id}")
    return by


By = Annotated[Caller, Depends(caller)]


def refund_address_token(request: Request) -> None:
    """Returns the token that an authentic request took from its address's bucket."""
    limits: RateLimiter = request.app.state.limits
    limits.refund("address", request.scope[ADDRESS])
