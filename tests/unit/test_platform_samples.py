"""Each adapter reads the samples of its platform as they say: the events, the ids and addresses, or why not."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from assent.core.errors import SignatureInvalid
from assent.core.values import Event
from assent.platforms.conformance import SAMPLE_SETTINGS, Sample, load_samples
from assent.platforms.delivery import Ignored, Parsed, ParsedDelivery
from assent.platforms.registry import ADAPTERS

SECRET, OTHER = "whsec_" + "c2VjcmV0" * 5, "whsec_" + "b3RoZXIh" * 5
WRONG: tuple[object, ...] = (None, 7, "", [], {}, "\ud800", -1, True, "x" * 9_000)
SAMPLES = [(platform, sample) for platform in ADAPTERS for sample in load_samples(platform)]
by_name = pytest.mark.parametrize(("platform", "sample"), SAMPLES, ids=[f"{p}-{s.name}" for p, s in SAMPLES])


def signed(platform: str, sample: Sample, secret: str = SECRET) -> dict[str, str]:
    return {**sample.headers, **ADAPTERS[platform].sign(sample.raw, secret, sample.name)}


def parse(platform: str, sample: Sample) -> Parsed:
    return ADAPTERS[platform].parse(signed(platform, sample), sample.raw, SAMPLE_SETTINGS[platform])


def events(parsed: Parsed) -> tuple[Event, ...]:
    assert isinstance(parsed, ParsedDelivery)
    return parsed.events


@by_name
def test_a_sample_is_read_as_it_says(platform: str, sample: Sample) -> None:
    parsed = parse(platform, sample)
    if isinstance(parsed, Ignored):
        assert parsed.reason == sample.answer
        return
    assert sample.answer == ("event" if parsed.events else "no_media")
    assert {media.id: media.url for event in parsed.events for media in event.media} == sample.media
    assert {event.type == "media.deleted" for event in parsed.events} <= {sample.deletes}


@by_name
def test_a_signature_fits_one_body_and_one_secret(platform: str, sample: Sample) -> None:
    adapter = ADAPTERS[platform]
    adapter.verify(signed(platform, sample), sample.raw, [OTHER, SECRET])
    for headers, raw, secrets in (
        (signed(platform, sample, OTHER), sample.raw, [SECRET]),
        (signed(platform, sample), sample.raw + b" ", [SECRET]),
        (signed(platform, sample), sample.raw[:-1], [SECRET]),
        (dict(sample.headers), sample.raw, [SECRET]),
        (signed(platform, sample), sample.raw, []),
    ):
        with pytest.raises(SignatureInvalid):
            adapter.verify(headers, raw, secrets)


@pytest.mark.parametrize("platform", ["mastodon", "discourse"])
def test_a_repetition_is_known_whatever_its_counters_say(platform: str) -> None:
    parsed = {sample.name: parse(platform, sample) for sample in load_samples(platform)}
    ids = {name: delivery.id for name, delivery in parsed.items() if isinstance(delivery, ParsedDelivery)}
    repeats = {sample.name: sample.same_as for sample in load_samples(platform) if sample.same_as}
    assert repeats
    assert {name: ids[name] for name in repeats} == {name: ids[first] for name, first in repeats.items()}
    others = [delivery_id for name, delivery_id in ids.items() if name not in repeats]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize("platform", ["mastodon", "discourse"])
def test_no_personal_data_of_an_account_is_taken(platform: str) -> None:
    (sample,) = [s for s in load_samples(platform) if s.name in ("account_updated", "user_updated")]
    assert b"ana@mail.example" in sample.raw
    delivery = parse(platform, sample)
    assert isinstance(delivery, ParsedDelivery)
    taken = f"{delivery.content!r} {delivery.events}"
    assert "mail" not in taken
    assert "192.0.2.7" not in taken


@by_name
def test_a_body_without_its_parts_is_ignored_and_raises_nothing(platform: str, sample: Sample) -> None:
    if platform == "standard" or sample.answer in ("unreadable", "ping") or len(sample.media) > 10:
        return
    body = json.loads(sample.raw)
    for path in paths(body):
        for value in WRONG:
            ADAPTERS[platform].parse(sample.headers, replaced(body, path, value), SAMPLE_SETTINGS[platform])


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Lists where the parts of a JSON value lie, of lists the first three."""
    parts: Sequence[tuple[str | int, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = [*enumerate(value)][:3]
    return [path, *(below for name, part in parts for below in paths(part, (*path, name)))]


def replaced(body: object, path: tuple[str | int, ...], value: object) -> bytes:
    """Writes the JSON value with another one at that path."""
    copy = {"": json.loads(json.dumps(body))}
    *way, last = ("", *path)
    inner: object = copy
    for name in way:
        inner = inner[name]  # type: ignore[index]  # each is an object or a list
    inner[last] = value  # type: ignore[index]
    return json.dumps(copy[""]).encode()
