"""Reads JSON strictly: a body that two parsers could read differently is refused."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from assent.core.errors import BadRequest

_MAX_NAME = 64  # characters of a field's name that an answer repeats
M = TypeVar("M", bound=BaseModel)


class NameRepeated(ValueError):
    """An object of a JSON document has two fields of one name."""


def read_model(body: bytes, kind: type[M]) -> M:
    """Returns the model in a JSON body (RFC 8259, UTF-8).

    Raises BadRequest naming the field that is wrong, never its value. Refused with it: the same name twice in an
    object, a byte order mark, lone surrogates, numbers beyond a double, and nesting deeper than 200.
    """
    try:
        model = kind.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(explain_invalid(error)) from None
    try:  # pydantic's parser takes the last of two equal names; other readers of the same bytes take the first
        load_unique(body)
    except NameRepeated:
        raise BadRequest("body: the same name twice in one object") from None
    return model


def load_unique(text: str | bytes) -> Any:
    """Parses JSON as `json.loads` does. Raises NameRepeated where an object has a name twice, ValueError otherwise."""
    return json.loads(text, object_pairs_hook=_unique_pairs)


def explain_invalid(error: ValidationError) -> str:
    """Describes each invalid field by its path and the reason. Leaves out the value, which may be a person's name."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(f"{field_path(e['loc']) or 'body'}: {e['msg']}" for e in errors)


def field_path(parts: tuple[int | str, ...]) -> str:
    """Formats the path of a field, as `media.0.url`. Cuts each name, which the sender may have made up."""
    return ".".join(str(part)[:_MAX_NAME] for part in parts)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NameRepeated("the same name twice in one object")
    return fields
