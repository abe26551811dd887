"""The files of `docs/contracts` are what the code makes, and what platforms send fits them. `make contracts`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest
from jsonschema_rs import Draft7Validator, Draft202012Validator

from assent.core.errors import BadRequest
from assent.http.webhooks import WEBHOOKS
from assent.platforms.conformance import SAMPLE_SETTINGS, Sample, load_samples
from assent.platforms.delivery import Ignored
from assent.platforms.event import dump, parse_event
from assent.platforms.registry import ADAPTERS
from assent.platforms.standard_webhooks import new_secret
from tests.contract_files import FOLDER, committed
from tests.contracts import documents, written

SAMPLES = [(platform, sample) for platform in ADAPTERS for sample in load_samples(platform)]
by_name = pytest.mark.parametrize(("platform", "sample"), SAMPLES, ids=[f"{p}-{s.name}" for p, s in SAMPLES])
SECRET = new_secret()
GOOD: dict[str, Any] = {"type": "media.created", "media": [{"id": "a", "url": "https://media.example/a"}]}


@cache
def event_schema() -> Draft202012Validator:
    return Draft202012Validator(committed("event.schema.json"))


@cache
def delivery_schemas(platform: str) -> tuple[Draft7Validator, Draft7Validator]:
    """The schemas of the headers and the body of a platform's deliveries, as the AsyncAPI document has them."""
    document = committed("asyncapi.json")
    message, components = document["components"]["messages"][platform], {"components": document["components"]}
    return Draft7Validator(message["headers"]), Draft7Validator(message["payload"] | components)


def signed(platform: str, sample: Sample) -> dict[str, str]:
    return {**sample.headers, **ADAPTERS[platform].sign(sample.raw, SECRET, sample.name)}


def test_the_files_are_what_the_code_makes() -> None:
    made = documents()
    assert {path.name for path in FOLDER.iterdir()} == set(made)
    differing = [name for name, document in made.items() if (FOLDER / name).read_text() != written(document)]
    assert differing == [], "make contracts"


def test_each_type_of_message_has_its_webhook() -> None:
    types = {webhook.message: get_args(get_type_hints(webhook.message)["type"]) for webhook in WEBHOOKS.values()}
    assert {(name, webhook.message) for name, webhook in WEBHOOKS.items()} == {
        (name, message) for message, names in types.items() for name in names
    }


@by_name
def test_a_sample_fits_what_its_adapter_takes(platform: str, sample: Sample) -> None:
    headers, body = delivery_schemas(platform)
    headers.validate(signed(platform, sample))
    assert not headers.is_valid(dict(sample.headers))  # unsigned
    if sample.answer == "unreadable":
        with pytest.raises(ValueError):  # noqa: PT011 - what is no JSON fits no schema
            json.loads(sample.raw)
    else:
        body.validate(json.loads(sample.raw))


@by_name
def test_every_adapter_returns_what_the_event_schema_says(platform: str, sample: Sample) -> None:
    parsed = ADAPTERS[platform].parse(signed(platform, sample), sample.raw, SAMPLE_SETTINGS[platform])
    for event in () if isinstance(parsed, Ignored) else parsed.events:
        event_schema().validate({"schema": "assent.event/1", **json.loads(dump(event))})


def wrong() -> Iterator[dict[str, Any]]:
    """Events that have one thing wrong."""
    parts = {"type": "media.seen", "media": [], "schema": "x/1", "lang": "?", "region": "de", "revision": 0, "more": 1}
    yield from ({**GOOD, name: value} for name, value in parts.items())
    of_media = {"url": "ftp://a", "id": "\0", "more": 1}
    yield from ({**GOOD, "media": [{**GOOD["media"][0], name: value}]} for name, value in of_media.items())
    yield from ({name: GOOD[name]} for name in GOOD)


def test_what_the_event_schema_refuses_is_refused() -> None:
    event_schema().validate(GOOD)
    parse_event(json.dumps(GOOD).encode())
    for event in wrong():
        assert not event_schema().is_valid(event), event
        with pytest.raises(BadRequest):
            parse_event(json.dumps(event).encode())
