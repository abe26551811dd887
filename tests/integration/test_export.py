"""An export is all that is held about a person: as much as a scan of the whole database finds, and nobody else's."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from assent.core.errors import NotFound
from assent.db.pool import Pool, transaction
from assent.keys.keystore import Keystore, TenantKeys
from assent.subjects import links
from assent.subjects.erase import erase
from assent.subjects.export import export_subject
from assent.tenants import init_tenant
from tests import people
from tests.events import SOURCE, rows
from tests.integration.held import held, settle

# Where a document tells of each table's rows. A table that is not here fails the test, if it knows people.
TOLD: dict[str, Callable[[dict[str, Any]], int]] = {
    "subject": lambda d: 1 if d["subject"] else 0,
    "subject_key": lambda d: 1 if d["subject"]["key_epoch"] else 0,
    "consent": lambda d: len(d["consents"]),
    "template": lambda d: len(d["templates"]),
    "connection_list": lambda d: 1 if d["connections"]["stated_at"] else 0,
    "connection": lambda d: d["connections"]["chosen"],
    "chosen_by": lambda d: d["connections"]["chosen_by"],
    "refusal": lambda d: len(d["refusals"]),
    "person_link": lambda d: len(d["links"]),
    "match": lambda d: len(d["matches"]),
    "audit_payload": lambda d: len(d["audit"]),
    "waiting": lambda d: len(d["enrolments"]),
}


def exported(pool: Pool, keys: TenantKeys, ref: str) -> dict[str, Any]:
    """The document as it goes over the wire."""
    with transaction(pool) as conn:
        document: dict[str, Any] = json.loads(json.dumps(export_subject(conn, keys, ref)))
    return document


def test_the_export_equals_what_a_scan_finds(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice", ("bob", "carol"))
    settle(pool, keys, "bob", ("alice",))
    found, document = held(pool, keys, "alice"), exported(pool, keys, "alice")
    assert set(found) == set(TOLD)  # each kind of row is there
    assert {table: told(document) for table, told in TOLD.items()} == dict(found)


def test_what_is_sealed_is_opened(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice", ("bob",))
    document = exported(pool, keys, "alice")
    assert document["subject"]["ref"] == "alice"
    ended, active = document["consents"]
    assert (ended["evidence"], bool(ended["withdrawn_at"])) == (None, True)
    assert active["evidence"] == {"guardian": None, "evidence": {"form": "signed by alice"}}
    assert (active["scope"], active["jurisdiction"], active["withdrawn_at"]) == ("connections", "DE", None)
    for template, seed in zip(document["templates"], (1, 2), strict=True):
        vector = np.frombuffer(base64.b64decode(template["vector"]), "<f2")
        face = np.random.default_rng(seed).standard_normal(128)
        assert (len(vector), template["dimension"], template["quality"]) == (128, 128, 0.75)
        assert vector @ (face / np.linalg.norm(face)) == pytest.approx(1, abs=0.01)
    [match] = document["matches"]
    assert (match["source"], match["media_id"]) == (SOURCE, "photo with alice")
    assert (match["band"], match["box"]) == ("strong", [10, 20, 30, 40])
    [refusal] = document["refusals"]
    assert refusal == {"media_id": "photo without alice", "sha256": "ab" * 32, "box": [1, 2, 3, 4]}
    assert [leaf["action"] for leaf in document["audit"]] == ["consent.given", "consent.given", "media.decided"]
    assert document["audit"][2]["said"]["media"] == "photo with alice"
    assert {link["kind"] for link in document["links"]} == {"link", "session"}
    assert [waiting["photos"] for waiting in document["enrolments"]] == [2]


def test_a_number_of_before_that_json_does_not_have_comes_out_as_text(
    client: TestClient, pool: Pool, keys: TenantKeys, visitor: TestClient, link: Callable[..., str]
) -> None:
    people.give(pool, keys, "alice", evidence={"score": math.nan, "more": [math.inf, -math.inf, 1.5]})
    answer = client.get("/v1/subjects/alice/export")
    assert answer.status_code == 200
    [consent] = answer.json()["consents"]
    assert consent["evidence"]["evidence"] == {"score": "NaN", "more": ["Infinity", "-Infinity", 1.5]}
    assert any("NaN" in note for note in answer.json()["notes"])
    visitor.post(link())
    assert visitor.get("/me/export").json()["consents"] == [consent]


def test_nothing_of_anybody_else_is_in_it_and_no_score(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice", ("bob",))
    settle(pool, keys, "bob", ("alice",))
    text = json.dumps(exported(pool, keys, "alice"))
    assert "bob" not in text
    assert "score" not in text


def test_a_link_to_the_page_is_all_that_is_held_of_who_only_got_one(pool: Pool, keys: TenantKeys) -> None:
    with transaction(pool) as conn:
        token = links.mint(conn, keys, "dora")
    document = exported(pool, keys, "dora")
    assert document["subject"] is None
    assert [link["kind"] for link in document["links"]] == ["link"]
    assert token not in json.dumps(document)


def test_nothing_is_held_of_a_stranger_of_another_tenants_person_or_of_who_was_erased(
    pool: Pool, keys: TenantKeys, keystore: Keystore
) -> None:
    settle(pool, keys, "alice")
    init_tenant(pool, keystore, "other", "elsewhere", None)
    with pytest.raises(NotFound):
        exported(pool, keys, "stranger")
    with pytest.raises(NotFound):
        exported(pool, keystore.tenant("other"), "alice")
    with transaction(pool) as conn:
        erase(conn, keys, "alice")
    with pytest.raises(NotFound):
        exported(pool, keys, "alice")


def test_a_stranger_whom_somebody_chose_is_told_so_and_not_who(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice", ("carol",))
    document = exported(pool, keys, "carol")
    assert document["connections"]["chosen_by"] == 1
    assert "alice" not in json.dumps(document)
    assert rows(pool, "SELECT count(*) FROM subject") == [(1,)]
