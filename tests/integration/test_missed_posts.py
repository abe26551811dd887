"""What Discourse's webhooks did not bring is read from it, once: lost posts, and first posts without their text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.intake.accept import open_event
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox.connections import connect_platform
from assent.platforms.calls import ActCredentials
from assent.platforms.conformance import load_samples
from assent.platforms.delivery import SourceSettings
from assent.platforms.registry import ADAPTERS
from assent.tenants import add_source
from assent.worker.missed_posts import MOST_PAGES, read_edited_topics, read_missed_posts
from tests.events import rows
from tests.platform_api import KEY, Api, Fault
from tests.web import Answer

SECRET = "made-by-the-platform"
SAMPLES = {sample.name: sample for sample in load_samples("discourse")}
Read = Callable[[], None]


@pytest.fixture
def forum(client: TestClient, keys: TenantKeys, pool: Pool, api: Api) -> TestClient:
    """A client of an installation that is connected to a forum."""
    with transaction(pool) as conn:
        add_source(conn, keys, "forum", "discourse", SourceSettings("https://forum.example"), SECRET)
        connect_platform(conn, keys, "forum", ActCredentials(api.url, KEY, "assent"))
    return client


@pytest.fixture
def read(forum: TestClient, settings: Settings, keystore: Keystore, pool: Pool, api: Api) -> Read:
    """A turn of both readings, whenever the one before was."""
    allowed = settings.model_copy(update={"allow_private": (api.allowed,)})

    def turn() -> None:
        for table in ("post_reading", "topic_reading"):
            rows(pool, f"UPDATE {table} SET next_at = now() RETURNING 1")  # noqa: S608 - ours
        rows(pool, "UPDATE platform_connection SET rests_until = NULL, ask_from = NULL RETURNING 1")
        read_missed_posts(allowed, pool, keystore)
        read_edited_topics(allowed, pool, keystore)

    return turn


def written(api: Api, number: int, image: str = "a", **changes: Any) -> dict[str, Any]:
    """A post of the forum, as its API and its webhooks show it but for the archetype."""
    (post,) = json.loads(SAMPLES["post_created"].raw).values()
    post.pop("topic_archetype")
    cooked = f'<p><img src="/uploads/default/original/1X/{image * 12}.png"></p>'
    api.posts[str(number)] = {**post, "id": number, "cooked": cooked, **changes}
    return api.posts[str(number)]


def hook(forum: TestClient, name: str, **body: Any) -> dict[str, str]:
    raw = json.dumps(body).encode()
    headers = {**SAMPLES[name].headers, **ADAPTERS["discourse"].sign(raw, SECRET, "")}
    answer = forum.post("/v1/webhooks/forum", content=raw, headers=headers)
    assert answer.status_code == 202
    return dict(answer.json())


def events(pool: Pool, keys: TenantKeys) -> list[tuple[str, str, str]]:
    """Lane, type and media id of each event, in their order."""
    stored = rows(pool, "SELECT id, sealed, lane FROM event ORDER BY arrival")
    opened = [(lane, open_event(keys, event_id, {"sealed": sealed})) for event_id, sealed, lane in stored]
    return [(lane, event.type, media.id) for lane, event in opened for media in event.media]


def test_a_post_whose_webhook_was_lost_is_taken_in_once(
    forum: TestClient, api: Api, read: Read, pool: Pool, keys: TenantKeys
) -> None:
    written(api, 10)
    read()  # what was there before is nobody's loss
    lost, brought = written(api, 11, "b"), written(api, 12, "c")
    hook(forum, "post_created", post={**brought, "topic_archetype": "regular"})
    for _ in range(3):
        read()
    name = "post/{}/" + "{}" * 12
    assert events(pool, keys) == [
        ("live", "media.created", name.format(12, *"c" * 12)),
        ("backfill", "media.created", name.format(11, *"b" * 12)),
    ]
    late = hook(forum, "post_created", post={**lost, "topic_archetype": "regular"})
    assert late.keys() == {"event"}
    assert len(events(pool, keys)) == 2
    rows(pool, "DELETE FROM intake_seen RETURNING 1")  # a week later
    read()
    assert len(events(pool, keys)) == 2


def test_a_lost_edit_of_a_recent_post_is_taken_in(
    forum: TestClient, api: Api, read: Read, pool: Pool, keys: TenantKeys
) -> None:
    written(api, 10)
    read()
    written(api, 11, "b")
    read()
    written(api, 11, "c", version=2, updated_at="2026-01-02T05:00:00.000Z")
    read()
    assert [(kind, media[-1]) for _, kind, media in events(pool, keys)] == [
        ("media.created", "b"),
        ("media.deleted", "b"),
        ("media.updated", "c"),
    ]


def test_a_long_absence_is_read_page_by_page(
    forum: TestClient, api: Api, read: Read, pool: Pool, keys: TenantKeys
) -> None:
    api.page = 3
    written(api, 10)
    read()
    for number in range(11, 11 + 3 * MOST_PAGES + 5):
        written(api, number)
    read()
    first, asked = len(events(pool, keys)), len(api.asked)
    assert first == 3 * MOST_PAGES
    assert asked == 1 + MOST_PAGES
    written(api, 900)
    for _ in range(3):
        read()
    numbers = [int(media.split("/")[1]) for _, _, media in events(pool, keys)]
    assert sorted(numbers) == [*range(11, 11 + 3 * MOST_PAGES + 5), 900]


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(status, body=b"{}") for status in (401, 403, 404, 500)),
        Answer(429, {"retry-after": "60"}),
        Answer(302, {"location": "/login"}),
        Answer(200, {"content-type": "text/html"}, b"<!DOCTYPE html>"),
        *(
            Answer(200, body=body)
            for body in (b"[]", b"{}", b'{"latest_posts": [7]}', b'{"latest_posts": [{"id": "7"}]}')
        ),
        Answer(200, body=b'{"latest_posts": []}'),
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:26]!r}",
)
def test_a_wrong_answer_is_no_beginning_and_loses_nothing(
    forum: TestClient, api: Api, read: Read, pool: Pool, keys: TenantKeys, answer: Answer
) -> None:
    written(api, 10)
    api.faults = iter([Fault(answer)])
    read()
    read()
    assert events(pool, keys) == []  # 10 was there before the first reading
    written(api, 11)
    api.faults = iter([Fault(answer)])
    read()
    read()
    assert [media[:8] for _, _, media in events(pool, keys)] == ["post/11/"]


def test_private_posts_of_a_page_and_posts_without_images_bring_nothing(
    forum: TestClient, api: Api, read: Read, pool: Pool
) -> None:
    written(api, 10)
    read()
    written(api, 11, cooked="<p>words</p>")
    written(api, 12, cooked=None)
    read()
    assert rows(pool, "SELECT FROM event") == []


TOPIC = json.loads(SAMPLES["topic_edited"].raw)


def test_a_first_post_that_was_edited_with_its_title_is_read(
    forum: TestClient, api: Api, read: Read, pool: Pool, keys: TenantKeys
) -> None:
    post = written(api, 11, "b")
    hook(forum, "post_created", post={**post, "topic_archetype": "regular"})
    written(api, 11, "c", version=2, updated_at="2026-01-02T05:00:00.000Z")
    written(api, 12, "d")
    assert hook(forum, "topic_edited", **TOPIC) == {"ignored": "no_text"}
    for _ in range(2):
        hook(forum, "topic_edited", **TOPIC)
    read()
    live = [(kind, media[-1]) for lane, kind, media in events(pool, keys) if lane == "live"]
    assert live == [("media.created", "b"), ("media.deleted", "b"), ("media.updated", "c")]
    assert len([line for line in api.asked if line.startswith("GET /t/")]) == 1
    assert rows(pool, "SELECT FROM topic_reading") == []


@pytest.mark.parametrize(
    ("answer", "tries"), [(Answer(500), 2), (Answer(429, {"retry-after": "9"}), 2), (Answer(404), 1), (Answer(400), 1)]
)
def test_a_topic_that_cannot_be_read_now_is_read_later(
    forum: TestClient, api: Api, read: Read, pool: Pool, answer: Answer, tries: int
) -> None:
    written(api, 11, "b")
    hook(forum, "topic_edited", **TOPIC)
    for _ in range(2):
        api.faults = iter([None, Fault(answer)])  # the newest posts are asked for first
        read()
    assert len([line for line in api.asked if line.startswith("GET /t/")]) == tries
    assert len(rows(pool, "SELECT FROM topic_reading")) == tries - 1


def test_topics_of_a_source_that_is_not_connected_and_other_news_of_topics_are_not_read(
    forum: TestClient, pool: Pool
) -> None:
    created = {**SAMPLES["topic_edited"].headers, "x-discourse-event": "topic_created"}
    raw = json.dumps(TOPIC).encode()
    headers = {**created, **ADAPTERS["discourse"].sign(raw, SECRET, "")}
    assert forum.post("/v1/webhooks/forum", content=raw, headers=headers).json() == {"ignored": "no_text"}
    rows(pool, "DELETE FROM platform_connection RETURNING 1")
    assert hook(forum, "topic_edited", **TOPIC) == {"ignored": "no_text"}
    assert rows(pool, "SELECT FROM topic_reading") == []
