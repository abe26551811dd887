"""Keeps the ids that a platform's users chose from deciding a route.

A path is matched segment by segment in the normal form of RFC 3986 §6.2.2, and only what was matched is decoded: a
percent-encoded slash stays inside its segment. Where a proxy decodes paths before it passes them on, ids come in the
query.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes

from fastapi import APIRouter
from starlette.convertors import Convertor, register_url_convertor

from assent.core.errors import BadRequest

IN_QUERY = {"/subjects/{ref:name}": "/subject", "/media/{media_id:name}": "/media-item"}  # the same with the id apart
REPEATED = {"label"}  # parameters that are lists
EXPLAINED = (
    "An id in a path is one segment of it: percent-encode it, a slash as `%2F`. Where a proxy decodes paths before it "
    "passes them on, use the paths that take the id in the query."
)
_SEGMENT = "!$&'()*+,;=:@~"  # what RFC 3986 lets stand in a segment, beside letters, digits, - . and _
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")
Handler = TypeVar("Handler", bound=Callable[..., Any])


class _Name(Convertor[str]):
    """A path parameter that is one segment, decoded; an empty one is for the route to refuse."""

    regex = "[^/]*"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("name", _Name())


def by_name(router: APIRouter, method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:
    """Registers a route at a path that begins with one of IN_QUERY, and once more with the id in the query."""
    (held,) = [held for held in IN_QUERY if path.startswith(held)]

    def register(handler: Handler) -> Handler:
        for place in (path, path.replace(held, IN_QUERY[held])):
            router.add_api_route(place, handler, methods=[method], **options)
        return handler

    return register


def normal_path(raw: bytes) -> str:
    """Returns a raw path with each segment encoded in the one way in which routes match it.

    Raises BadRequest where it cannot be decoded, or in two ways.
    """
    return "/".join(quote(_decode(segment), safe=_SEGMENT) for segment in raw.split(b"/"))


def check_query(raw: bytes) -> None:
    """Raises BadRequest for a query that cannot be decoded, or has a name twice that is no list's."""
    _decode(raw)
    names = [name for name, _ in parse_qsl(raw.decode(), keep_blank_values=True) if name not in REPEATED]
    if len(set(names)) < len(names):
        raise BadRequest("the query: the same name twice")


def _decode(raw: bytes) -> str:
    if not raw.isascii() or _BROKEN.search(raw):
        raise BadRequest("the address: a character that has to be percent-encoded, or a percent sign that is not `%25`")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadRequest("the address is not UTF-8") from None
