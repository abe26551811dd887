"""Receives webhooks and single images over HTTP, and returns decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

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
from assent.core.media_errors import DeletionsWait, MediaAmbiguous
from assent.core.names import ENTITY_NAME, OWN_SOURCES
from assent.core.strict import read_model
from assent.core.telemetry import ACCEPTED, IGNORED, log
from assent.core.values import Audience, Event, MediaRef
from assent.db.locks import lock_shared_or_busy
from assent.db.pool import execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import Lane
from assent.decisions.assemble import Recipient, assemble_for, assemble_to_draw
from assent.decisions.document import Decision
from assent.decisions.media_items import find_item
from assent.decisions.render.redact import redact
from assent.decisions.store import open_retained_copy
from assent.decisions.views import AudienceDocument, document_json
from assent.http.address import by_name
from assent.http.altered import TENANT
from assent.http.api_keys import must_match
from assent.http.auth import By, refund_address_token
from assent.http.body import MAX_BODY, read_body
from assent.http.forms import read_form
from assent.http.problems import error_responses, header_parameters, schema_ref
from assent.http.state import App, AppState
from assent.intake.accept import Origin, live_secrets, store_event
from assent.intake.posts import compare_post, store_delivery
from assent.intake.rejects import UNKNOWN, Rejects
from assent.intake.sources import open_source_settings
from assent.media.files import MAX_IMAGE_BYTES
from assent.platforms.delivery import MISTAKES, Ignored, IgnoreReason
from assent.platforms.event import Alt, Circumstances, EventModel, Name, Ref, WebAddress, make_event
from assent.platforms.registry import ADAPTERS
from assent.platforms.standard_webhooks import SIGNED_HEADERS

router = APIRouter(prefix="/v1")
IMAGES, _ = OWN_SOURCES
DELETION_PATIENCE_S = 0.5
_Q, _WANT_TOPIC = named_queries("intake"), named_queries("post_reading")["want_topic"]


SourceQuery = Annotated[
    str | None,
    Query(pattern=f"^{ENTITY_NAME}$", description="Whose media item, where several sources have one of that id."),
]


class ImageRequest(Circumstances):
    """One image to be decided now. Without `id` it gets one; without `url` its bytes come in the same form."""

    id: Name | None = None
    url: WebAddress | None = None
    alt: Alt | None = None


class StoredEvent(BaseModel):
    """The answer to a delivery whose event is stored."""

    event: UUID


class IgnoredDelivery(BaseModel):
    """The answer to a delivery of a platform's own form that concerns us not: it is not sent again."""

    ignored: IgnoreReason


class _SourceUnknown(SignatureInvalid):
    """An unknown source, answered like a wrong secret so that the names of sources are not disclosed."""


@router.post(
    "/webhooks/{source}",
    status_code=202,
    tags=["webhooks"],
    responses=error_responses(SignatureInvalid, DeliveryConflict, BodyTooLarge, DeletionsWait),
    openapi_extra={
        "parameters": header_parameters(SIGNED_HEADERS),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema_ref(EventModel)}}},
    },
)
async def receive_webhook(
    source: str, request: Request, state: App, lane: Literal["live", "backfill"] = "live"
) -> StoredEvent | IgnoredDelivery:
    """Accepts a signed delivery of `assent.event/1` (Standard Webhooks), and answers once it is stored.

    A repetition of the same id and body gets the same answer and is not processed again. A source of Mastodon or
    Discourse is sent what these send; what concerns us not is answered with the reason, as `ignored`.
    """
    rejects: Rejects = request.app.state.rejects
    try:
        body = await read_body(request, await _body_limit(state, source, request))
        event = await run_in_threadpool(_receive, state, source, request, body, lane)
    except AssentError as error:
        if error.status < 500:
            rejects.count(UNKNOWN if isinstance(error, _SourceUnknown) else source, error.code)
        raise
    if isinstance(event, Ignored):
        return IgnoredDelivery(ignored=event.reason)
    ACCEPTED.labels(source, lane).inc()
    return StoredEvent(event=event)


