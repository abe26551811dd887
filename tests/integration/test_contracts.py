"""What endpoints, callbacks and callers get is what `docs/contracts` promises, for every type and every audience."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from jsonschema_rs import ValidationError

from assent.core.values import Action, Audience
from assent.db.pool import transaction
from assent.http.webhooks import WEBHOOKS
from assent.policy.versions import Policies
from assent.subjects.matches import approve
from assent.tenants import add_endpoint
from tests.acting import Acting
from tests.contract_files import committed, hold_decision_to_contract, hold_to_contract
from tests.events import decision, media_item
from tests.integration.album import Album
from tests.platform_api import Api
from tests.unit.policy_files import policy, rule

AUDIENCES: tuple[Audience, ...] = ("author", "person", "public")
CALLBACKS = {name for name in WEBHOOKS if name.startswith("action.")}
RULE = rule("people", "faces.count >= 6", action="label", notify=["author", "public"])
OPEN = {"id": "all-learn", "to": ["author", "public"], "matches": True}


@pytest.fixture
def asking(album: Album, tmp_path: Path) -> Album:
    """An album with an endpoint of each audience, whose people are asked first."""
    made = policy(tmp_path, rules=[RULE], emit=[OPEN], matches={"approval": "always"})
    with transaction(album.bench.pool) as conn:
        for audience in AUDIENCES:
            add_endpoint(conn, album.keys, audience, f"{album.web.url}/{audience}", audience)
    return replace(album, bench=replace(album.bench, policies=Policies(made)))


def test_every_message_is_what_the_openapi_document_says(asking: Album, client: TestClient) -> None:
    consent = asking.opt_in("alice", "second")
    asking.post(author="alice")
    asking.post("broken", b"no image")
    bodies = asking.deliver()  # each held to the document
    face = next(body for body in bodies if body["type"] == "tag.suggested")["data"]["suggestions"][0]["face"]
    approve(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), face)
    bodies += asking.deliver()
    for audience, subject in (("platform", None), ("author", None), ("public", None), ("person", "alice")):
        query = {"audience": audience, **({"subject": subject} if subject else {})}
        document = hold_decision_to_contract(client.get("/v1/media/group", params=query).json())
        assert document["audience"] == audience
    client.post("/v1/media/group/corrections", json={"add": ["text.code"], "action": "limit"})
    bodies += asking.deliver()
    asking.withdraw(consent)
    asking.work()
    bodies += asking.deliver()
    assert {body["type"] for body in bodies} == set(WEBHOOKS) - CALLBACKS
    assert {body["data"].get("audience") for body in bodies} == {"platform", "author", "public", None}


def test_every_callback_is_what_the_openapi_document_says(acting: Acting, api: Api) -> None:
    acting.decide("app", "photo-1", ["hide"])
    acting.settle()
    acting.decide("app", "photo-1", [], Action.allow)
    acting.settle()
    assert {hold_to_contract(json.loads(body))["type"] for body in api.bodies} == CALLBACKS


def test_a_part_that_nobody_promised_is_noticed(album: Album) -> None:
    album.post()
    document = decision(album.bench, album.keys, "group")
    for wrong in changed(document):
        with pytest.raises(ValidationError):
            hold_decision_to_contract(wrong)


def changed(document: dict[str, object]) -> Iterator[dict[str, object]]:
    """The decision with a part too many, one too few, of another kind, or null where it had been left out."""
    yield {**document, "embedding": [0.1]}
    yield {name: part for name, part in document.items() if name != "withheld"}
    yield {**document, "action": "maybe"}
    yield {**document, "error": None}


def test_a_server_answers_with_the_committed_document(client: TestClient) -> None:
    assert client.get("/openapi.json").json() == committed("openapi.json")
