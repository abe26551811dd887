"""Libraries of other people, in another language, read what we send and send what we read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from assent.core.errors import SignatureInvalid
from assent.platforms.standard_webhooks import new_secret, sign_webhook, verify_webhook
from tests.contract_files import committed
from tests.fixtures.npm import RunScript

BODY = json.dumps({"type": "media.tagged", "data": {"über": ["é", None, "🙂", 0.5]}}, ensure_ascii=False).encode()
SECRET, OTHER = new_secret(), new_secret()
WARNING = 1  # of the parser's severities; 0 are errors, 2 and 3 hints


def test_standardwebhooks_verifies_what_we_sign_and_we_what_it_signs(run_script: RunScript) -> None:
    now = datetime.now(UTC)
    for headers, verifies in (
        (sign_webhook("msg_1", now, BODY, [SECRET]), True),
        (sign_webhook("msg_1", now, BODY, [OTHER, SECRET]), True),  # while a secret is rotated
        (sign_webhook("msg_1", now, BODY, [OTHER]), False),
        (sign_webhook("msg_1", now, BODY + b" ", [SECRET]), False),
        (sign_webhook("msg_1", now - timedelta(minutes=6), BODY, [SECRET]), False),
        (sign_webhook("msg_1", now, BODY, [SECRET]) | {"webhook-id": "msg_2"}, False),
    ):
        answer = run_script("verify.js", {"secret": SECRET, "headers": headers, "body": BODY.decode()})
        assert answer["verified"] == verifies
        assert verify_webhook(answer["signed"], BODY, [SECRET]) == "msg_theirs"
        with pytest.raises(SignatureInvalid):
            verify_webhook(answer["signed"], BODY, [OTHER])


def test_the_asyncapi_document_is_one(run_script: RunScript) -> None:
    small = {"asyncapi": "3.0.0", "info": {"title": "a", "version": "1"}, "channels": {}}
    dangling = {**small, "operations": {"take": {"action": "receive", "channel": {"$ref": "#/channels/nothing"}}}}
    ours, broken = (
        [(code, message) for severity, code, message in diagnostics if severity <= WARNING]
        for diagnostics in run_script("parse.js", [committed("asyncapi.json"), dangling])
    )
    assert ours == []
    assert broken
