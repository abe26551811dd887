"""Renders the console's pages: templates, a style sheet, a script, and nothing from another host."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fastapi import Response
from fastapi.responses import HTMLResponse

from assent.console import words
from assent.core.display import visible_lines
from assent.core.errors import AssentError, RateLimited
from assent.http.pages import PAGE_HEADERS, environment, stamp
from assent.me.pages import STYLE

_FOLDER = Path(__file__).parent
_PAGES = environment(_FOLDER)
_PAGES.globals["t"] = words.WORDS
_PAGES.filters["age"] = words.age_words
_PAGES.filters["reason"] = words.reason_words
_PAGES.filters["lines"] = visible_lines
_KINDS = {"style.css": "text/css", "console.js": "text/javascript", "passkey.js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
Asset = Literal["style.css", "console.js", "passkey.js"]


def render_page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Renders a template with its values, in the headers that every page has."""
    nonce = secrets.token_urlsafe(16)
    files = {"style": _stamp("style.css"), "script": _stamp("console.js"), "passkey": _stamp("passkey.js")}
    stamps = {**files, "nonce": nonce}
    html = _PAGES.get_template(f"{name}.html").render(stamps=stamps, **values)
    headers = {**PAGE_HEADERS, **_ISOLATED, "Content-Security-Policy": _POLICY.format(nonce=nonce)}
    return HTMLResponse(html, status, headers=headers)


def render_error(error: AssentError) -> HTMLResponse:
    """Renders an error in plain words, with its status."""
    title, text = words.error_words(error.code, error.detail)
    answer = render_page("error", error.status, title=title, text=text, code=error.code)
    if isinstance(error, RateLimited):
        answer.headers["Retry-After"] = str(error.wait_seconds)
    return answer


def serve_asset(name: Asset) -> Response:
    """Returns a file that all pages share; its address changes with it."""
    headers = {**PAGE_HEADERS, **_ISOLATED, "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_content(name), headers=headers, media_type=_KINDS[name])


@cache
def _content(name: Asset) -> bytes:
    """The console's look is the person's page's, and more."""
    own = (_FOLDER / name).read_bytes()
    return STYLE.read_bytes() + own if name == "style.css" else own


@cache
def _stamp(name: Asset) -> str:
    return stamp(_content(name))
