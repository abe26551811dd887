"""Consents and connections over HTTP: what is taken, what is refused and how, what is shown."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.core.settings import Settings
from assent.db.pool import Pool
from assent.keys.keystore import Keystore
from assent.tenants import CreatedTenant, init_tenant
from tests.events import rows

CONSENT = {
    "subject": "alice",
    "purpose": "face-match",
    "notice": "We recognise you in photos.",
    "notice_version": "2026-11",
    "jurisdiction": "DE",
    "method": "settings page",
    "age": "adult",
}


def give(client: TestClient, key: str | None = None, **changes: Any) -> Any:
    headers = {"Idempotency-Key": key} if key is not None else {}
    return client.post("/v1/consents", json={**CONSENT, **changes}, headers=headers)


def refused(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_a_consent_is_recorded_and_shown(client: TestClient) -> None:
    given = give(client, evidence={"form": 7}, scope="own")
    assert given.status_code == 201
    shown = client.get(f"/v1/consents/{given.json()['id']}")
    assert shown.status_code == 200
    assert {key: shown.json()[key] for key in ("scope", "state", "age", "evidence")} == {
        "scope": "own",
        "state": "granted",
        "age": "adult",
        "evidence": True,
    }
    assert "form" not in shown.text
    assert client.post(f"/v1/consents/{given.json()['id']}/withdraw").status_code == 204
    assert client.get(f"/v1/consents/{given.json()['id']}").json()["state"] == "withdrawn"
    assert refused(client.get(f"/v1/consents/{UUID(int=0)}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"purpose": "advertising"}, 400, "bad_request"),
        ({"purpose": None}, 400, "bad_request"),
        ({"age": "17"}, 400, "bad_request"),
        ({"age": None}, 400, "bad_request"),
        ({"age": "minor"}, 422, "guardian_missing"),
        ({"age": "unknown"}, 422, "guardian_missing"),
        ({"age": "minor", "guardian": ""}, 400, "bad_request"),
        ({"scope": "anyone"}, 422, "anyone_undeclared"),
        ({"scope": "everyone"}, 400, "bad_request"),
        ({"evidence": "x" * 4097}, 400, "bad_request"),
        ({"evidence": {"list": ["é"] * 1000}}, 400, "bad_request"),
        ({"notice_version": ""}, 400, "bad_request"),
        ({"jurisdiction": "Germany"}, 400, "bad_request"),
        ({"valid_days": 0}, 400, "bad_request"),
        ({"valid_days": 1097}, 400, "bad_request"),
        ({"given_at": "2020-01-01T00:00:00Z"}, 400, "bad_request"),
    ],
)
def test_what_is_no_consent_is_refused_and_nothing_stored(
    client: TestClient, pool: Pool, changes: dict[str, Any], status: int, code: str
) -> None:
    assert refused(give(client, **changes)) == (status, code)
    for table in ("subject", "consent", "idempotency"):
        assert rows(pool, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - ours


@pytest.mark.parametrize(
    "evidence",
    [
        '{"score": NaN}',
        '{"score": -Infinity}',
        '{"score": [0, {"of": 1e400}]}',
        '{"score": ' + "9" * 400 + "}",
        '{"score": 1, "score": 2}',
        '{"by": "\\ud800"}',
    ],
)
def test_evidence_that_no_answer_could_carry_is_refused(client: TestClient, pool: Pool, evidence: str) -> None:
    body = json.dumps(CONSENT)[:-1] + f', "evidence": {evidence}}}'
    assert refused(client.post("/v1/consents", content=body)) == (400, "bad_request")
    assert rows(pool, "SELECT count(*) FROM consent") == [(0,)]


@pytest.mark.parametrize("missing", ["age", "notice_version", "notice", "jurisdiction", "method", "purpose", "subject"])
def test_every_field_that_a_record_needs_has_to_be_there(client: TestClient, missing: str) -> None:
    said = {key: value for key, value in CONSENT.items() if key != missing}
    answer = client.post("/v1/consents", json=said)
    assert refused(answer) == (400, "bad_request")
    assert missing in answer.json()["detail"]


def test_a_guardian_may_agree_for_a_minor(client: TestClient) -> None:
    assert give(client, age="minor", guardian="signed on paper by her mother").status_code == 201


def test_anyone_where_the_deployer_declared_it(
    settings: Settings, database_url: str, made: CreatedTenant, pool: Pool
) -> None:
    declared = settings.model_copy(update={"anyone_declaration": "It is lawful here."})
    app = create_app(declared, database_url)
    with TestClient(app, headers={"Authorization": f"Bearer {made.api_key}"}) as client:
        assert give(client, scope="anyone").status_code == 201
    leaves = [json.loads(bytes(leaf)) for (leaf,) in rows(pool, "SELECT leaf FROM audit_leaf ORDER BY seq")]
    assert [leaf["action"] for leaf in leaves][-2:] == ["anyone.declared", "consent.given"]
    assert "lawful" not in json.dumps(leaves)


def test_the_same_key_is_one_consent(client: TestClient, pool: Pool) -> None:
    first, second = give(client, "order-7"), give(client, "order-7")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert refused(give(client, "order-7", scope="own")) == (409, "idempotency_conflict")
    assert rows(pool, "SELECT count(*) FROM consent") == [(1,)]
    assert give(client, "order-8").json() != first.json()


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "caf\xe9"])
def test_a_key_that_is_none_is_refused(client: TestClient, pool: Pool, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = client.post("/v1/consents", json=CONSENT, headers=headers)  # type: ignore[arg-type]  # bytes go out as they are
    assert refused(answer) == (400, "bad_request")
    assert rows(pool, "SELECT count(*) FROM consent") == [(0,)]


def test_a_person_is_shown_as_what_is_on_record(client: TestClient) -> None:
    assert refused(client.get("/v1/subjects/alice")) == (404, "not_found")
    first, second = give(client).json()["id"], give(client, scope="own").json()["id"]
    client.put("/v1/subjects/alice/connections", json={"connections": ["bob", "carol"]})
    shown = client.get("/v1/subjects/alice").json()
    assert [(one["id"], one["state"]) for one in shown["consents"]] == [(second, "granted"), (first, "replaced")]
    assert shown["templates"] == []
    assert shown["connections"]["count"] == 2
    assert "bob" not in json.dumps(shown)


def test_connections_are_stated_for_who_consents(client: TestClient) -> None:
    place = "/v1/subjects/alice/connections"
    assert refused(client.put(place, json={"connections": ["bob"]})) == (409, "consent_missing")
    given = give(client)
    said = client.put(place, json={"connections": ["bob", "bob", "carol"]})
    assert (said.status_code, said.json()["count"]) == (200, 2)
    assert client.put(place, json={"connections": []}).json()["count"] == 0
    client.post(f"/v1/consents/{given.json()['id']}/withdraw")
    assert refused(client.put(place, json={"connections": ["bob"]})) == (409, "consent_missing")


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"connections": [f"author {n}" for n in range(5001)]}, 422, "too_many_connections"),
        ({"connections": ["same"] * 5001}, 422, "too_many_connections"),
        ({"connections": "bob"}, 400, "bad_request"),
        ({"connections": [""]}, 400, "bad_request"),
        ({"connections": ["a\x00b"]}, 400, "bad_request"),
        ({"connections": [7]}, 400, "bad_request"),
        ({}, 400, "bad_request"),
        ({"connections": [], "replace": False}, 400, "bad_request"),
    ],
)
def test_a_list_that_is_none_changes_nothing(
    client: TestClient, pool: Pool, said: dict[str, Any], status: int, code: str
) -> None:
    give(client)
    client.put("/v1/subjects/alice/connections", json={"connections": ["bob"]})
    assert refused(client.put("/v1/subjects/alice/connections", json=said)) == (status, code)
    assert rows(pool, "SELECT count(*) FROM connection") == [(1,)]


def test_another_tenants_key_sees_and_ends_nothing(
    client: TestClient, pool: Pool, keystore: Keystore, made: CreatedTenant
) -> None:
    other = init_tenant(pool, keystore, "other", "elsewhere", None)
    theirs = {"Authorization": f"Bearer {other.api_key}"}
    given = give(client, "order-7").json()["id"]
    assert refused(client.get(f"/v1/consents/{given}", headers=theirs)) == (404, "not_found")
    assert refused(client.get("/v1/subjects/alice", headers=theirs)) == (404, "not_found")
    assert refused(client.post(f"/v1/consents/{given}/withdraw", headers=theirs)) == (404, "not_found")
    said = client.put("/v1/subjects/alice/connections", json={"connections": []}, headers=theirs)
    assert refused(said) == (409, "consent_missing")
    assert client.get(f"/v1/consents/{given}").json()["state"] == "granted"
