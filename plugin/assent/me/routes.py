"""Serves `/me`, the person's own page: plain forms, no script; a link from the platform opens it for 30 minutes.

Opening the link shows a button only, so that previews spend nothing; the button's POST spends it and sets the cookie.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from assent.core.errors import AssentError, BadRequest, NotFound, NoticeChanged
from assent.core.names import ENTITY_NAME, JURISDICTION
from assent.core.values import MediaItem
from assent.db.pool import fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.http.auth import refund_address_token
from assent.http.decision_waiter import ENROLMENT_WAIT_SECONDS
from assent.http.forms import MAX_PHOTOS
from assent.http.limits import consume_photos
from assent.http.pages import go
from assent.http.state import App, AppState
from assent.me import words
from assent.me.pages import download, page, places
from assent.me.visit import TOKEN, Me, PageRoute, Visitor, must_be_ours, read_own_form, with_cookie, without_cookie
from assent.platforms.event import StoredId
from assent.subjects import consent, erase, links, matches
from assent.subjects.access import PERSON, accesses_of, export_for, record_access
from assent.subjects.consent import Given, Scope
from assent.subjects.enrol import request_enrolment

router = APIRouter(prefix="/me", include_in_schema=False, route_class=PageRoute)
VALID_FOR = timedelta(days=365)
ON_A_PAGE = 50  # pictures, or lines of what was done
_Q = named_queries("me")


class Choice(BaseModel):
    """The fields of the consent form."""

    model_config = ConfigDict(strict=True)

    scope: Scope
    age: Literal["adult", "minor", "unknown"]
    jurisdiction: Annotated[str, Field(pattern=f"^{JURISDICTION}$")]
    guardian: Annotated[str, Field(max_length=1000)] = ""


# An open page


@router.get("")
async def show_choice(me: Me, name: Annotated[str, Query(alias="said")] = "") -> Response:
    """Shows the consent in force, and the form that changes it."""
    return await me.state.run_for_person(_choice, me, message=words.MESSAGES.get(name, ""))


def _choice(me: Visitor, status: int = 200, *, message: str = "", wrong: str = "") -> Response:
    with transaction(me.state.people) as conn:
        row = fetch_one(conn, _Q["select_consent_in_force"], **me.who)
        photos = fetch(conn, _Q["list_template_photos"], **me.who)
    given = row and {
        "where": words.SCOPE_TEXTS[row["scope"]],
        "scope": row["scope"],
        "jurisdiction": row["jurisdiction"],
        "since": words.date(row["given_at"]),
        "until": words.date(row["expires_at"]),
        "same_notice": row["notice_sha256"].hex() == me.notice.sha256,
    }
    return page(
        "me",
        status,
        title=_title(given is not None, bool(photos)),
        here="/me",
        me=me,
        message=message,
        wrong=wrong,
        consent=given,
        templates=[
            {"since": words.date(one["enrolled_at"]), "quality": words.quality_words(one["quality"])} for one in photos
        ],
        notice=me.notice,
        scopes=[
            (scope, text) for scope, text in words.SCOPE_TEXTS.items() if scope != "anyone" or me.may_choose_anyone
        ],
        places=places(),
        most=MAX_PHOTOS,
    )


def _title(agreed: bool, photos: bool) -> str:
    if not agreed:
        return "You are not recognised in photos"
    return "You can be recognised in photos" if photos else "One step is left"


@router.post("/consent")
async def agree(request: Request, me: Me) -> Response:
    """Records the person's consent, for a year."""
    fields, _ = await read_own_form(request, me)
    return await me.state.run_for_person(_agree, me, fields)


def _agree(me: Visitor, fields: dict[str, str]) -> Response:
    try:
        given = _given(me, fields)
        with transaction(me.state.people) as conn:
            consent.give(conn, me.keys, given, me.state.settings.anyone_declaration)
    except AssentError as error:
        return _again(me, error)
    return go("/me?said=agreed")


def _given(me: Visitor, fields: dict[str, str]) -> Given:
    if fields.pop("notice", "") != me.notice.sha256:
        raise NoticeChanged
    try:
        choice = Choice.model_validate(fields)
    except ValueError:
        raise BadRequest("the form") from None
    return Given(
        subject=me.ref,
        scope=choice.scope,
        notice=me.notice.text,
        notice_version=me.notice.version,
        jurisdiction=choice.jurisdiction,
        method="own-page",
        age=choice.age,
        guardian=choice.guardian.strip() or None,
        valid_for=VALID_FOR,
    )


