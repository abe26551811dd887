"""Standard Webhooks signatures: what verifies, and what is refused without a guess."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from assent.core.errors import BadRequest, SignatureInvalid
from assent.platforms.standard_webhooks import new_secret, sign_webhook, verify_webhook

BODY = b'{"type":"media.created"}'
SECRET, OTHER = new_secret(), new_secret()
Headers = dict[str, str]


def signed(delivery: str = "msg_1", *, age: timedelta = timedelta(0), secrets: tuple[str, ...] = (SECRET,)) -> Headers:
    return sign_webhook(delivery, datetime.now(UTC) - age, BODY, secrets)


def test_a_signed_body_gives_its_delivery_id() -> None:
    assert verify_webhook(signed("msg_7"), BODY, [SECRET]) == "msg_7"


def test_a_signature_is_what_the_specification_says() -> None:
    headers = signed("msg_7")
    content = f"msg_7.{headers['webhook-timestamp']}.".encode() + BODY
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def test_either_of_two_live_secrets_verifies() -> None:
    assert verify_webhook(signed(secrets=(OTHER,)), BODY, [SECRET, OTHER]) == "msg_1"
    assert verify_webhook(signed(secrets=(OTHER, SECRET)), BODY, [SECRET]) == "msg_1"


@pytest.mark.parametrize("minutes", [4, -4])
def test_a_clock_four_minutes_off_is_accepted(minutes: int) -> None:
    assert verify_webhook(signed(age=timedelta(minutes=minutes)), BODY, [SECRET])


@pytest.mark.parametrize("minutes", [6, -6, 60 * 24 * 365])
def test_beyond_five_minutes_is_refused(minutes: int) -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook(signed(age=timedelta(minutes=minutes)), BODY, [SECRET])


def without(name: str) -> Callable[[Headers], Headers]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def setting(name: str, value: str) -> Callable[[Headers], Headers]:
    return lambda headers: {**headers, name: value}


@pytest.mark.parametrize(
    "change",
    [
        without("webhook-id"),
        without("webhook-timestamp"),
        without("webhook-signature"),
        setting("webhook-id", "msg_2"),
        setting("webhook-timestamp", "0"),
        setting("webhook-timestamp", "soon"),
        setting("webhook-timestamp", "1e400"),
        setting("webhook-timestamp", "9" * 400),
        setting("webhook-timestamp", "nan"),
        setting("webhook-timestamp", "-99999999999999"),
        setting("webhook-signature", ""),
        setting("webhook-signature", "v1"),
        setting("webhook-signature", "v1,"),
        setting("webhook-signature", "v1,AAAA"),
        setting("webhook-signature", "v1,not base64"),
        setting("webhook-signature", "v1,ü"),
        setting("webhook-signature", "v2,AAAA v1a,AAAA"),
        setting("webhook-signature", ",,,, ,"),
    ],
)
def test_anything_else_about_the_headers_is_refused(change: Callable[[Headers], Headers]) -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook(change(signed()), BODY, [SECRET])


@pytest.mark.parametrize("body", [b"", BODY + b" ", b"\xff\xfe", BODY.replace(b"created", b"deleted")])
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook(signed(), body, [SECRET])


def test_no_secret_verifies_nothing() -> None:
    with pytest.raises(SignatureInvalid):
        verify_webhook(signed(), BODY, [])


def test_an_id_too_long_to_keep_is_refused() -> None:
    with pytest.raises(BadRequest):
        verify_webhook(signed("m" * 257), BODY, [SECRET])
