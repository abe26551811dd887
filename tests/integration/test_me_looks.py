"""However many people look at their pages or send photos at once, webhooks are stored and answered."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from assent.core.http_errors import FormsWaiting
from assent.db.pool import Pool
from assent.http import forms
from assent.http.limits import RATES
from assent.keys.keystore import TenantKeys
from assent.platforms.standard_webhooks import sign_webhook
from assent.tenants import CreatedTenant
from tests import people
from tests.events import rows
from tests.integration.me_page import submit
from tests.waiting import until

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'match'::regclass"


def post(client: TestClient, made: CreatedTenant, n: int) -> int:
    """Sends a webhook; returns the answer's status."""
    body = json.dumps(
        {
            "schema": "assent.event/1",
            "type": "media.created",
            "media": [{"id": f"photo-{n}", "url": "https://media.example/p.jpg"}],
        }
    ).encode()
    headers = sign_webhook(f"msg_{n}", datetime.now(UTC), body, [made.source_secret])
    return client.post("/v1/webhooks/platform", content=body, headers=headers).status_code


def test_thirteen_looks_keep_no_connection_from_webhooks(
    alice: TestClient, made: CreatedTenant, pool: Pool, keys: TenantKeys, database_url: str
) -> None:
    people.give(pool, keys, "alice")
    with ThreadPoolExecutor(13) as threads, psycopg.connect(database_url) as holds:
        holds.execute("LOCK TABLE match IN ACCESS EXCLUSIVE MODE")  # what reads a list takes as long as this is held
        looks = [threads.submit(alice.get, "/me/seen") for _ in range(13)]
        until(lambda: rows(pool, WAITING)[0][0] > 0, "a look waits")
        answers = [post(alice, made, n) for n in range(20)]
        assert not any(look.done() for look in looks)
        holds.rollback()
        assert [look.result().status_code for look in looks] == [200] * 13
    assert answers == [202] * 20


def test_one_large_form_is_read_at_a_time_and_a_small_one_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forms, "FORM_PATIENCE_S", 0.05)

    async def read() -> None:
        turns = forms.BigForms()
        async with turns.turn(announcing(str(20 << 20))):
            async with turns.turn(announcing("1000")):
                pass
            for announced in (str(20 << 20), ""):
                with pytest.raises(FormsWaiting):
                    await turns.turn(announcing(announced)).__aenter__()
        async with turns.turn(announcing("")):
            pass

    asyncio.run(read())


def announcing(length: str) -> Request:
    headers = [(b"content-length", length.encode())] if length else []
    return Request({"type": "http", "headers": headers})


def test_who_sends_photos_too_often_waits(alice: TestClient) -> None:
    sent = [submit(alice, "/me/photos", {}).status_code for _ in range(RATES["photos"].burst + 1)]
    assert (set(sent[:-1]), sent[-1]) == ({422}, 429)
