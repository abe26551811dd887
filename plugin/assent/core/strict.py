"""Reads JSON strictly: what two parsers could read differently, or no answer could carry again, is refused."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from assent.core.errors import BadRequest

_MAX_NAME = 64  # characters of a field's name that an answer repeats
M = TypeVar("M", bound=BaseModel)


class NotStrict(ValueError):
    """A JSON document can be read in two ways, or holds a number that JSON does not have; the message says which."""


def read_model(body: bytes, kind: type[M]) -> M:
    """Returns the model in a JSON body (RFC 8259, UTF-8).

    Raises BadRequest naming the field that is wrong, never its value. Refused with it: what `load_strict` refuses, lone
    surrogates, and nesting deeper than 200.
    """
    try:
        model = kind.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(explain_invalid(error)) from None
    try:  # pydantic's parser takes the last of two equal names, NaN, and infinity for 1e400
        load_strict(body)
    except NotStrict as error:
        raise BadRequest(f"body: {error}") from None
    except ValueError:
        raise BadRequest("body: no JSON in UTF-8") from None
    return model


def load_strict(data: bytes) -> Any:
    """Parses JSON in UTF-8 without a byte order mark.

    Raises NotStrict where an object has a name twice, and for NaN, infinities and numbers beyond a double; ValueError
    or RecursionError for what is no JSON.
    """
    return json.loads(
        data.decode(),
        object_pairs_hook=_unique_pairs,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_whole,
    )


def representable(value: Any) -> Any:
    """Returns a stored JSON value with NaN and infinities as text, by their names: JSON has no such numbers."""
    if isinstance(value, dict):
        return {name: representable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [representable(part) for part in value]
    return json.dumps(value) if isinstance(value, float) and not math.isfinite(value) else value


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
        raise NotStrict("the same name twice in one object")
    return fields


def _refuse_constant(name: str) -> None:
    raise NotStrict(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotStrict("a number beyond a double")
    return number


def _whole(digits: str) -> int:
    _finite(digits)
    return int(digits)