async def _body_limit(state: AppState, source: str, request: Request) -> int:
    """Returns how many bytes the source may send; only a body that announces more than MAX_BODY is looked up for."""
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal() or int(announced[:20]) <= MAX_BODY or not re.fullmatch(ENTITY_NAME, source):
        return MAX_BODY
    return await run_in_threadpool(_max_body, state, source)


def _max_body(state: AppState, source: str) -> int:
    with transaction(state.pool) as conn:
        row = fetch_one(conn, _Q["read_source"], source=source)
    return ADAPTERS[row["adapter"]].max_body if row else MAX_BODY


def _receive(state: AppState, source: str, request: Request, body: bytes, lane: Lane) -> UUID | Ignored:
    if not re.fullmatch(ENTITY_NAME, source):
        raise _SourceUnknown
    with transaction(state.pool) as conn:
        row = fetch_one(conn, _Q["read_source"], source=source)
        if row is None:
            raise _SourceUnknown
        request.scope[TENANT] = row["tenant"]
        keys = state.keystore.tenant(row["tenant"])
        adapter = ADAPTERS[row["adapter"]]
        adapter.verify(request.headers, body, live_secrets(conn, keys, "source", source))
        refund_address_token(request)
        parsed = adapter.parse(request.headers, body, open_source_settings(keys, row))
        if isinstance(parsed, Ignored):
            if parsed.topic:
                execute(conn, _WANT_TOPIC, tenant=keys.tenant, source=source, topic=parsed.topic)
            _note_ignored(source, parsed)
            return parsed
        change = compare_post(conn, keys.tenant, source, parsed)
        with _few_deletions(state, parsed.deletes or bool(change.dropped)):
            outcome = store_delivery(conn, keys, Origin(source, lane), parsed, change)
    if isinstance(outcome, Ignored):
        _note_ignored(source, outcome)
    if parsed.left_out:
        _note_ignored(source, Ignored("too_many_media"))
    return outcome


def _note_ignored(source: str, ignored: Ignored) -> None:
    IGNORED.labels(source, ignored.reason).inc()
    if ignored.reason in MISTAKES:
        log.warning("webhook ignored", source=source, reason=ignored.reason)


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
async def tag_image(request: Request, state: App, by: By, wait: Annotated[float, Query(ge=0, le=60)] = 20) -> Any:
    """Decides one image ahead of all others, and returns its decision if it is made within `wait` seconds.

    Set `wait` (0 to 60) instead of requesting the decision repeatedly. After that time the answer is 202: the decision
    goes to the endpoints once it is made, and `media` is its address. `author` and `connections` need scope
    `images:match` as well.
    """
    by.must("images:tag")
    sent, uploads = await _image_request(request)
    if sent.author is not None or sent.connections:
        await run_in_threadpool(must_match, state.pool, by)
    media = MediaRef(sent.id or uuid4().hex, sent.url, sent.alt)
    event = make_event(sent, type="media.created", media=(media,))
    event_id = uuid4()
    with state.announcements.expected(by.tenant, str(event_id)) as done:
        await run_in_threadpool(_store_image, state, by.tenant, event_id, event, uploads)
        decided = await state.announcements.wait(done, wait)
    if decided is not None:
        return await run_in_threadpool(_decision, state, by.tenant, media.id, IMAGES)
    address = f"/v1/media/{quote(media.id, safe='')}?source={IMAGES}"
    return JSONResponse({"event": str(event_id), "media": address}, 202, headers={"Location": address})


async def _image_request(request: Request) -> tuple[ImageRequest, list[bytes]]:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        fields, files = await read_form(request, MAX_IMAGE_BYTES, files=("image",), most=1)
        sent = read_model(fields.get("event", "{}").encode(), ImageRequest)
        if sent.url is not None or not files:
            raise BadRequest("send either the picture's bytes or its url")
        return sent, files
    sent = read_model(await read_body(request), ImageRequest)
    if sent.url is None:
        raise BadRequest("url: send it, or the picture's bytes as multipart/form-data")
    return sent, []


