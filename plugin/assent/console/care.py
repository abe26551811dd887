"""Serves the page on which an account sees how much it looked at; nobody else is shown it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from assent.console import words
from assent.console.desk import inside
from assent.console.visit import ConsoleRoute, SignedIn
from assent.db.pool import transaction
from assent.review.care import LONGEST_DAY, MOST_GRAVE_LOOKS, PAUSE_AFTER, care_meter

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)


@router.get("/care")
def show_care(me: SignedIn) -> Response:
    """Shows the account's own meter: looks and time by category, today and in seven days, and what would be enough."""
    with transaction(me.state.pool) as conn:
        meter = care_meter(conn, me.keys.tenant, me.by)
    limits = {
        "day": int(LONGEST_DAY.total_seconds() // 60),
        "looks": MOST_GRAVE_LOOKS,
        "pause": int(PAUSE_AFTER.total_seconds() // 60),
    }
    return inside("care", me, words.WORDS["care"]["title"], meter=meter, limits=limits, here="/console/care")
