"""An export is all that is held about a person: as much as a scan of the whole database finds, and nobody else's."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from assent.core.errors import NotFound
from assent.db.pool import Conn, Pool, transaction
from assent.decisions.match_list import list_matches
from assent.keys.keystore import Keystore, TenantKeys
from assent.subjects import links
from assent.subjects.erase import erase
from assent.subjects.export import export_subject
from assent.tenants import init_tenant
from tests import people
from tests.events import SOURCE, leaves, rows
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
    assert (document["unreadable"], document["unattributed"]) == ({}, {})


def test_what_is_sealed_is_opened(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice", ("bob",))
    document = exported(pool, keys, "alice")
    assert document["subject"]["ref"] == "alice"
    ended, active = document["consents"]
    assert (ended["evidence"], bool(ended["withdrawn_at"])) == (None, True)
    assert active["evidence"] == {"guardian": None, "evidence": {"form": "signed by alice"}}
    assert (active["scope"], active["jurisdiction"], active["withdrawn_at"]) == ("connections", "DE", None)
    faces = np.stack([np.random.default_rng(seed).standard_normal(128) for seed in (1, 2)])
    nearest = []
    for template in document["templates"]:
        vector = np.frombuffer(base64.b64decode(template["vector"]), "<f2")
        assert (len(vector), template["dimension"], template["quality"]) == (128, 128, 0.75)
        cosines = faces @ vector / np.linalg.norm(faces, axis=1)
        assert max(cosines) == pytest.approx(1, abs=0.01)
        nearest.append(int(np.argmax(cosines)))
    assert sorted(nearest) == [0, 1]
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


# What cannot be opened is counted

EVERYTHING = {"subject": 1, "consents": 1, "templates": 2, "matches": 1, "refusals": 1, "audit": 3}
UNREADABLE = [
    ("UPDATE template SET sealed = 'x' WHERE id = (SELECT id FROM template LIMIT 1)", {"templates": 1}),
    ("ALTER TABLE consent DISABLE TRIGGER USER; UPDATE consent SET evidence = 'x'", {"consents": 2}),
    ("UPDATE refusal SET sealed = 'x'", {"refusals": 1}),
    ("UPDATE match SET sealed = 'x'", {"matches": 1}),
    ("DELETE FROM decision", {"matches": 1}),
    ("UPDATE decision SET document = '{}'", {"matches": 1}),
    ("UPDATE subject SET sealed = 'x'", {"subject": 1}),
    ("UPDATE audit_payload SET sealed = 'x' WHERE epoch IS NOT NULL", {"audit": 3}),
    ("UPDATE audit_leaf SET leaf = 'x' WHERE leaf LIKE '%consent.given%'", {"audit": 2}),
    ("DELETE FROM audit_leaf", {"audit": 3}),
    ("UPDATE subject_key SET wrapped = 'x'", EVERYTHING),
    ("DELETE FROM subject_key", EVERYTHING),
]
UNATTRIBUTED = [
    ("UPDATE match SET locator = 'x'", {"matches": 1}),
    ("UPDATE match SET slot = 'x'", {"matches": 1}),
    ("UPDATE match SET slot = NULL", {"matches": 1}),
    ("UPDATE audit_payload SET locator = 'x' WHERE epoch IS NOT NULL", {"audit": 4}),
    ("UPDATE event SET sealed = 'x' WHERE source = 'enrolment'", {"enrolments": 1}),
]


@contextmanager
def altered(pool: Pool, change: str) -> Iterator[Conn]:
    """A transaction in which rows were altered; it is undone."""
    with transaction(pool) as conn, conn.transaction(force_rollback=True):
        conn.execute(change.encode())
        yield conn


def newest_leaf(conn: Conn) -> dict[str, Any]:
    row = conn.execute("SELECT leaf FROM audit_leaf ORDER BY seq DESC LIMIT 1").fetchone()
    assert row is not None
    leaf: dict[str, Any] = json.loads(row[0])
    return leaf


def test_what_does_not_open_is_counted_and_the_rest_is_there(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    whole = exported(pool, keys, "alice")
    for change, unreadable in UNREADABLE:
        with altered(pool, change) as conn:
            document = json.loads(json.dumps(export_subject(conn, keys, "alice")))
            assert (document["unreadable"], document["unattributed"]) == (unreadable, {}), change
            assert (newest_leaf(conn)["action"], newest_leaf(conn)["kind"]) == ("seal.broken", "export"), change
        for part in ("connections", "links", "enrolments"):
            assert document[part] == whole[part]
        for part in ("matches", "refusals", "audit"):
            assert len(document[part]) == len(whole[part]) - unreadable.get(part, 0), change
        vectors = [template["vector"] for template in document["templates"]]
        assert (len(vectors), vectors.count(None)) == (2, unreadable.get("templates", 0)), change
    assert leaves(pool, "seal.broken") == []


def test_what_may_be_anybodys_is_counted_for_everybody(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    people.give(pool, keys, "bob")
    for change, unattributed in UNATTRIBUTED:
        for ref in ("alice", "bob"):
            with altered(pool, change) as conn:
                list_matches(conn, keys)  # as once an hour
                document = export_subject(conn, keys, ref)
                assert (document["unreadable"], document["unattributed"]) == ({}, unattributed), change
                assert newest_leaf(conn)["kind"] == "export"


def test_who_was_erased_and_came_back_gets_an_export(pool: Pool, keys: TenantKeys) -> None:
    """What the log and the pictures hold from before lies under a key that is gone: nobody altered it."""
    settle(pool, keys, "alice")
    with transaction(pool) as conn:
        erase(conn, keys, "alice")
    settle(pool, keys, "alice")
    document = exported(pool, keys, "alice")
    assert document["unreadable"]["audit"] == 3
    assert len(document["audit"]) == 3
    assert leaves(pool, "seal.broken") == []
