"""Serves manual review over HTTP, for moderators' tools.

Each moderator has an API key of their own, and the log records whose key was used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from assent.core.boxes import read_box
from assent.core.errors import (
    BodyTooLarge,
    CaseClosed,
    CaseOpen,
    DecisionChanged,
    Forbidden,
    IdempotencyConflict,
    LabelUnknown,
    NotFound,
    PictureNotKept,
    PictureWithheld,
    SubjectLocked,
    Unauthorized,
)
from assent.core.media_errors import MediaAmbiguous
from assent.core.review_errors import CaseClaimed, UndoOver
from assent.core.strict import read_model
from assent.core.values import Box
from assent.db.pool import Conn, transaction
from assent.decisions.media_items import find_item
from assent.http.address import by_name
from assent.http.api_keys import Caller
from assent.http.auth import By
from assent.http.body import read_body
from assent.http.idempotency import once
from assent.http.problems import error_responses, schema_ref
from assent.http.routes.intake import SourceQuery
from assent.http.routes.subjects import IdempotencyKey
from assent.http.state import App, AppState
from assent.keys.keystore import TenantKeys
from assent.platforms.event import TYPEABLE, Name
from assent.review.cases import open_cases, picture_of, show_case
from assent.review.claims import ClaimEnd, Holder, claim_case, claim_next, end_claim, extend
from assent.review.decide import Final, ReviewInput, correct, decide_case
from assent.review.undo import MOST_SECONDS, undo
from assent.review.veto import veto_match

router = APIRouter(prefix="/v1", tags=["review"])
SCOPE = "review"
MOST_CASES = 200  # cases of one page
Labels = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...], Field(max_length=100)]
Areas = Annotated[
    tuple[Annotated[tuple[int, ...], Field(min_length=4, max_length=4)], ...],
    Field(max_length=100, description="Areas to be hidden in redacted copies: x, y, width and height in pixels."),
]
Note = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Ground = Annotated[
    str, Field(max_length=64, description="The rule of the policy that a restriction rests on, for its statement.")
]
_REFUSED = (Unauthorized, Forbidden, NotFound)
_CHANGED = (*_REFUSED, BodyTooLarge, LabelUnknown, IdempotencyConflict)
_CLAIM = (*_REFUSED, BodyTooLarge, CaseClosed, CaseClaimed)


class CorrectionRequest(BaseModel):
    """A moderator's correction: the labels that hold for the image and the labels that do not."""

    model_config = ConfigDict(extra="forbid", strict=True)

    add: Labels = Field((), description="Labels that hold, said already or not.")
    remove: Labels = Field((), description="Labels that do not.")
    action: Final | None = Field(None, description="What is to be done now; without it the action stays.")
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="The decision that was looked at; refused where it is no longer the newest."
    )
    ground: Ground | None = None
    hide: Areas = ()
    note: Note | None = Field(None, description="For the audit log, sealed.")


class ReviewRequest(BaseModel):
    """A moderator's decision on an open review case."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action: Final
    add: Labels = Field((), description="Labels that hold, said already or not.")
    remove: Labels = Field((), description="Labels that do not.")
    note: Note | None = Field(None, description="For the audit log, sealed.")
    claim: UUID | None = Field(None, description="The claim under which it was decided; refused where it has ended.")
    ground: Ground | None = None
    hide: Areas = ()
    undo_seconds: Annotated[int, Field(ge=0, le=MOST_SECONDS)] = Field(
        0, description="For how long it may be undone; nothing of it is sent until then."
    )


class ClaimRequest(BaseModel):
    """The claim that a moderator has; none for a new one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    claim: UUID | None = Field(None, description="As it was answered.")


class LeaveRequest(BaseModel):
    """A claim that ends without a decision."""

    model_config = ConfigDict(extra="forbid", strict=True)

    claim: UUID = Field(description="As it was answered.")
    how: ClaimEnd
    reason: Note | None = Field(None, description="For the audit log, sealed. An escalation needs one.")

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.how == "escalate" and self.reason is None:
            raise ValueError("an escalation needs a reason")
        return self


