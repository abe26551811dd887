"""`assent.event/1`: what is read, and what is refused by naming the field and never its value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from assent.core.errors import BadRequest
from assent.core.values import MediaRef
from assent.platforms.event import dump, load_event, parse_event

GIVEN: dict[str, Any] = {
    "schema": "assent.event/1",
    "type": "media.created",
    "media": [{"id": "photo/1", "url": "https://media.example/1.jpg", "alt": "a bay"}],
    "author": "alice",
    "connections": ["bob", "carol"],
    "visibility": "followers",
    "surface": "avatar",
    "region": "DE",
    "audience_age": 16,
    "lang": "de-CH",
    "revision": 3,
    "at": "2026-01-31T12:00:00Z",
}


def body(**changes: object) -> bytes:
    return json.dumps({**GIVEN, **changes}).encode()


def test_every_field_is_read() -> None:
    event = parse_event(body())
    assert event.media == (MediaRef("photo/1", "https://media.example/1.jpg", "a bay"),)
    said = (event.author, event.connections, event.visibility, event.surface, event.region, event.audience_age)
    assert said == ("alice", ("bob", "carol"), "followers", "avatar", "DE", 16)
    assert (event.lang, event.revision, event.at) == ("de-CH", 3, datetime(2026, 1, 31, 12, tzinfo=UTC))


def test_little_is_required_and_nobody_is_an_author_by_default() -> None:
    event = parse_event(json.dumps({key: GIVEN[key] for key in ("schema", "type", "media")}).encode())
    assert (event.author, event.connections, event.visibility, event.surface) == (None, (), "public", "post")
    assert (event.revision, event.at) == (None, None)


def test_the_stored_form_gives_the_same_event() -> None:
    assert load_event(dump(parse_event(body()))) == parse_event(body())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "assent.event/2"),
        ("type", "media.stolen"),
        ("media", []),
        ("media", [{"id": "1", "url": "https://m.example/1"}] * 101),
        ("media", [{"id": "", "url": "https://m.example/1"}]),
        ("media", [{"id": "a\u0000b", "url": "https://m.example/1"}]),
        ("media", [{"id": "..", "url": "https://m.example/1"}]),
        ("media", [{"id": "1", "url": "file:///etc/passwd"}]),
        ("media", [{"id": "1", "url": "https://m.example/" + "x" * 4096}]),
        ("media", [{"id": "1", "url": "https://m.example/1"}, {"id": "1", "url": "https://m.example/2"}]),
        ("author", ""),
        ("author", 7),
        ("author", "secretname\u0000"),
        ("author", "."),
        ("author", "Zoe\u0308"),
        ("connections", ["bob", "Zoe\u0308"]),
        ("connections", ["x"] * 5001),
        ("visibility", "secret"),
        ("surface", "wall"),
        ("region", "Germany"),
        ("audience_age", -1),
        ("audience_age", "16"),
        ("revision", 0),
        ("revision", 2**31),
        ("at", "yesterday"),
        ("at", "2026-01-31T12:00:00"),
        ("at", 1_700_000_000),
        ("at", "1700000000"),
        ("at", "9999-12-31T23:59:59-01:00"),
        ("at", "0001-01-01T00:00:00+01:00"),
        ("colour", "red"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(field: str, value: object) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_event(body(**{field: value}))
    assert field in refused.value.detail
    assert "passwd" not in refused.value.detail
    assert "secretname" not in refused.value.detail


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b"\xff", b'"x"', b"[" * 10_000, b"1e400"])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_event(raw)