@router.post("/withdraw")
async def withdraw(request: Request, me: Me) -> Response:
    """Withdraws every consent."""
    await read_own_form(request, me)
    await me.state.run_for_person(_withdraw, me)
    return go("/me?said=withdrawn")


def _withdraw(me: Visitor) -> None:
    with transaction(me.state.people) as conn:
        consent.withdraw_all(conn, me.keys, me.session.pseudonym)


@router.post("/photos")
async def send_photos(request: Request, me: Me) -> Response:
    """Enrols the photos and waits for the worker's outcome."""
    job = uuid4()
    consume_photos(request, me.keys.tenant, me.session.pseudonym)
    with me.state.announcements.expected(me.keys.tenant, str(job)) as done:
        if refused := await _receive_photos(request, me, job):
            return refused
        outcome = await me.state.announcements.wait(done, ENROLMENT_WAIT_SECONDS)
    if outcome is None:
        return go("/me?said=waiting")
    result = json.loads(outcome)
    if "error" in result:
        return await me.state.run_for_person(_choice, me, 422, wrong=words.wrong(result["error"], result["detail"])[1])
    return go("/me?said=enrolled")


async def _receive_photos(request: Request, me: Visitor, job: UUID) -> Response | None:
    """Stores the photos; nothing of them stays in memory. Returns the page that says why they are refused."""
    async with me.state.big_forms.turn(request):
        _, photos = await read_own_form(request, me, photos=MAX_PHOTOS)
        if not 0 < len(photos) <= MAX_PHOTOS:
            title = "No photo was chosen." if not photos else f"At most {MAX_PHOTOS} photos can be sent at once."
            return await me.state.run_for_person(_choice, me, 422, wrong=title)
        try:
            await me.state.run_for_person(_store, me, job, photos)
        except AssentError as error:
            return await me.state.run_for_person(_again, me, error)
    return None


def _store(me: Visitor, job: UUID, photos: list[bytes]) -> None:
    with transaction(me.state.people) as conn:
        request_enrolment(conn, me.keys, job, me.session.pseudonym, photos)


def _again(me: Visitor, error: AssentError) -> Response:
    """Shows the page again, with what has to be corrected.

    Raises an error that the person cannot correct.
    """
    if error.status not in (400, 409, 422):
        raise error
    return _choice(me, error.status, wrong=words.wrong(error.code, error.detail)[1])


@router.get("/seen")
async def show_seen(
    me: Me,
    start: Annotated[int, Query(alias="from", ge=0, le=10**9)] = 0,
    name: Annotated[str, Query(alias="said")] = "",
) -> Response:
    """Shows the person's matches, newest first."""
    return await me.state.run_for_person(_seen, me, start, words.MESSAGES.get(name, ""))


def _seen(me: Visitor, start: int, message: str) -> Response:
    with transaction(me.state.people) as conn:
        row = fetch_one(conn, _Q["select_consent_in_force"], **me.who)
        subject_matches = matches.matches_of(conn, me.keys, me.session.pseudonym)
    older = start + ON_A_PAGE
    return page(
        "seen",
        title="Where you were recognised",
        here="/me/seen",
        me=me,
        message=message,
        wrong="",
        recognised=row is not None,
        seen=[_in_words(me, one) for one in subject_matches[start:older]],
        older=older if older < len(subject_matches) else None,
    )


def _in_words(me: Visitor, match: matches.SubjectMatch) -> dict[str, Any]:
    template = me.state.settings.media_page
    return {
        "source": match.item.source,
        "media": match.item.id,
        "face": match.face,
        "waits": match.state == "suggested",
        "state": words.STATES[match.state],
        "on": words.date(match.decided_at),
        "certainty": words.CERTAINTY[match.band],
        "place": words.face_place(match.box),
        "link": template.replace("{media}", quote(match.item.id, safe="")) if template else None,
    }


