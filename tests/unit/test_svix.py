"""What many receivers verify webhooks with reads what is sent, and what it signs is taken."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from svix.webhooks import Webhook, WebhookVerificationError

from assent.core.errors import SignatureInvalid
from assent.platforms.standard_webhooks import new_secret, sign_webhook, verify_webhook

BODY = '{"type":"media.tagged","data":{"über":"é"}}'
SECRET, OTHER = new_secret(), new_secret()


def test_svix_verifies_what_is_sent() -> None:
    now = datetime.now(UTC)
    Webhook(SECRET).verify(BODY, sign_webhook("msg_1", now, BODY.encode(), [SECRET]))
    Webhook(SECRET).verify(BODY, sign_webhook("msg_1", now, BODY.encode(), [OTHER, SECRET]))
    for secret, body in ((OTHER, BODY), (SECRET, BODY + " ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, sign_webhook("msg_1", now, BODY.encode(), [SECRET]))


def test_what_svix_signs_is_taken() -> None:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_theirs",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_theirs", now, BODY),
    }
    assert verify_webhook(headers, BODY.encode(), [SECRET]) == "msg_theirs"
    with pytest.raises(SignatureInvalid):
        verify_webhook(headers, BODY.encode(), [OTHER])
