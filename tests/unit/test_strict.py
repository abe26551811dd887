"""One strict reading of JSON, and what was stored before it."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import BaseModel, JsonValue

from assent.core.errors import BadRequest
from assent.core.strict import NotStrict, load_strict, read_model, representable


class Anything(BaseModel):
    """A body that may hold any JSON."""

    held: JsonValue


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e309",
        "[[1E999]]",
        "9" * 400,
        '{"a": 1, "a": 1}',
        '{"a": {"": 1, "": 2}}',
    ],
)
def test_what_two_readers_read_differently_is_refused_wherever_it_stands(value: str) -> None:
    body = f'{{"held": {value}}}'.encode()
    with pytest.raises(NotStrict):
        load_strict(body)
    with pytest.raises(BadRequest):
        read_model(body, Anything)


@pytest.mark.parametrize(
    "body", [b'{"held": "\xe9"}', b'\xef\xbb\xbf{"held": 1}', '{"held": 1}'.encode("utf-16-le"), b'{"held": "\\ud800"}']
)
def test_only_utf_8_is_read(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_model(body, Anything)


@pytest.mark.parametrize("value", [0, -1.5, 1e308, 2**1000, "NaN", [None, True, {"é": "\U0001f600"}], {}])
def test_all_other_json_is_read_and_written_as_it_is(value: JsonValue) -> None:
    body = json.dumps({"held": value}).encode()
    assert read_model(body, Anything).held == load_strict(body)["held"] == representable(value) == value


def test_a_stored_number_that_json_does_not_have_becomes_its_name() -> None:
    stored = {"a": [math.nan, {"b": math.inf}], "c": -math.inf, "d": 1.5}
    assert representable(stored) == {"a": ["NaN", {"b": "Infinity"}], "c": "-Infinity", "d": 1.5}