class Answer(BaseModel):
    """The person's answer to one match."""

    source: Annotated[str, StringConstraints(pattern=f"^{ENTITY_NAME}$")]
    media: StoredId
    face: Annotated[int, Field(ge=0, lt=2**15)]
    answer: Literal["yes", "no"]


@router.post("/seen")
async def answer_seen(request: Request, me: Me) -> Response:
    """Approves a suggested match, or records a refusal ("not me")."""
    fields, _ = await read_own_form(request, me)
    try:
        answer = Answer.model_validate(fields)
    except ValueError:
        raise BadRequest("the form") from None
    act = matches.approve if answer.answer == "yes" else matches.refuse
    item = MediaItem(answer.source, answer.media)
    await me.state.run_for_person(act, me.state.people, me.keys, me.session.pseudonym, item, answer.face)
    return go(f"/me/seen?said={'shown' if answer.answer == 'yes' else 'refused'}")


@router.get("/data")
async def show_data(me: Me, name: Annotated[str, Query(alias="said")] = "") -> Response:
    """Shows which data can be downloaded, who read them, and what can be deleted."""
    return await me.state.run_for_person(_data, me, words.MESSAGES.get(name, ""))


def _data(me: Visitor, message: str) -> Response:
    with transaction(me.state.people) as conn:
        accesses = accesses_of(conn, me.keys, me.session.pseudonym)[:ON_A_PAGE]
    return page(
        "data",
        title="My data",
        here="/me/data",
        me=me,
        message=message,
        wrong="",
        accesses=[(words.date(one.at), words.access(one.action, one.said)) for one in accesses],
    )


@router.get("/export")
async def download_export(me: Me) -> Response:
    return await me.state.run_for_person(_export, me)


def _export(me: Visitor) -> Response:
    with transaction(me.state.people) as conn:
        return download(export_for(conn, me.keys, me.ref, PERSON, vectors=True), "my-data.json")


@router.post("/others")
async def end_others(request: Request, me: Me) -> Response:
    """Ends every link and every other visit of the person."""
    await read_own_form(request, me)
    await me.state.run_for_person(_end_others, me)
    return go("/me/data?said=ended")


def _end_others(me: Visitor) -> None:
    pseudonym = me.session.pseudonym
    with transaction(me.state.people) as conn:
        links.end_all(conn, me.keys, pseudonym, but=me.cookie)
        record_access(conn, me.keys, "links.ended", PERSON, [pseudonym])


@router.post("/delete")
async def delete(request: Request, me: Me) -> Response:
    """Erases everything of the person at once; the answer leads to the receipt."""
    fields, _ = await read_own_form(request, me)
    if fields.get("sure") != "yes":
        raise BadRequest("sure")
    token = await me.state.run_for_person(_erase, me)
    return without_cookie(request, go(f"/me/receipt/{token}"))


def _erase(me: Visitor) -> str:
    with transaction(me.state.people) as conn:
        return erase.erase(conn, me.keys, me.ref).token


@router.post("/leave")
async def leave(request: Request, me: Me) -> Response:
    """Ends the session."""
    await read_own_form(request, me)
    await me.state.run_for_person(_end, me)
    return without_cookie(request, go("/me/closed"))


def _end(me: Visitor) -> None:
    with transaction(me.state.people) as conn:
        links.end(conn, me.cookie)


# The link


@router.get("/{token}")
async def show_link(token: str) -> Response:
    """Shows the same button for every token: nothing is looked up before it is pressed."""
    if not TOKEN.fullmatch(token):
        raise NotFound
    return page("open")


@router.post("/{token}")
async def open_link(token: str, request: Request, state: App) -> Response:
    """Spends the link and opens the page in this browser."""
    must_be_ours(request)
    cookie = await state.run_for_person(_spend, state, token)
    refund_address_token(request)
    return with_cookie(request, go("/me"), cookie)


def _spend(state: AppState, token: str) -> str:
    with transaction(state.people) as conn:
        cookie = links.spend(conn, state.keystore, token)
        session = links.session(conn, state.keystore, cookie)
        consent.touch_last_interaction(conn, session.tenant, session.pseudonym, datetime.now(UTC))
        keys = state.keystore.tenant(session.tenant)
        record_access(conn, keys, "link.visited", PERSON, [session.pseudonym])
    return cookie
