"""The person's rights over HTTP: to be forgotten, to have everything, to come to their own page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import rfc8785
from fastapi.testclient import TestClient

from assent.audit import checkpoint, receipt
from assent.db.pool import Pool, transaction
from assent.decisions.retract import retract
from assent.http.api_keys import create_key
from assent.http.limits import RATES, RateLimiter
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import links
from assent.subjects.erase import complete_erasures
from tests.events import rows
from tests.integration.held import settle


def test_from_the_request_to_the_receipt(client: TestClient, pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    begun = datetime.now(UTC)
    asked = client.delete("/v1/subjects/alice")
    assert (asked.status_code, set(asked.json()), asked.headers["cache-control"]) == (
        202,
        {"receipt", "rotation_by"},
        "no-store",
    )
    by = datetime.fromisoformat(asked.json()["rotation_by"])
    assert timedelta(minutes=59) < by - begun < timedelta(minutes=61)
    place = f"/v1/erasures/{asked.json()['receipt']}"
    waiting = client.get(place, headers={"Authorization": ""})  # the token is enough
    assert (waiting.status_code, waiting.json()) == (
        202,
        {"state": "pending", "rotation_by": asked.json()["rotation_by"]},
    )
    [(erasure,)] = rows(pool, "SELECT id FROM erasure")
    retract(pool, keys, derive_pseudonym(keys, "alice"), erasure)
    with transaction(pool) as conn:
        complete_erasures(conn, keys, 1)
    first, second = (client.get(place, headers={"Authorization": ""}) for _ in range(2))
    assert (first.status_code, first.content) == (200, second.content)
    assert first.content == rfc8785.dumps(first.json())
    assert receipt.verify_receipt(first.content, checkpoint.verifier(keys)).erasure == str(erasure)


def test_an_unknown_person_gets_the_same_answer(client: TestClient, pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    known, unknown = client.delete("/v1/subjects/alice"), client.delete("/v1/subjects/nobody")
    assert (known.status_code, known.json().keys()) == (unknown.status_code, unknown.json().keys())
    assert len(known.content) == len(unknown.content)


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "ä"])
def test_an_unknown_token_is_not_found(client: TestClient, token: str) -> None:
    answer = client.get(f"/v1/erasures/{token}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_whoever_tries_tokens_is_slowed_down(client: TestClient) -> None:
    client.app.state.limits = RateLimiter(clock=lambda: 0.0)  # type: ignore[attr-defined]  # nothing is gained meanwhile
    burst = RATES["address"].burst
    answers = [client.get(f"/v1/erasures/{n}", headers={"Authorization": ""}) for n in range(burst + 1)]
    assert [answer.status_code for answer in answers] == [404] * burst + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_each_right_has_its_scope(client: TestClient, pool: Pool, keys: TenantKeys) -> None:
    with transaction(pool) as conn:
        deletes = create_key(conn, keys, ("subjects:delete",))
        writes = create_key(conn, keys, ("subjects:write",))
    calls = {
        ("DELETE", "/v1/subjects/zoe"): (202, 403),
        ("GET", "/v1/subjects/zoe/export"): (403, 404),
        ("POST", "/v1/subjects/zoe/links"): (403, 201),
        ("DELETE", "/v1/subjects/zoe/links"): (403, 204),
    }
    for (method, path), expected in calls.items():
        answers = [
            client.request(method, path, headers={"Authorization": f"Bearer {key}"}) for key in (deletes, writes)
        ]
        assert tuple(answer.status_code for answer in answers) == expected


def test_the_export_is_the_persons_and_is_kept_nowhere(client: TestClient, pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    answer = client.get("/v1/subjects/alice/export")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["subject"]["ref"] == "alice"
    assert client.get("/v1/subjects/nobody/export").status_code == 404


def test_a_link_is_minted_for_as_long_as_asked(client: TestClient, pool: Pool, keystore: Keystore) -> None:
    for sent, days in ((None, 7), ({}, 7), ({"valid_days": 30}, 30)):
        answer = (
            client.post("/v1/subjects/alice/links", json=sent)
            if sent is not None
            else client.post("/v1/subjects/alice/links")
        )
        assert answer.status_code == 201
        lasts = datetime.fromisoformat(answer.json()["expires_at"]) - datetime.now(UTC)
        assert timedelta(days=days) - lasts < timedelta(minutes=1)
    assert rows(pool, "SELECT count(*) FROM person_link WHERE kind = 'link'") == [(3,)]
    with transaction(pool) as conn:
        assert links.spend(conn, keystore, answer.json()["url"].removeprefix("/me/"))


@pytest.mark.parametrize("sent", [{"valid_days": 31}, {"valid_days": 0}, {"valid_days": "7"}, {"days": 7}, [], 7])
def test_a_wrong_request_for_a_link_mints_none(client: TestClient, pool: Pool, sent: object) -> None:
    answer = client.post("/v1/subjects/alice/links", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert rows(pool, "SELECT count(*) FROM person_link") == [(0,)]