def _json(kind: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Returns the OpenAPI description of a JSON body."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema_ref(kind)}}}}


@router.get("/reviews", responses=error_responses(*_REFUSED))
def list_reviews(
    state: App,
    by: By,
    queue: Annotated[str | None, Query(max_length=64, pattern=TYPEABLE)] = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_CASES)] = 50,
) -> dict[str, Any]:
    """Lists open cases of one queue or of all.

    Cases on a list marked severe come first, then by priority, then the oldest. `next` is the `after` of the next page.
    """
    by.must(SCOPE)
    with transaction(state.pool) as conn:
        cases = open_cases(conn, by.tenant, limit + 1, after, queue)
    more = len(cases) > limit
    return {
        "reviews": [case.document() for case in cases[:limit]],
        "next": str(cases[limit - 1].id) if more else None,
    }


@router.post("/reviews/next", responses=error_responses(*_REFUSED))
def claim_next_review(
    state: App, by: By, queue: Annotated[str | None, Query(max_length=64, pattern=TYPEABLE)] = None
) -> dict[str, Any]:
    """Claims the first case, of one queue or of all, that nobody works on and that this key has not skipped.

    All are null where none waits.
    """
    by.must(SCOPE)
    with transaction(state.pool) as conn:
        claim = claim_next(conn, by.tenant, by.key_id, queue)
    return claim.document() if claim else {"case": None, "claim": None, "until": None}


@router.get("/reviews/{case_id}", responses=error_responses(*_REFUSED, SubjectLocked))
def read_review(case_id: UUID, state: App, by: By) -> dict[str, Any]:
    """Returns the case with its reason and its decision; for a closed case also who closed it and how."""
    by.must(SCOPE)
    with transaction(state.pool) as conn:
        return show_case(conn, state.keystore.tenant(by.tenant), case_id)


@router.get(
    "/reviews/{case_id}/picture",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}},
        **error_responses(*_REFUSED, CaseClosed, SubjectLocked, PictureNotKept, PictureWithheld),
    },
)
def read_review_picture(
    case_id: UUID, state: App, by: By, side: Annotated[int | None, Query(ge=8, le=2048)] = None
) -> Response:
    """Returns an open case's image as JPEG, with the face of everybody hidden who did not agree to be named.

    `side`: pixels of its longer side at most. Many cases are decided at 24 or 96, without a look at more.
    """
    by.must(SCOPE)
    with transaction(state.pool) as conn:
        picture = picture_of(conn, state.keystore.tenant(by.tenant), case_id, side)
    return Response(picture, media_type="image/jpeg")


@router.post(
    "/reviews/{case_id}",
    responses=error_responses(*_CHANGED, CaseClosed, CaseClaimed),
    openapi_extra=_json(ReviewRequest),
)
async def decide_review(
    case_id: UUID, request: Request, state: App, by: By, idempotency_key: IdempotencyKey = None
) -> dict[str, Any]:
    """Closes the case: its decision becomes the next revision and goes to the platform as `media.reviewed`."""
    by.must(SCOPE)
    body = await read_body(request)
    sent = read_model(body, ReviewRequest)
    hold = timedelta(seconds=sent.undo_seconds)
    decision = ReviewInput(sent.action, sent.add, sent.remove, sent.note, sent.claim, hold, sent.ground, _boxes(sent))
    call = f"POST /v1/reviews/{case_id}\n".encode() + body

    def act(conn: Conn, keys: TenantKeys) -> dict[str, Any]:
        return decide_case(conn, keys, by.key_id, case_id, decision)

    return await run_in_threadpool(_act_once, state, by, idempotency_key, call, act)


