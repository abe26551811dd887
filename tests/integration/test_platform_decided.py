"""A post that a platform sent is decided under an id that leads back to it, and forgotten when it is taken away."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from assent.db.pool import transaction
from assent.keys.keystore import TenantKeys
from assent.outbox.connections import connect_platform
from assent.platforms.calls import ActCredentials
from assent.platforms.conformance import load_samples
from assent.platforms.delivery import SourceSettings
from assent.platforms.registry import ADAPTERS
from assent.tenants import add_source
from assent.worker.jobs import WorkerContext, decide_event
from tests.events import rows
from tests.platform_api import KEY, Api, Fault
from tests.web import Answer, Web

SECRET = "made-by-the-platform"


@pytest.fixture
def hooks(client: TestClient, bench: WorkerContext, keys: TenantKeys, web: Web, cat: bytes) -> TestClient:
    """A client of an installation to which both platforms send, whose files the test's server has."""
    web.files |= dict.fromkeys(("/cat.png", "/uploads/default/original/1X/aaaaaaaaaaaa.png"), cat)
    with transaction(bench.pool) as conn:
        for kind in ("mastodon", "discourse"):
            add_source(conn, keys, kind, kind, SourceSettings(web.url), SECRET)
    return client


def send(hooks: TestClient, kind: str, name: str, **fields: Any) -> UUID:
    """Sends a sample with other fields of its object; returns the event's id."""
    sample = next(sample for sample in load_samples(kind) if sample.name == name)
    body = json.loads(sample.raw)
    body["object" if kind == "mastodon" else "post"].update(fields)
    raw = json.dumps(body).encode()
    headers = {**sample.headers, **ADAPTERS[kind].sign(raw, SECRET, "")}
    return UUID(hooks.post(f"/v1/webhooks/{kind}", content=raw, headers=headers).json()["event"])


def read(hooks: TestClient, kind: str, media_id: str) -> Any:
    return hooks.get(f"/v1/media/{quote(media_id, safe='')}?source={kind}")


def test_a_still_image_of_a_film_says_that_it_is_one(hooks: TestClient, bench: WorkerContext, web: Web) -> None:
    film = {"id": "71", "type": "video", "url": f"{web.url}/cat.mp4", "preview_url": f"{web.url}/cat.png"}
    decide_event(bench, "default", send(hooks, "mastodon", "status_created", media_attachments=[film]))
    document = read(hooks, "mastodon", "status/9001/71/preview").json()
    assert (document["source"], document["action"]) == ("mastodon", "allow")
    assert "animal.cat" in {tag["name"][:10] for tag in document["tags"]}


def test_a_photo_that_an_edit_took_away_is_forgotten(hooks: TestClient, bench: WorkerContext, web: Web) -> None:
    photo = {"id": "55", "type": "image", "url": f"{web.url}/cat.png"}
    decide_event(bench, "default", send(hooks, "mastodon", "status_created", media_attachments=[photo]))
    assert read(hooks, "mastodon", "status/9001/55").status_code == 200
    send(hooks, "mastodon", "status_updated", media_attachments=[], edited_at="2026-01-02T05:00:00Z")
    assert read(hooks, "mastodon", "status/9001/55").status_code == 404


def test_a_post_of_a_forum_is_decided_and_forgotten_with_it(hooks: TestClient, bench: WorkerContext, web: Web) -> None:
    cooked = '<img src="/uploads/default/original/1X/aaaaaaaaaaaa.png">'
    decide_event(bench, "default", send(hooks, "discourse", "post_created", cooked=cooked))
    assert read(hooks, "discourse", "post/812/aaaaaaaaaaaa").json()["action"] == "allow"
    send(hooks, "discourse", "post_destroyed", cooked=cooked)
    assert read(hooks, "discourse", "post/812/aaaaaaaaaaaa").status_code == 404


def test_a_secure_upload_is_fetched_with_the_forums_key_which_goes_no_further(
    hooks: TestClient, bench: WorkerContext, keys: TenantKeys, web: Web, api: Api
) -> None:
    secure = f"{api.url}/secure-uploads/original/1X/bbbbbbbbbbbb.png"
    elsewhere = Answer(302, {"location": f"{web.url}/cat.png"})
    stages = replace(bench.stages, allow=(*bench.stages.allow, api.allowed))
    event = send(hooks, "discourse", "post_created", cooked=f'<img src="{secure}">')
    with transaction(bench.pool) as conn:
        connect_platform(conn, keys, "discourse", ActCredentials(api.url, KEY, "assent"))
    api.faults = iter([Fault(elsewhere)])
    decide_event(replace(bench, stages=stages), "default", event)
    assert [headers.get("api-key") for headers in api.headers] == [KEY]
    (media,) = rows(bench, "SELECT media_id FROM decision")[0]
    assert read(hooks, "discourse", media).json()["action"] == "allow"


def test_a_secure_upload_of_a_forum_that_is_not_connected_is_a_case(
    hooks: TestClient, bench: WorkerContext, api: Api
) -> None:
    secure = f"{api.url}/secure-uploads/original/1X/bbbbbbbbbbbb.png"
    stages = replace(bench.stages, allow=(*bench.stages.allow, api.allowed))
    decide_event(
        replace(bench, stages=stages),
        "default",
        send(hooks, "discourse", "post_created", cooked=f'<img src="{secure}">'),
    )
    assert [headers.get("api-key") for headers in api.headers] == [None]
    assert rows(bench, "SELECT action FROM decision") == [("review",)]
