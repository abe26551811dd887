"""One document per audience: what the policy lets each know, over the API and at endpoints of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from assent.core.values import Audience, Perception, Tag
from assent.db.pool import transaction
from assent.policy.versions import Policies
from assent.tenants import add_endpoint
from tests.events import rows
from tests.integration.album import Album
from tests.photos import FACES
from tests.unit.policy_files import policy, rule

OPEN = {"id": "authors-learn", "to": ["author"], "matches": True}
SHUT = {"id": "no-feet-for-all", "to": ["author", "public"], "never": ["nudity.partial"]}


@pytest.fixture
def told(album: Album, tmp_path: Path) -> Album:
    """A policy that tells authors and the public; the photo has bare feet and a telephone number in it."""
    made = policy(
        tmp_path,
        rules=[
            rule("people", "faces.count >= 6", action="label", notify=["author", "public"]),
            rule("numbers", "text.has_contact", rename={"text.contact": "contact"}),
        ],
        emit=[OPEN, SHUT],
    )
    perceive = album.bench.stages.perceive

    def more(picture: Any, comparable: bool) -> Perception:
        seen = perceive(picture, comparable)
        tags = (
            Tag("nudity.partial.feet", "safety", 0.91, (1, 2, 3, 4), 0, "m"),
            Tag("text.contact.phone", "text", 0.92, (5, 6, 7, 8), 0, "m"),
        )
        return replace(seen, tags=tags)

    tools = replace(album.bench.stages, perceive=more)
    with transaction(album.bench.pool) as conn:
        audiences: tuple[Audience, ...] = ("author", "public", "person")
        for audience in audiences:
            add_endpoint(conn, album.keys, audience, f"{album.web.url}/{audience}", audience)
    return replace(album, bench=replace(album.bench, stages=tools, policies=Policies(made)))


def asked(client: TestClient, **query: str) -> dict[str, Any]:
    answer = client.get("/v1/media/group", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_each_audience_gets_its_own(told: Album, client: TestClient) -> None:
    told.opt_in("alice", "second")
    told.opt_in("bob", "fifth")
    told.post(author="alice", connections=("bob",))
    platform, author = asked(client), asked(client, audience="author")
    assert [tag["name"] for tag in platform["tags"]] == ["nudity.partial.feet", "contact"]
    assert {face["match"]["subject"] for face in platform["faces"] if face["match"]} == {"alice", "bob"}
    assert author["tags"] == [{"name": "contact", "category": "text", "box": [5, 6, 7, 8], "frame": 0}]
    assert {face["match"]["subject"] for face in author["faces"] if face["match"]} == {"alice", "bob"}
    assert author["rules"] == [{"id": "people"}, {"id": "numbers"}]
    public = asked(client, audience="public")
    assert (public["action"], public["tags"], public["faces"]) == (
        "label",
        [{"name": "contact", "category": "text"}],
        [],
    )
    person = asked(client, audience="person", subject="bob")
    assert [tuple(face["box"]) for face in person["faces"]] == [FACES["fifth"]]
    assert person["faces"][0]["match"]["subject"] == "bob"
    for document in (author, public, person):
        assert "score" not in json.dumps(document)
        assert "checkpoint" not in document.get("audit", {})
    assert "alice" not in json.dumps(person)
    assert "alice" not in json.dumps(public)


def test_who_is_not_in_it_learns_nothing(told: Album, client: TestClient) -> None:
    told.opt_in("alice", "second")
    told.post(author="alice")
    assert client.get("/v1/media/group", params={"audience": "person", "subject": "bob"}).status_code == 404
    assert client.get("/v1/media/group", params={"audience": "person"}).status_code == 400
    assert client.get("/v1/media/group", params={"subject": "alice"}).status_code == 400
    assert client.get("/v1/media/group", params={"audience": "press"}).status_code == 400


def test_endpoints_hear_what_is_meant_for_them_and_of_what_follows(told: Album) -> None:
    consent = told.opt_in("alice", "second")
    told.post(author="alice")
    bodies = {body["data"]["audience"]: body for body in told.deliver()}
    assert set(bodies) == {"platform", "author", "public"}
    assert {body["type"] for body in bodies.values()} == {"media.tagged"}
    assert "alice" in json.dumps(bodies["author"])
    assert "alice" not in json.dumps(bodies["public"])
    told.withdraw(consent)
    told.work()
    after = {body["data"]["audience"]: body for body in told.deliver()}
    assert set(after) == {"platform", "author", "public"}
    assert {body["type"] for body in after.values()} == {"tag.retracted"}
    assert "alice" not in json.dumps(after)


def test_nobody_else_is_told_where_no_rule_notifies(told: Album, tmp_path: Path) -> None:
    quiet = policy(tmp_path, rules=[rule("people", "faces.count >= 6", action="label")])
    told = replace(told, bench=replace(told.bench, policies=Policies(quiet)))
    told.post(author="alice")
    assert {body["data"]["audience"] for body in told.deliver()} == {"platform"}
    assert rows(told.bench, "SELECT DISTINCT endpoint FROM outbox") == [("platform",)]


def test_where_faces_are_never_compared_nobody_is_named(told: Album, tmp_path: Path) -> None:
    told.opt_in("alice", "second")
    rules = [rule("people", "faces.count >= 6", action="label")]
    made = policy(tmp_path, rules=rules, matches={"enabled": False})
    told = replace(told, bench=replace(told.bench, policies=Policies(made)))
    assert told.post(author="alice") == {}
    assert rows(told.bench, "SELECT count(*) FROM match") == [(0,)]
