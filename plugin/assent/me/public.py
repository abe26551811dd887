"""Serves what anybody may ask for under `/me`: its style, and the receipts of erasures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from assent.core.clock import parse_rfc3339
from assent.core.errors import NotFound
from assent.db.pool import transaction
from assent.http.state import App, AppState
from assent.me import words
from assent.me.pages import asset, download, page
from assent.me.visit import TOKEN, PageRoute
from assent.subjects import erase

router = APIRouter(prefix="/me", include_in_schema=False, route_class=PageRoute)


@router.get("/style.css")
async def style() -> Response:
    return asset("style.css")


@router.get("/icon.svg")
async def icon() -> Response:
    return asset("icon.svg")


@router.get("/closed")
async def closed_page() -> Response:
    return page("closed")


@router.get("/receipt/{token}")
async def show_receipt(token: str, state: App) -> Response:
    """Shows the receipt's page to anybody who has its token, for good.

    The person is erased and has no session.
    """
    document = await _receipt(state, token)
    pending = document.get("state") == "pending"
    by = words.time(parse_rfc3339(document["rotation_by"])) if pending else ""
    title = "Everything is deleted" if pending else "Your receipt is ready"
    return page("receipt", title=title, token=token, ready=not pending, by=by)


@router.get("/receipt/{token}/file")
async def download_receipt(token: str, state: App) -> Response:
    document = await _receipt(state, token)
    if document.get("state") == "pending":
        raise NotFound("the receipt is not ready")
    return download(document, "assent-receipt.json")


async def _receipt(state: AppState, token: str) -> dict[str, Any]:
    if not TOKEN.fullmatch(token):
        raise NotFound
    document = await state.run_for_person(_read_receipt, state, token)
    if document is None:
        raise NotFound
    return document


def _read_receipt(state: AppState, token: str) -> dict[str, Any] | None:
    with transaction(state.people) as conn:
        return erase.receipt(conn, None, token)
