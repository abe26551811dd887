"""Provides what all pages share: an environment for their templates, headers, redirects after a form."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assent.core.display import visible, visible_lines

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def environment(folder: Path) -> Environment:
    """Returns the environment of a folder of templates: everything is escaped, an unknown name is an error."""
    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["visible"] = visible
    pages.filters["visible_lines"] = visible_lines
    return pages


def go(path: str) -> Response:
    """Redirects the browser to that page after a form, so that reloading it sends nothing twice."""
    return Response(status_code=303, headers={**PAGE_HEADERS, "Location": path})


def stamp(content: bytes) -> str:
    """Returns what an asset's address ends in, so that it changes with its content."""
    return sha256(content).hexdigest()[:8]
