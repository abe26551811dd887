"""Serves an account's own settings: keys, grey pictures, the time to undo, and categories that it is not given."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from assent.console import words
from assent.console.desk import inside
from assent.console.keys_table import FIXED_KEYS, USUAL_KEYS, changed_keys, keys_of
from assent.console.visit import ConsoleRoute, FormFields, SignedIn, Visit, one, read_session_form
from assent.db.pool import transaction
from assent.http.pages import go
from assent.review.care import MUTABLE
from assent.staff.accounts import LEAST_UNDO, MOST_UNDO, StaffSettings, change_settings

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)


@router.get("/settings")
def show_settings(request: Request, me: SignedIn) -> Response:
    """Shows how pages look and behave for the account."""
    return _page(me, me.staff.settings, message=words.said(request.query_params.get("said", "")))


@router.post("/settings")
async def save_settings(request: Request, me: SignedIn) -> Response:
    """Stores them; where a letter stands for two actions or the time is out of bounds, says so and stores nothing."""
    sent = await read_session_form(request, me)
    wanted, wrong = _read_settings(sent, me.staff.settings)
    if wrong:
        return _page(me, wanted, 422, wrong=wrong)
    await run_in_threadpool(_store, me, wanted)
    return go("/console/settings?said=saved")


def _store(me: Visit, settings: StaffSettings) -> None:
    with transaction(me.state.pool) as conn:
        change_settings(conn, me.keys, me.staff.id, settings)


def _page(me: Visit, settings: StaffSettings, status: int = 200, **told: str) -> Response:
    return inside(
        "settings",
        me,
        words.WORDS["settings"]["title"],
        status,
        settings=settings,
        letters={
            action: key for action, key in keys_of(replace(settings, keys=True)).items() if action not in FIXED_KEYS
        },
        usual=USUAL_KEYS,
        categories=MUTABLE,
        bounds=(LEAST_UNDO, MOST_UNDO),
        **told,
    )


def _read_settings(sent: FormFields, before: StaffSettings) -> tuple[StaffSettings, str]:
    """Returns the settings of a form, and in words what is wrong with it, if anything is."""
    texts = words.WORDS["settings"]
    seconds = one(sent, "undo_seconds")
    muted = tuple(name for name in MUTABLE if name in sent.get("muted", ()))
    wanted = replace(before, keys=one(sent, "keys") == "1", grey=one(sent, "grey") == "1", muted=muted)
    if not (seconds.isascii() and seconds.isdecimal() and LEAST_UNDO <= int(seconds[:3]) <= MOST_UNDO):
        return wanted, texts["wrong_undo"].format(least=LEAST_UNDO, most=MOST_UNDO)
    wanted = replace(wanted, undo_seconds=int(seconds[:3]))
    try:
        return replace(wanted, key_map=changed_keys({a: one(sent, f"key_{a}") for a in USUAL_KEYS})), ""
    except ValueError as error:
        return wanted, texts["wrong_key"].format(key=str(error).upper())
