"""Signs and verifies webhooks by Standard Webhooks 1.0.0, without I/O."""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError

from assent.core.encoding import encode_base64
from assent.core.errors import BadRequest, SignatureInvalid

MAX_DELIVERY_ID = 256
SIGNED_HEADERS = {
    "webhook-id": f"The same for every repetition; at most {MAX_DELIVERY_ID} characters.",
    "webhook-timestamp": "Unix seconds, at most 5 minutes off.",
    "webhook-signature": "`v1,<base64 of HMAC-SHA256>`; several may stand side by side.",
}


def new_secret() -> str:
    """Returns a new signing secret of 32 random bytes, as `whsec_<base64>`."""
    return "whsec_" + encode_base64(secrets.token_bytes(32))


def verify_webhook(headers: Mapping[str, str], body: bytes, live_secrets: Sequence[str]) -> str:
    """Returns the delivery's id (`webhook-id`), once one live secret has verified the raw body.

    The signed time may lie 5 minutes off our clock. Raises SignatureInvalid when no secret fits or anything about the
    headers is malformed, BadRequest when the id is too long to keep.
    """
    for secret in live_secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        # The library lets the errors of its parsing through: a header or a body that is no text, a signature that is
        # no base64 or has no comma, a time that is no number or beyond the calendar.
        except (WebhookVerificationError, ValueError, OverflowError, binascii.Error):
            continue
        delivery = headers["webhook-id"]
        if len(delivery) > MAX_DELIVERY_ID or "\x00" in delivery:
            raise BadRequest(f"webhook-id is longer than {MAX_DELIVERY_ID} characters")
        return delivery
    raise SignatureInvalid


def sign_webhook(delivery: str, sent_at: datetime, body: bytes, live_secrets: Sequence[str]) -> dict[str, str]:
    """Returns the three headers of an outgoing delivery, signed with every live secret.

    Several secrets follow "multiple signatures" of Standard Webhooks. `sent_at` is an aware time; each attempt signs
    its own.
    """
    # The library reads the time's fields as if they were UTC.
    moment = sent_at.astimezone(tz=UTC)
    signatures = [Webhook(secret).sign(delivery, moment, body.decode()) for secret in live_secrets]
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
