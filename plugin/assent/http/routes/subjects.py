"""Serves consent, connections and enrolment over HTTP; the platform calls it on the subject's behalf."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from assent.core.clock import coarse, rfc3339
from assent.core.enrolment_errors import PHOTO_REFUSALS, EnrolmentWaiting
from assent.core.errors import (
    DECODE_ERRORS,
    AnyoneUndeclared,
    AssentError,
    BadRequest,
    BodyTooLarge,
    ConsentMissing,
    DecoderDied,
    Forbidden,
    GuardianMissing,
    IdempotencyConflict,
    NotFound,
    TooManyConnections,
    Unauthorized,
)
from assent.core.http_errors import FormsWaiting
from assent.core.names import JURISDICTION
from assent.core.strict import read_model
from assent.db.pool import transaction
from assent.db.queue import database_time
from assent.http.address import by_name
from assent.http.auth import By
from assent.http.body import read_body
from assent.http.decision_waiter import ENROLMENT_WAIT_SECONDS
from assent.http.forms import MAX_PHOTOS, read_form
from assent.http.idempotency import once
from assent.http.limits import consume_photos
from assent.http.problems import error_responses, problem_response, schema_ref
from assent.http.state import App, AppState
from assent.keys.pseudonym import derive_pseudonym
from assent.media.files import MAX_IMAGE_BYTES
from assent.platforms.event import TYPEABLE, Ref, StoredId
from assent.subjects import connections, consent
from assent.subjects.consent import EVIDENCE_BYTES, Age, Given, Scope
from assent.subjects.enrol import request_enrolment
from assent.subjects.overview import consent_record, subject_record

router = APIRouter(prefix="/v1", tags=["people"])
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=TYPEABLE)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key and body within 24 hours are one call, and get one answer.",
    ),
]
# What the job may find in a photo.
REFUSALS = (*DECODE_ERRORS, DecoderDied, *PHOTO_REFUSALS)


class ConsentRequest(BaseModel):
    """A consent that a person gave: its purpose, scope, notice and validity."""

    model_config = ConfigDict(extra="forbid", strict=True)

    subject: Ref = Field(description="The platform's own id of the person, in Unicode's form NFC.")
    purpose: Literal["face-match"]
    scope: Scope = Field("connections", description="In whose posts the person may be recognised.")
    notice: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] = Field(
        description="The text that was shown; its hash is kept."
    )
    notice_version: ShortText
    jurisdiction: Annotated[str, StringConstraints(pattern=f"^{JURISDICTION}$")]
    method: ShortText
    age: Age = Field(description="What the person said of their age; anything but `adult` needs a guardian.")
    guardian: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = Field(
        None, description="How a parent or guardian agreed; kept sealed."
    )
    evidence: str | dict[str, JsonValue] | None = Field(
        None, description=f"How it was given, kept sealed; at most {EVIDENCE_BYTES} bytes of JSON."
    )
    valid_days: Annotated[int, Field(ge=1, le=1096)] = 365


class ConnectionsRequest(BaseModel):
    """The accounts that a subject chose: in their posts the subject may be recognised."""

    model_config = ConfigDict(extra="forbid", strict=True)

    connections: list[Ref] = Field(
        description="The platform's own ids of accounts.", json_schema_extra={"maxItems": connections.MOST_CONNECTIONS}
    )


@router.post(
    "/consents",
    status_code=201,
    responses=error_responses(
        Unauthorized, Forbidden, BodyTooLarge, GuardianMissing, AnyoneUndeclared, IdempotencyConflict
    ),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema_ref(ConsentRequest)}}}
    },
)
async def give_consent(request: Request, state: App, by: By, idempotency_key: IdempotencyKey = None) -> dict[str, Any]:
    """Records a consent and puts it in force, in place of the one before.

    Without a consent nobody is enrolled or matched.
    """
    by.must("consents:write")
    body = await read_body(request)
    sent = read_model(body, ConsentRequest)
    return await run_in_threadpool(_give, state, by.tenant, sent, idempotency_key, b"POST /v1/consents\n" + body)


def _give(state: AppState, tenant: str, sent: ConsentRequest, key: str | None, request: bytes) -> dict[str, Any]:
    keys = state.keystore.tenant(tenant)
    given = Given(
        sent.subject,
        sent.scope,
        sent.notice,
        sent.jurisdiction,
        sent.method,
        timedelta(days=sent.valid_days),
        notice_version=sent.notice_version,
        age=sent.age,
        guardian=sent.guardian,
        evidence=sent.evidence,
    )

    def act() -> dict[str, Any]:
        return {"id": str(consent.give(conn, keys, given, state.settings.anyone_declaration))}

    with transaction(state.pool) as conn:
        return once(conn, keys, key, request, act)


@router.get("/consents/{consent_id}", responses=error_responses(Unauthorized, Forbidden, NotFound))
def read_consent(consent_id: UUID, state: App, by: By) -> dict[str, Any]:
    """Returns the consent: its terms, and whether it is `granted`, `replaced`, `withdrawn` or `expired`."""
    by.must("consents:write")
    with transaction(state.pool) as conn:
        return consent_record(conn, state.keystore.tenant(by.tenant), consent_id)


@router.post(
    "/consents/{consent_id}/withdraw", status_code=204, responses=error_responses(Unauthorized, Forbidden, NotFound)
)
def record_withdrawal(consent_id: UUID, state: App, by: By) -> Response:
    """Withdraws the consent: from this answer on nobody is matched by it, and its templates are gone."""
    by.must("consents:write")
    with transaction(state.pool) as conn:
        consent.withdraw_consent(conn, state.keystore.tenant(by.tenant), consent_id)
    return Response(status_code=204)


@by_name(router, "GET", "/subjects/{ref:name}", responses=error_responses(Unauthorized, Forbidden, NotFound))
def read_subject(ref: StoredId, state: App, by: By) -> dict[str, Any]:
    """Returns a subject's consents, templates and number of connections."""
    by.must("subjects:write")
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.pool) as conn:
        consent.check_form(conn, keys, ref)
        return subject_record(conn, keys, ref)


