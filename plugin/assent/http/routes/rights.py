"""Serves a person's rights over HTTP: erasure, export of all stored data, and a link to their own page."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from assent.core.clock import rfc3339
from assent.core.errors import BodyTooLarge, Forbidden, NotFound, Unauthorized
from assent.core.strict import read_model
from assent.db.pool import transaction
from assent.db.queue import database_time
from assent.http.address import by_name
from assent.http.api_keys import Caller
from assent.http.auth import By
from assent.http.body import read_body
from assent.http.problems import error_responses, schema_ref
from assent.http.state import App, AppState
from assent.keys.pseudonym import derive_pseudonym
from assent.platforms.event import Ref, StoredId
from assent.subjects import links
from assent.subjects.access import export_for, record_access
from assent.subjects.consent import check_form
from assent.subjects.erase import Erasure, erase, receipt

router = APIRouter(prefix="/v1", tags=["people"])
_PRIVATE = {"Cache-Control": "no-store"}


class LinkRequest(BaseModel):
    """The number of days for which a link to a person's own page is valid."""

    model_config = ConfigDict(extra="forbid", strict=True)

    valid_days: Annotated[int, Field(ge=1, le=links.MOST_LINK_DAYS)] = links.LINK_DAYS


@by_name(router, "DELETE", "/subjects/{ref:name}", status_code=202, responses=error_responses(Unauthorized, Forbidden))
def erase_subject(ref: StoredId, state: App, by: By) -> JSONResponse:
    """Erases the person, known or not: from this answer on nobody is matched with them.

    `receipt` is the token for `/v1/erasures/{token}`; the keys that old copies would need are destroyed by
    `rotation_by`.
    """
    by.must("subjects:delete")
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.pool) as conn:
        check_form(conn, keys, ref)
        erasure: Erasure = erase(conn, keys, ref)
    answer = {"receipt": erasure.token, "rotation_by": rfc3339(erasure.rotation_by)}
    return JSONResponse(answer, 202, headers=_PRIVATE)


@router.get(
    "/erasures/{token}",
    responses={
        202: {"description": "The tags are being retracted, or the keys not yet destroyed; `rotation_by` says when."},
        **error_responses(NotFound),
    },
)
def read_receipt(token: Annotated[str, Path(max_length=256)], state: App) -> JSONResponse:
    """Returns the signed receipt of an erasure to anybody who has its token: no API key is needed.

    `assent audit verify-receipt` checks it offline.
    """
    with transaction(state.pool) as conn:
        document = receipt(conn, None, token)
    if document is None:
        raise NotFound("no erasure has this token")
    return JSONResponse(document, 202 if document.get("state") == "pending" else 200, headers=_PRIVATE)


@by_name(
    router,
    "GET",
    "/subjects/{ref:name}/export",
    responses=error_responses(Unauthorized, Forbidden, NotFound),
)
async def get_export(ref: StoredId, state: App, by: By) -> JSONResponse:
    """Returns all that is stored about the person, opened; `unreadable` and `unattributed` count what it lacks.

    It is for them only. The templates' vectors come with the scope subjects:export; the log records who asked.
    """
    by.must("subjects:write")
    return await state.run_for_person(_export, state, by, ref)


def _export(state: AppState, by: Caller, ref: str) -> JSONResponse:
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.people) as conn:
        check_form(conn, keys, ref)
        document = export_for(conn, keys, ref, f"key {by.key_id}", "subjects:export" in by.scopes)
    return JSONResponse(document, headers=_PRIVATE)


@by_name(
    router,
    "POST",
    "/subjects/{ref:name}/links",
    status_code=201,
    responses=error_responses(Unauthorized, Forbidden, BodyTooLarge),
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": schema_ref(LinkRequest)}}}},
)
async def mint_link(ref: Ref, request: Request, response: Response, state: App, by: By) -> dict[str, str]:
    """Creates a link to the person's own page, for the platform to hand to them alone.

    One visit spends it.
    """
    by.must("subjects:write")
    response.headers.update(_PRIVATE)
    sent = read_model(await read_body(request) or b"{}", LinkRequest)
    return await run_in_threadpool(_mint, state, by, ref, timedelta(days=sent.valid_days))


def _mint(state: AppState, by: Caller, ref: str, valid_for: timedelta) -> dict[str, Any]:
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.pool) as conn:
        token = links.mint(conn, keys, ref, valid_for)
        expires_at = database_time(conn) + valid_for
        record_access(conn, keys, "link.made", f"key {by.key_id}", [derive_pseudonym(keys, ref)])
    return {"url": f"/me/{token}", "expires_at": rfc3339(expires_at)}


@by_name(
    router,
    "DELETE",
    "/subjects/{ref:name}/links",
    status_code=204,
    responses=error_responses(Unauthorized, Forbidden),
)
def end_links(ref: StoredId, state: App, by: By) -> Response:
    """Ends all links to the person's own page, and every visit that is open, whether there are any or none."""
    by.must("subjects:write")
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.pool) as conn:
        check_form(conn, keys, ref)
        pseudonym = derive_pseudonym(keys, ref)
        links.end_all(conn, keys, pseudonym)
        record_access(conn, keys, "links.ended", f"key {by.key_id}", [pseudonym])
    return Response(status_code=204)
