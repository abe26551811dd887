"""Rate limits: a key's own, and an address's for what does not authenticate."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.core.errors import RateLimited
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.http.api_keys import create_key
from assent.http.limits import _MOST, RATES, Rate, RateLimiter, rate_limit_prefix
from assent.keys.keystore import TenantKeys
from assent.platforms.standard_webhooks import sign_webhook
from assent.tenants import CreatedTenant
from tests.fixtures.figures import Figure


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(limits: RateLimiter, name: str, tries: int = 1000) -> int:
    """How many of so many requests pass."""
    passed = 0
    for _ in range(tries):
        try:
            limits.consume("address", name)
        except RateLimited:
            break
        passed += 1
    return passed


def test_a_bucket_holds_its_burst_and_refills_at_its_rate() -> None:
    clock = Clock()
    limits = RateLimiter({"address": Rate(2, 10)}, clock)
    assert taken(limits, "a") == 10
    with pytest.raises(RateLimited) as refused:
        limits.consume("address", "a")
    assert refused.value.wait_seconds == 1
    clock.now += 1.5
    assert taken(limits, "a") == 3
    assert taken(limits, "b") == 10
    clock.now += 3600
    assert taken(limits, "a") == 10


def test_what_is_given_back_is_there_again_and_no_more() -> None:
    limits = RateLimiter({"address": Rate(1, 5)}, Clock())
    for _ in range(100):
        limits.consume("address", "a")
        limits.refund("address", "a")
    limits.refund("address", "a")
    assert taken(limits, "a") == 5


def test_buckets_are_bounded_whatever_addresses_come() -> None:
    limits = RateLimiter(clock=Clock())
    for n in range(_MOST * 3):
        limits.consume("address", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(limits._buckets["address"]) == _MOST


def test_threads_take_no_more_than_there_is() -> None:
    limits, passed = RateLimiter({"address": Rate(0.001, 500)}, Clock()), list[int]()
    threads = [threading.Thread(target=lambda: passed.append(taken(limits, "a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 500


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("made-up", ""),
        ("", ""),
        ("x" * 10_000, ""),
    ],
)
def test_one_subscriber_is_one_address(host: str, bucket: str) -> None:
    assert rate_limit_prefix(host) == bucket


@pytest.fixture
def app(settings: Settings, database_url: str, made: CreatedTenant) -> FastAPI:
    return create_app(settings, database_url)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, client=("203.0.113.1", 1)) as client:
        app.state.limits = RateLimiter(clock=Clock())  # time stands still
        yield client


def test_a_stranger_is_slowed_down_and_others_are_not(
    client: TestClient, app: FastAPI, made: CreatedTenant, figure: Figure
) -> None:
    burst = RATES["address"].burst
    bad = {"authorization": "Bearer assent_default_0123456789ab_" + "k" * 43}
    answers = [client.get("/v1/media/x", headers=bad) for _ in range(burst // 2)]
    answers += [client.post("/v1/webhooks/platform", content=b"{}") for _ in range(burst)]
    assert Counter(answer.status_code for answer in answers) == {401: burst, 429: burst // 2}
    last = answers[-1]
    assert (last.json()["code"], last.headers["retry-after"]) == ("rate_limited", "1")
    assert client.get("/readyz").status_code == 429
    elsewhere = TestClient(app, client=("203.0.113.2", 1))
    assert elsewhere.get("/v1/media/x", headers={"authorization": f"Bearer {made.api_key}"}).status_code == 404
    app.state.limits._clock.now += 1
    assert client.get("/v1/media/x", headers=bad).status_code == 401
    figure(f"{len(answers)} requests of a stranger: {burst} looked at, {burst // 2} refused")


def test_a_key_is_bounded_and_its_requests_cost_its_address_nothing(
    client: TestClient, made: CreatedTenant, keys: TenantKeys, pool: Pool
) -> None:
    burst = RATES["key"].burst
    key = {"authorization": f"Bearer {made.api_key}"}
    statuses = Counter(client.get("/v1/media/x", headers=key).status_code for _ in range(burst + 10))
    assert statuses == {404: burst, 429: 10}
    with transaction(pool) as conn:
        other = create_key(conn, keys)
    assert client.get("/v1/media/x", headers={"authorization": f"Bearer {other}"}).status_code == 404
    # Neither has touched the address's bucket.
    spent = Counter(client.get("/nothing").status_code for _ in range(RATES["address"].burst + 1))
    assert spent == {404: RATES["address"].burst, 429: 1}


def test_signed_webhooks_cost_their_address_nothing(client: TestClient, made: CreatedTenant) -> None:
    statuses = Counter[int]()
    for n in range(RATES["address"].burst + 50):
        body = json.dumps({"type": "media.deleted", "media": [{"id": f"{n}", "url": "http://a.example/"}]}).encode()
        headers = sign_webhook(f"msg_{n}", datetime.now(UTC), body, [made.source_secret])
        statuses[client.post("/v1/webhooks/platform", content=body, headers=headers).status_code] += 1
    assert statuses == {202: RATES["address"].burst + 50}