@by_name(
    router,
    "PUT",
    "/subjects/{ref:name}/connections",
    responses=error_responses(Unauthorized, Forbidden, BodyTooLarge, ConsentMissing, TooManyConnections),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema_ref(ConnectionsRequest)}}}
    },
)
async def replace_connections(ref: Ref, request: Request, state: App, by: By) -> dict[str, Any]:
    """Replaces the list of accounts that the subject chose.

    By itself it permits for 24 hours from the hour in which it is stated: state it anew before that. However old, it
    limits what events state in `connections`.
    """
    by.must("subjects:write")
    sent = read_model(await read_body(request), ConnectionsRequest)
    return await run_in_threadpool(_replace_connections, state, by.tenant, ref, sent.connections)


def _replace_connections(state: AppState, tenant: str, ref: str, authors: list[str]) -> dict[str, Any]:
    with transaction(state.pool) as conn:
        now = database_time(conn)  # by which it is judged, too
        count = connections.state_connections(conn, state.keystore.tenant(tenant), ref, authors, now)
    return {"count": count, "stated_at": rfc3339(coarse(now))}


@by_name(
    router,
    "POST",
    "/subjects/{ref:name}/templates",
    status_code=201,
    responses={
        202: {"description": "Stored; the worker has not come to it yet."},
        **error_responses(
            *(Unauthorized, Forbidden, BodyTooLarge, ConsentMissing, EnrolmentWaiting, FormsWaiting), *REFUSALS
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["photos"],
                        "additionalProperties": False,
                        "properties": {
                            "photos": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": MAX_PHOTOS,
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                }
            },
        }
    },
)
async def enrol_photos(ref: Ref, request: Request, state: App, by: By) -> Any:
    """Enrols photos: one template from each, all or none.

    Each photo must show the subject's face and no other. Of a subject one enrolment waits at a time.
    """
    by.must("subjects:write")
    consume_photos(request, by.tenant, derive_pseudonym(state.keystore.tenant(by.tenant), ref))
    job = uuid4()
    with state.announcements.expected(by.tenant, str(job)) as done:
        await _receive_photos(request, state, by.tenant, job, ref)
        answer = await state.announcements.wait(done, ENROLMENT_WAIT_SECONDS)
    if answer is None:
        return JSONResponse({"enrolment": str(job)}, 202)
    outcome: dict[str, Any] = json.loads(answer)
    return _refused(outcome) if "error" in outcome else outcome


async def _receive_photos(request: Request, state: AppState, tenant: str, job: UUID, ref: str) -> None:
    """Stores the photos; nothing of them stays in memory."""
    async with state.big_forms.turn(request):
        _, photos = await read_form(request, MAX_IMAGE_BYTES, files=("photos",), most=MAX_PHOTOS)
        if not photos:
            raise BadRequest("photos: send 1 to 10 files")
        await run_in_threadpool(_store, state, tenant, job, ref, photos)


def _store(state: AppState, tenant: str, job: UUID, ref: str, photos: list[bytes]) -> None:
    keys = state.keystore.tenant(tenant)
    with transaction(state.pool) as conn:
        request_enrolment(conn, keys, job, derive_pseudonym(keys, ref), photos)


def _refused(outcome: dict[str, str]) -> JSONResponse:
    kinds = {kind.code: kind for kind in _all_errors(AssentError)}
    kind = kinds[outcome["error"]]
    return problem_response(kind.code, kind.status, outcome["detail"], kind.remedy)


def _all_errors(kind: type[AssentError]) -> list[type[AssentError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _all_errors(child))]
