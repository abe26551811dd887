"""Sends the samples of a platform to a running server, well and badly, and says what it answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from urllib.parse import urlsplit

from assent.core.errors import AssentError, BadRequest
from assent.core.settings import AllowedHost
from assent.net.answer import Response
from assent.net.client import ExchangeLimits, RequestBody, request
from assent.platforms.conformance import Sample, load_samples
from assent.platforms.registry import ADAPTERS
from assent.platforms.standard_webhooks import new_secret

_LIMITS = ExchangeLimits(first_byte_s=30, total_s=60, max_bytes=65_536)
_REFUSED = "401"
_TRIES = 20
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One answer to one sample that was sent in one way: `expected` and `answered` are equal where all is well."""

    sample: str
    sent: str
    expected: str
    answered: str

    @property
    def passed(self) -> bool:
        return self.expected == self.answered


@dataclass(frozen=True, slots=True)
class SampleSender:
    """Sends deliveries of a platform to the address of a source's webhook."""

    platform: str
    url: str
    secret: str
    allow: tuple[AllowedHost, ...]

    def send(self, sample: Sample, raw: bytes, signed: bytes | None, secret: str | None = None) -> str:
        """Sends a body with the signature of `signed`, or without one; returns the answer in a word or two."""
        headers = dict(sample.headers)
        if signed is not None:
            headers |= ADAPTERS[self.platform].sign(signed, secret or self.secret, f"sample-{sample.name}")
        for _ in range(_TRIES):
            try:
                response = self._post(headers, raw)
            except AssentError as error:
                return f"{error.code}: {error.detail}"
            if response.status != 429:
                break
            # So many that are not signed look like an attack, and the server asks for a pause, as it should.
            asked = response.headers.get("retry-after", "")
            time.sleep(min(float(asked) if asked.isdecimal() else 1.0, _LONGEST_PAUSE_S))
        return _in_words(response)

    def _post(self, headers: Mapping[str, str], raw: bytes) -> Response:
        return request("POST", self.url, headers=headers, body=RequestBody(raw), limits=_LIMITS, allow=self.allow)


def check_server(platform: str, url: str, secret: str) -> Iterator[Check]:
    """Sends every sample of the platform to a source's webhook in seven ways, and yields each answer.

    The source has usual settings, and what it accepts is looked at: use an installation made for this. Raises
    BadRequest for an unknown platform or an address that is none.
    """
    if platform not in ADAPTERS:
        raise BadRequest(f"{platform!r} is none of {', '.join(ADAPTERS)}")
    sender = SampleSender(platform, url, secret, _named_host(url))
    samples = load_samples(platform)
    first = {}
    for sample in samples:
        first[sample.name] = sender.send(sample, sample.raw, sample.raw)
        yield Check(sample.name, "signed", _expected(sample), first[sample.name].partition(" ")[0])
    for sample in samples:
        yield from _refused(sender, sample)
        yield Check(sample.name, "again", first[sample.name], sender.send(sample, sample.raw, sample.raw))
        short = sample.raw[: len(sample.raw) // 2]
        cut = "400" if platform == "standard" else "unreadable"
        yield Check(sample.name, "truncated, signed", cut, sender.send(sample, short, short))
    for sample in reversed(samples):
        # Other bytes that say the same, where a repetition is known by its content.
        raw = sample.raw if platform == "standard" else b" " + sample.raw
        yield Check(sample.name, "reordered", first[sample.name], sender.send(sample, raw, raw))
    large = b" " * ADAPTERS[platform].max_body + samples[0].raw
    yield Check(samples[0].name, "oversized", "413", sender.send(samples[0], large, large))


def _refused(sender: SampleSender, sample: Sample) -> Iterator[Check]:
    raw = sample.raw
    yield Check(sample.name, "unsigned", _REFUSED, sender.send(sample, raw, None))
    yield Check(sample.name, "wrong secret", _REFUSED, sender.send(sample, raw, raw, new_secret()))
    yield Check(sample.name, "truncated", _REFUSED, sender.send(sample, raw[: len(raw) // 2], raw))


def _expected(sample: Sample) -> str:
    return "event" if sample.answer == "event" else sample.answer


def _in_words(response: Response) -> str:
    """Returns `event` and its id, the reason for which a delivery is ignored, or the status that refuses it."""
    try:
        answer = json.loads(response.body)
    except ValueError:
        answer = None
    if response.status != 202 or not isinstance(answer, dict):
        return str(response.status)
    return f"event {answer['event']}" if "event" in answer else str(answer.get("ignored"))


def _named_host(url: str) -> tuple[AllowedHost, ...]:
    """Permits the host that the operator named, wherever it is."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BadRequest(f"{url!r} is no address") from error
    return tuple(AllowedHost(parts.hostname or "", port, ip_network(network)) for network in ("0.0.0.0/0", "::/0"))