@router.post(
    "/reviews/{case_id}/claim",
    responses=error_responses(*_CLAIM),
    openapi_extra=_json(ClaimRequest, required=False),
)
async def claim_review(case_id: UUID, request: Request, state: App, by: By) -> dict[str, Any]:
    """Claims a case for five minutes; with the token of a claim extends that one, to no more than half an hour in all.

    A claim without a token of a case that this key has claimed already is a new one, and the old one ends.
    """
    by.must(SCOPE)
    sent = read_model(await read_body(request) or b"{}", ClaimRequest)

    def act() -> dict[str, Any]:
        with transaction(state.pool) as conn:
            if sent.claim is None:
                return claim_case(conn, by.tenant, by.key_id, case_id).document()
            return extend(conn, by.tenant, Holder(by.key_id, case_id, sent.claim)).document()

    return await run_in_threadpool(act)


@router.post(
    "/reviews/{case_id}/leave",
    status_code=204,
    responses=error_responses(*_CLAIM),
    openapi_extra=_json(LeaveRequest),
)
async def leave_review(case_id: UUID, request: Request, state: App, by: By) -> None:
    """Ends a claim: `release` lets the case wait for anybody, `skip` for others, `escalate` in the queue `senior`."""
    by.must(SCOPE)
    sent = read_model(await read_body(request), LeaveRequest)
    holder = Holder(by.key_id, case_id, sent.claim)

    def act() -> None:
        with transaction(state.pool) as conn:
            end_claim(conn, state.keystore.tenant(by.tenant), holder, sent.how, sent.reason)

    await run_in_threadpool(act)


@router.post("/reviews/{case_id}/faces/{face}/veto", status_code=204, responses=error_responses(*_CLAIM))
async def veto_review_match(
    case_id: UUID, face: Annotated[int, Path(ge=0, lt=2**15)], request: Request, state: App, by: By
) -> None:
    """Removes a wrong match of a face for good: "not this person", whoever that was. The claim may be named."""
    by.must(SCOPE)
    sent = read_model(await read_body(request) or b"{}", ClaimRequest)

    def act() -> None:
        with transaction(state.pool) as conn:
            veto_match(conn, state.keystore.tenant(by.tenant), by.key_id, case_id, face, sent.claim)

    await run_in_threadpool(act)


@router.post("/reviews/{case_id}/undo", responses=error_responses(*_REFUSED, UndoOver))
def undo_review(case_id: UUID, state: App, by: By) -> dict[str, Any]:
    """Undoes this key's decision while it is held back; the case is open again, and claimed."""
    by.must(SCOPE)
    with transaction(state.pool) as conn:
        return undo(conn, state.keystore.tenant(by.tenant), by.key_id, case_id).document()


@by_name(
    router,
    "POST",
    "/media/{media_id:name}/corrections",
    responses=error_responses(*_CHANGED, CaseOpen, DecisionChanged, MediaAmbiguous),
    openapi_extra=_json(CorrectionRequest),
)
async def correct_media(
    media_id: Name,
    request: Request,
    state: App,
    by: By,
    source: SourceQuery = None,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Corrects a media item without an open case; the next revision goes to the platform as `media.reviewed`."""
    by.must(SCOPE)
    body = await read_body(request)
    sent = read_model(body, CorrectionRequest)
    correction = ReviewInput(sent.action, sent.add, sent.remove, sent.note, ground=sent.ground, hide=_boxes(sent))
    call = f"POST /v1/media/{media_id}/corrections {source or ''}\n".encode() + body

    def act(conn: Conn, keys: TenantKeys) -> dict[str, Any]:
        item = find_item(conn, keys.tenant, media_id, source)
        return correct(conn, keys, by.key_id, item, correction, sent.revision)

    return await run_in_threadpool(_act_once, state, by, idempotency_key, call, act)


def _boxes(sent: ReviewRequest | CorrectionRequest) -> tuple[Box, ...]:
    return tuple(read_box(box) for box in sent.hide)


def _act_once(
    state: AppState, by: Caller, key: str | None, call: bytes, act: Callable[[Conn, TenantKeys], dict[str, Any]]
) -> dict[str, Any]:
    keys = state.keystore.tenant(by.tenant)
    with transaction(state.pool) as conn:
        return once(conn, keys, key, call, lambda: act(conn, keys))
