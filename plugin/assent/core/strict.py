"""Reads JSON strictly: a body that two parsers could read differently is refused."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from assent.core.errors import BadRequest

_MAX_NAME = 64  # characters of a field's name that an answer repeats
M = TypeVar("M", bound=BaseModel)


def read_model(body: bytes, kind: type[M]) -> M:
    """Returns the model in a JSON body (RFC 8259, UTF-8).

    Raises BadRequest naming the field that is wrong, never its value. Refused with it: the same name twice in an
    object, a byte order mark, lone surrogates, numbers beyond a double, and nesting deeper than 200.
    """
    try:
        model = kind.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(explain(error)) from None
    # pydantic's parser takes the last of two equal names; other readers of the same bytes take the first.
    json.loads(body, object_pairs_hook=_each_once)
    return model


def explain(error: ValidationError) -> str:
    """Describes each invalid field by its place and the reason. Leaves out the value, which may be a person's name."""
    said = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(f"{place(e['loc']) or 'body'}: {e['msg']}" for e in said)


def place(parts: tuple[int | str, ...]) -> str:
    """Formats the place of a field, as `media.0.url`. Cuts each name, which the sender may have made up."""
    return ".".join(str(part)[:_MAX_NAME] for part in parts)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("body: the same name twice in one object")
    return found
