"""Receives webhooks and single images over HTTP, and returns decisions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from assent.core.errors import (
    AssentError,
    BadRequest,
    BodyTooLarge,
    DeliveryConflict,
    Forbidden,
    NotFound,
    PictureNotKept,
    SignatureInvalid,
    SubjectLocked,
    Unauthorized,
)
from assent.core.strict import read_model
from assent.core.telemetry import ACCEPTED
from assent.core.values import Audience, Event, MediaRef
from assent.db.locks import lock_shared_or_busy
from assent.db.pool import fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import Lane
from assent.decisions.assemble import assemble, document_for
from assent.decisions.document import Decision
from assent.decisions.render.redact import redact
from assent.decisions.store import open_retained_copy
from assent.decisions.views import AuthorView, PublicView
from assent.http.forms import read_form
from assent.http.state import MAX_PHOTO, App, AppState, By, error_responses, read_body, refund_address_token, schema_ref
from assent.intake.accept import accept_delivery, live_secrets, store_event
from assent.intake.rejects import UNKNOWN, Rejects
from assent.platforms.event import Alt, Circumstances, EventModel, Name, WebAddress, make_event
from assent.platforms.registry import ADAPTERS

router = APIRouter(prefix="/v1")
_Q = named_queries("intake")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  # as the database has it


class ImageRequest(Circumstances):
    """One image to be decided now. Without `id` it gets one; without `url` its bytes come in the same form."""

    id: Name | None = None
    url: WebAddress | None = None
    alt: Alt | None = None


class _SourceUnknown(SignatureInvalid):
    """An unknown source, answered like a wrong secret so that the names of sources are not disclosed."""


_SIGNED = [
    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": said}
    for name, said in (
        ("webhook-id", "The same for every repetition; at most 256 characters."),
        ("webhook-timestamp", "Unix seconds, at most 5 minutes off."),
        ("webhook-signature", "`v1,<base64 of HMAC-SHA256>`; several may stand side by side."),
    )
]


@router.post(
    "/webhooks/{source}",
    status_code=202,
    tags=["webhooks"],
    responses=error_responses(SignatureInvalid, DeliveryConflict, BodyTooLarge),
    openapi_extra={
        "parameters": _SIGNED,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema_ref(EventModel)}}},
    },
)
async def receive_webhook(
    source: str, request: Request, at: App, lane: Literal["live", "backfill"] = "live"
) -> dict[str, str]:
    """Accepts a signed delivery of `assent.event/1` (Standard Webhooks), and answers once it is stored.

    A repetition of the same id and body gets the same answer and is not processed again.
    """
    rejects: Rejects = request.app.state.rejects
    try:
        body = await read_body(request)
        event = await run_in_threadpool(_receive, at, source, request, body, lane)
    except AssentError as error:
        if error.status < 500:
            rejects.count(UNKNOWN if isinstance(error, _SourceUnknown) else source, error.code)
        raise
    ACCEPTED.labels(source, lane).inc()
    return {"event": str(event)}


def _receive(at: AppState, source: str, request: Request, body: bytes, lane: Lane) -> UUID:
    if not _NAME.fullmatch(source):
        raise _SourceUnknown
    with transaction(at.pool) as conn:
        row = fetch_one(conn, _Q["source"], source=source)
        if row is None:
            raise _SourceUnknown
        keys = at.keystore.tenant(row["tenant"])
        adapter = ADAPTERS[row["adapter"]]
        delivery = adapter.verify(request.headers, body, live_secrets(conn, keys, "source", source))
        refund_address_token(request)
        return accept_delivery(conn, keys, source, delivery, body, adapter.parse(body), lane)


@router.post(
    "/images",
    tags=["pictures"],
    response_model=None,
    responses={
        200: {"model": Decision},
        202: {"description": "Not decided within `wait` seconds; the endpoints receive the decision once it is made."},
        **error_responses(Unauthorized, Forbidden, BodyTooLarge, NotFound, SubjectLocked),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schema_ref(ImageRequest)},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "additionalProperties": False,
                        "properties": {
                            "image": {"type": "string", "format": "binary"},
                            "event": {"type": "string", "description": "The JSON form's fields, without url."},
                        },
                    }
                },
            },
        }
    },
)
async def tag_image(request: Request, at: App, by: By, wait: Annotated[float, Query(ge=0, le=60)] = 20) -> Any:
    """Decides one image ahead of all others, and returns its decision if it is made within `wait` seconds.

    Set `wait` (0 to 60) instead of requesting the decision repeatedly. After that time the answer is 202: the decision
    goes to the endpoints once it is made, and `media` is its address.
    """
    by.must("images:tag")
    said, uploads = await _image_request(request)
    media = MediaRef(said.id or uuid4().hex, said.url, said.alt)
    event = make_event(said, type="media.created", media=(media,))
    event_id = uuid4()
    with at.announcements.expected(by.tenant, str(event_id)) as done:
        await run_in_threadpool(_store_image, at, by.tenant, event_id, event, uploads)
        decided = await at.announcements.wait(done, wait)
    if decided is not None:
        return await run_in_threadpool(_decision, at, by.tenant, media.id)
    place = f"/v1/media/{quote(media.id)}"
    return JSONResponse({"event": str(event_id), "media": place}, 202, headers={"Location": place})


async def _image_request(request: Request) -> tuple[ImageRequest, list[bytes]]:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        fields, files = await read_form(request, MAX_PHOTO, files=("image",), most=1)
        said = read_model(fields.get("event", "{}").encode(), ImageRequest)
        if said.url is not None or not files:
            raise BadRequest("send either the picture's bytes or its url")
        return said, files
    said = read_model(await read_body(request), ImageRequest)
    if said.url is None:
        raise BadRequest("url: send it, or the picture's bytes as multipart/form-data")
    return said, []


def _store_image(at: AppState, tenant: str, event_id: UUID, event: Event, uploads: list[bytes]) -> None:
    with transaction(at.pool) as conn:
        store_event(conn, at.keystore.tenant(tenant), event_id, "api", event, "interactive", uploads)


@router.get(
    "/media/{media_id:path}/redacted",
    tags=["pictures"],
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        **error_responses(Unauthorized, Forbidden, SubjectLocked, PictureNotKept),
    },
)
def read_redacted(media_id: Name, at: App, by: By) -> Response:
    """Returns the image as JPEG, with the face of everybody hidden who did not agree to be named.

    Only images that are kept can be returned.
    """
    by.must("images:tag")
    keys = at.keystore.tenant(by.tenant)
    with transaction(at.pool) as conn:
        # The document first: it keeps the picture from being decided anew before its copy is read.
        decision = assemble(conn, keys, media_id, lock=lock_shared_or_busy)
        kept = open_retained_copy(conn, keys, media_id)
    if kept is None or decision is None:
        raise PictureNotKept("no copy of a picture of that id is kept")
    return Response(redact(kept, decision), media_type="image/jpeg")


@router.get(
    "/media/{media_id:path}",
    tags=["pictures"],
    response_model=None,
    responses={
        200: {"model": Decision | AuthorView | PublicView},
        **error_responses(Unauthorized, Forbidden, NotFound, SubjectLocked),
    },
)
def read_decision(
    media_id: Name,
    at: App,
    by: By,
    audience: Audience = "platform",
    subject: Annotated[Name | None, Query(description="With audience=person: who is tagged.")] = None,
) -> dict[str, Any]:
    """Returns the newest decision on a media item, as the platform, or another audience, may see it now."""
    by.must("images:tag")
    return _decision(at, by.tenant, media_id, audience, subject)


def _decision(
    at: AppState, tenant: str, media_id: str, audience: Audience = "platform", subject: str | None = None
) -> dict[str, Any]:
    if (audience == "person") != (subject is not None):
        raise BadRequest("subject: say it with audience=person, and with no other")
    keys = at.keystore.tenant(tenant)
    with transaction(at.pool) as conn:
        document = document_for(conn, keys, media_id, audience, lock=lock_shared_or_busy, subject=subject)
    if document is None:
        raise NotFound("no decision on a picture of that id")
    return document
