"""Reads deliveries of `assent.event/1` that were signed by Standard Webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from assent.platforms.delivery import ParsedDelivery, SourceSettings
from assent.platforms.event import parse_event
from assent.platforms.standard_webhooks import sign_webhook, verify_webhook


def verify_standard(headers: Mapping[str, str], raw: bytes, live_secrets: Sequence[str]) -> None:
    """Checks a delivery's signature. Raises SignatureInvalid, or BadRequest for an id too long to keep."""
    verify_webhook(headers, raw, live_secrets)


def sign_standard(raw: bytes, secret: str, delivery: str) -> dict[str, str]:
    """Signs a delivery of that id now, as Standard Webhooks asks."""
    return sign_webhook(delivery, datetime.now(UTC), raw, [secret])


def parse_standard(headers: Mapping[str, str], raw: bytes, _settings: SourceSettings) -> ParsedDelivery:
    """Reads the event in a verified delivery. Raises BadRequest naming the field that is wrong."""
    return ParsedDelivery(headers["webhook-id"], raw, (parse_event(raw),))
