"""The whole circle at Mastodon and at Discourse: what the platform sends, a decision, an act there, and its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from assent.core.values import Event
from assent.db.pool import transaction
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.outbox.actions import list_actions
from assent.outbox.connections import connect_platform, switch_actions
from assent.platforms.calls import ActCredentials
from assent.platforms.delivery import ParsedDelivery, SourceSettings
from assent.platforms.registry import ADAPTERS
from assent.policy.versions import Policies
from assent.worker.jobs import WorkerContext, act_job, decide_event
from tests.platform_api import KEY, TOKEN, Api
from tests.unit.policy_files import policy, rule
from tests.web import Web

SOURCE = "there"
STATUS = {
    "event": "status.created",
    "created_at": "2026-01-02T03:04:05Z",
    "object": {
        "id": "9001",
        "visibility": "public",
        "sensitive": False,
        "content": "",
        "edited_at": None,
        "reblog": None,
        "account": {"id": "7", "acct": "ana"},
        "media_attachments": [{"id": "55", "type": "image", "url": "URL", "description": None, "meta": {}}],
    },
}
POST = {
    "post": {
        "id": 812,
        "user_id": 31,
        "username": "ana",
        "topic_id": 77,
        "post_number": 2,
        "version": 1,
        "hidden": False,
        "deleted_at": None,
        "updated_at": "2026-01-02T03:04:05Z",
        "topic_archetype": "regular",
        "raw": "",
        "cooked": '<p><img src="URL"></p>',
    }
}


def stand_up(bench: WorkerContext, keys: TenantKeys, api: Api, platform: str, folder: Path, act: str) -> WorkerContext:
    """A bench for a source of that platform, with a policy that does the act about every face."""
    credentials = {"mastodon": ActCredentials(api.url, TOKEN), "discourse": ActCredentials(api.url, KEY, "assent")}
    with transaction(bench.pool) as conn:
        conn.execute("INSERT INTO source (tenant, name, adapter) VALUES ('default', %s, %s)", [SOURCE, platform])
        connect_platform(conn, keys, SOURCE, credentials[platform])
    with transaction(bench.pool) as conn:
        switch_actions(conn, keys, SOURCE, on=True)
    rules = [rule("faces", "faces.count > 0", action="limit", act=[act])]
    settings = bench.settings.model_copy(update={"allow_private": (*bench.settings.allow_private, api.allowed)})
    return replace(bench, policies=Policies(policy(folder, rules=rules)), settings=settings)


def event_of(platform: str, body: Mapping[str, Any], web: Web) -> Event:
    """The event in a body of the platform's, whose image `web` serves."""
    raw = json.dumps(body).replace("URL", f"{web.url}/group.jpg").encode()
    parsed = ADAPTERS[platform].parse({"x-discourse-event": "post_created"}, raw, SourceSettings(web.url))
    assert isinstance(parsed, ParsedDelivery)
    (event,) = parsed.events
    return event


@pytest.mark.parametrize("circle", [("mastodon", STATUS, "report"), ("discourse", POST, "hide")])
def test_from_a_post_to_an_act_and_back(
    bench: WorkerContext,
    keys: TenantKeys,
    api: Api,
    web: Web,
    six_people: bytes,
    tmp_path: Path,
    circle: tuple[str, Mapping[str, Any], str],
) -> None:
    platform, body, act = circle
    web.files["/group.jpg"] = six_people
    bench = stand_up(bench, keys, api, platform, tmp_path, act)
    event, event_id = event_of(platform, body, web), uuid4()
    with transaction(bench.pool) as conn:
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"))
    decide_event(bench, "default", event_id)
    with transaction(bench.pool) as conn:
        (row,) = list_actions(conn, "default")
    act_job(bench, "default", row["id"])
    if platform == "mastodon":
        assert [(one["status_ids"], one["action_taken"]) for one in api.reports] == [(["9001"], False)]
    else:
        assert api.posts["812"]["hidden"]
    deleted = replace(event, type="media.deleted", revision=None, at=None)
    with transaction(bench.pool) as conn:
        store_event(conn, keys, uuid4(), deleted, Origin(SOURCE, "live"))
    act_job(bench, "default", row["id"])
    assert api.reports[0]["action_taken"] if platform == "mastodon" else not api.posts["812"]["hidden"]
    with transaction(bench.pool) as conn:
        assert list_actions(conn, "default") == []