def _store_image(state: AppState, tenant: str, event_id: UUID, event: Event, uploads: list[bytes]) -> None:
    with transaction(state.pool) as conn:
        store_event(conn, state.keystore.tenant(tenant), event_id, event, Origin(IMAGES, "interactive"), uploads)


@by_name(
    router,
    "DELETE",
    "/media/{media_id:name}",
    tags=["pictures"],
    status_code=204,
    responses=error_responses(Unauthorized, Forbidden, DeletionsWait),
)
def delete_image(media_id: Name, state: App, by: By) -> None:
    """Deletes what is held of an image that came by `POST /v1/images`, as `media.deleted` does for a webhook's.

    It takes effect before the answer. A webhook's media item of that id stays: its source alone deletes it.
    """
    by.must("images:tag")
    event = Event("media.deleted", (MediaRef(media_id, None),), "public", "post")
    with _few_deletions(state, deletes=True), transaction(state.pool) as conn:
        store_event(conn, state.keystore.tenant(by.tenant), uuid4(), event, Origin(IMAGES, "interactive"))


@contextmanager
def _few_deletions(state: AppState, deletes: bool) -> Iterator[None]:
    """Leaves connections to other requests, since a deletion may wait 20 s. Raises DeletionsWait beyond DELETIONS."""
    if deletes and not state.deletions.acquire(timeout=DELETION_PATIENCE_S):
        raise DeletionsWait
    try:
        yield
    finally:
        if deletes:
            state.deletions.release()


@by_name(
    router,
    "GET",
    "/media/{media_id:name}/redacted",
    tags=["pictures"],
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        **error_responses(Unauthorized, Forbidden, SubjectLocked, PictureNotKept, MediaAmbiguous),
    },
)
def read_redacted(media_id: Name, state: App, by: By, source: SourceQuery = None) -> Response:
    """Returns the image as JPEG, with the face of everybody hidden who did not agree to be named.

    Only images that are kept can be returned.
    """
    by.must("images:tag")
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.pool) as conn:
        # The document first: it keeps the picture from being decided anew before its copy is read.
        item = find_item(conn, by.tenant, media_id, source)
        decision = assemble_to_draw(conn, keys, item)
        copy = open_retained_copy(conn, keys, item)
    if copy is None or decision is None:
        raise PictureNotKept("no copy of a picture of that id is kept")
    return Response(redact(copy, decision), media_type="image/jpeg")


@by_name(
    router,
    "GET",
    "/media/{media_id:name}",
    tags=["pictures"],
    response_model=None,
    responses={
        200: {"model": AudienceDocument},
        **error_responses(Unauthorized, Forbidden, NotFound, SubjectLocked, MediaAmbiguous),
    },
)
def read_decision(
    media_id: Name,
    state: App,
    by: By,
    source: SourceQuery = None,
    audience: Audience = "platform",
    subject: Annotated[Ref | None, Query(description="With audience=person: who is tagged.")] = None,
) -> dict[str, Any]:
    """Returns the newest decision on a media item, as the platform, or another audience, may see it now."""
    by.must("images:tag")
    return _decision(state, by.tenant, media_id, source, audience, subject)


def _decision(
    state: AppState,
    tenant: str,
    media_id: str,
    source: str | None,
    audience: Audience = "platform",
    subject: str | None = None,
) -> dict[str, Any]:
    if (audience == "person") != (subject is not None):
        raise BadRequest("subject: say it with audience=person, and with no other")
    keys = state.keystore.tenant(tenant)
    with transaction(state.pool) as conn:
        item = find_item(conn, tenant, media_id, source)
        document = assemble_for(conn, keys, item, Recipient(audience, subject), lock=lock_shared_or_busy)
    if document is None:
        raise NotFound("no decision on a picture of that id")
    return document_json(document)
