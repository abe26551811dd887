"""Reads deliveries of `assent.event/1` that were signed by Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assent.platforms.delivery import ParsedDelivery, SourceSettings
from assent.platforms.event import parse_event
from assent.platforms.standard_webhooks import verify_webhook


def verify_standard(headers: Mapping[str, str], raw: bytes, live_secrets: Sequence[str]) -> None:
    """Checks a delivery's signature. Raises SignatureInvalid, or BadRequest for an id too long to keep."""
    verify_webhook(headers, raw, live_secrets)


def parse_standard(headers: Mapping[str, str], raw: bytes, _settings: SourceSettings) -> ParsedDelivery:
    """Reads the event in a verified delivery. Raises BadRequest naming the field that is wrong."""
    return ParsedDelivery(headers["webhook-id"], raw, (parse_event(raw),))
