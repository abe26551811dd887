"""Renders the person's page as HTML: templates, a style sheet, an icon. No script, nothing from another host."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from fastapi import Response
from fastapi.responses import HTMLResponse, JSONResponse

from assent.core.errors import AssentError, RateLimited
from assent.http.pages import PAGE_HEADERS, environment, stamp
from assent.me import words

_FOLDER = Path(__file__).parent
STYLE = _FOLDER / "style.css"
_PAGES = environment(_FOLDER)
_KINDS = {"style.css": "text/css", "icon.svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    **PAGE_HEADERS,
}


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a template with its values, in the headers that every page has."""
    html = _PAGES.get_template(f"{name}.html").render(style=_stamp("style.css"), **values)
    return HTMLResponse(html, status, headers=HEADERS)


def error_page(error: AssentError, *, back: bool) -> HTMLResponse:
    """Renders an error in plain words, with its status; `back`: whether there is an open page to go back to."""
    title, text = words.wrong(error.code, error.detail)
    answer = page("error", error.status, title=title, text=text, code=error.code, back=back)
    if isinstance(error, RateLimited):
        answer.headers["Retry-After"] = str(error.wait_seconds)
    return answer


def download(document: dict[str, Any], name: str) -> Response:
    """Returns a JSON file that the browser saves under that name."""
    return JSONResponse(document, headers={**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'})


def asset(name: Literal["style.css", "icon.svg"]) -> Response:
    """Returns a file that all pages share; its address changes with it."""
    headers = {**HEADERS, "Cache-Control": "public, max-age=86400"}
    return Response((_FOLDER / name).read_bytes(), headers=headers, media_type=_KINDS[name])


@cache
def places() -> tuple[tuple[str, str], ...]:
    """Returns the places where a person can live: ISO 3166 code and name, by name.

    The states of the US have codes of their own.
    """
    lines = (_FOLDER / "places.txt").read_text(encoding="utf-8").splitlines()
    return tuple((code, name) for code, _, name in (line.partition(" ") for line in lines))


@cache
def _stamp(name: str) -> str:
    return stamp((_FOLDER / name).read_bytes())
