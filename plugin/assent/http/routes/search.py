"""Finds media items over HTTP: by label, action, time and likeness, never by person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from assent.core.clock import parse_rfc3339
from assent.core.errors import BadRequest, Forbidden, LabelUnknown, Unauthorized
from assent.core.values import ActionName
from assent.db.pool import transaction
from assent.decisions.search import MOST, Search, search_media
from assent.http.auth import By
from assent.http.problems import error_responses
from assent.http.state import App

router = APIRouter(prefix="/v1")
PARAMETERS = {"label", "action", "since", "until", "pdq", "cursor", "limit"}
_Labels = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]],
    Query(max_length=10, description="A label or a group of labels. Repeated: all of them."),
]
_Time = Annotated[str | None, Query(max_length=40, description="RFC 3339, with an offset.")]


@router.get("/media", tags=["pictures"], responses=error_responses(Unauthorized, Forbidden, LabelUnknown))
def find_media(
    request: Request,
    state: App,
    by: By,
    label: _Labels = [],  # noqa: B006 - FastAPI copies it
    action: ActionName | None = None,
    since: _Time = None,
    until: _Time = None,
    pdq: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Within 31 bits of this PDQ hash, in hex.")
    ] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
) -> dict[str, Any]:
    """Finds media items by what the platform reads in their newest decisions.

    The newest come first; with `pdq` the nearest, each with its `distance` in bits. With several labels a page may hold
    fewer than `limit`, or none, and have a `next`. `complete` is false while decisions from before an upgrade are still
    being added.
    """
    by.must("images:tag")
    for name in request.query_params:
        if name not in PARAMETERS:
            raise BadRequest(f"{name[:40]}: no parameter of a search")
    search = Search(tuple(label), action, _time("since", since), _time("until", until), pdq)
    with transaction(state.pool) as conn:
        return search_media(conn, state.keystore.tenant(by.tenant), search, limit, cursor).document()


def _time(name: str, text: str | None) -> datetime | None:
    """Reads a time. Raises BadRequest for one without an offset, or none."""
    if text is None:
        return None
    try:
        at = parse_rfc3339(text)
        at.timestamp()
    except (ValueError, OverflowError):
        raise BadRequest(f"{name}: not a time as RFC 3339 writes it") from None
    if at.tzinfo is None:
        raise BadRequest(f"{name}: a time without an offset from UTC")
    return at
