"""The example platform speaks Mastodon: Mastodon.py works with it, and our adapter reads its webhooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from mastodon import Mastodon, MastodonAPIError, MastodonNotFoundError, MastodonUnauthorizedError

from assent.core.values import Event
from assent.platforms.delivery import Ignored, Parsed, ParsedDelivery, SourceSettings
from assent.platforms.registry import ADAPTERS
from examples.photos import package_photo
from examples.platform.app import running
from examples.platform.feed import Feed
from examples.platform.instance import Account, Instance, add_account, issue_token
from examples.platform.webhooks import make_webhook
from examples.server import free_listener
from tests.waiting import until
from tests.web import Answer, Web

USER = "read write"
STAFF = "read write:reports admin:read admin:write"


@dataclass(frozen=True)
class Place:
    """A running platform, its two accounts, and the server that takes its webhooks."""

    instance: Instance
    ana: Account
    mo: Account
    hooks: Web

    def app(self, account: Account, scopes: str) -> Mastodon:
        token = issue_token(self.instance, account, scopes)
        return Mastodon(access_token=token, api_base_url=self.instance.url, ratelimit_method="throw")

    def told(self, count: int) -> list[tuple[str, Parsed]]:
        """Returns each webhook's event and what our adapter reads in it, once there are so many."""
        until(lambda: len(self.hooks.received) >= count, f"{count} webhooks")
        adapter, webhook = ADAPTERS["mastodon"], self.instance.webhook
        assert webhook is not None
        read: list[tuple[str, Parsed]] = []
        for posted in self.hooks.received:
            adapter.verify(posted.headers, posted.body, [webhook.secret])
            parsed = adapter.parse(posted.headers, posted.body, SourceSettings(self.instance.url))
            read.append((json.loads(posted.body)["event"], parsed))
        return read


def only_event(parsed: Parsed) -> Event:
    assert isinstance(parsed, ParsedDelivery)
    (event,) = parsed.events
    return event


@pytest.fixture
def place(web: Web) -> Iterator[Place]:
    listener = free_listener()
    instance = Instance(f"http://127.0.0.1:{listener.getsockname()[1]}", Feed({}))
    ana, mo = add_account(instance, "ana"), add_account(instance, "mo", staff=True)
    instance.webhook = make_webhook(f"{web.url}/v1/webhooks/mastodon")
    with running(instance.feed, listener, instance):
        yield Place(instance, ana, mo, web)


def test_a_photo_is_posted_seen_edited_and_deleted(place: Place) -> None:
    ana = place.app(place.ana, USER)
    assert ana.account_verify_credentials().username == "ana"
    assert [one.blocked_by for one in ana.account_relationships([place.mo.id])] == [False]
    photo = package_photo("chelsea.png")
    media = ana.media_post(photo, mime_type="image/png", description="A cat")
    assert media.meta.original.width == 451
    assert ana.media(media).id == media.id
    status = ana.status_post("Dusk & <dawn>", media_ids=[media])
    assert status.content == "<p>Dusk &amp; &lt;dawn&gt;</p>"
    assert [one.id for one in ana.timeline_public()] == [one.id for one in ana.timeline_home()] == [status.id]
    assert httpx2.get(status.media_attachments[0].url).content == photo
    assert [one.id for one in ana.statuses([status.id, "1"])] == [status.id]

    second = ana.media_post(package_photo("coffee.png"), mime_type="image/png")
    edited = ana.status_update(status, "Dusk", media_ids=[media, second])
    assert edited.edited_at is not None
    assert [one.id for one in ana.status(status).media_attachments] == [media.id, second.id]
    ana.status_update(status, "Words alone")
    assert httpx2.get(media.url).status_code == 404

    ana.status_delete(status)
    with pytest.raises(MastodonNotFoundError):
        ana.status(status)
    assert ana.timeline_public() == []


def test_the_adapter_reads_its_webhooks(place: Place) -> None:
    ana = place.app(place.ana, USER)
    media = ana.media_post(package_photo("chelsea.png"), mime_type="image/png", description="A cat")
    status = ana.status_post("A cat", media_ids=[media])
    place.told(1)
    ana.status_update(status, "A cat", media_ids=[ana.media_post(package_photo("coffee.png"), mime_type="image/png")])
    ana.account_update_credentials(avatar=package_photo("astronaut.png"), avatar_mime_type="image/png")
    told = place.told(3)
    assert [name for name, _ in told] == ["status.created", "status.updated", "account.updated"]
    posted, edited, avatar = (only_event(parsed) for _, parsed in told)
    assert [(one.id, one.url, one.alt) for one in posted.media] == [
        (f"status/{status.id}/{media.id}", media.url, "A cat")
    ]
    assert (posted.type, posted.author, posted.visibility) == ("media.created", place.ana.id, "public")
    assert edited.type == "media.updated"
    assert (edited.revision or 0) > (posted.revision or 0)
    assert [one.id for one in avatar.media] == [f"account/{place.ana.id}/avatar"]


def test_moderators_find_resolve_and_reopen_reports(place: Place) -> None:
    status = place.app(place.ana, USER).status_post("Look")
    mo = place.app(place.mo, STAFF)
    first = mo.report(place.ana.id, [status.id], comment="Look at this")
    assert first.action_taken is False
    second = mo.report(place.ana.id, comment="and again")
    (newest, oldest) = mo.admin_reports(target_account_id=place.ana.id)
    assert [newest.id, oldest.id] == [second.id, first.id]
    assert [one.id for one in mo.admin_report(first).statuses] == [status.id]
    resolved = mo.admin_report_resolve(first)
    assert resolved.action_taken_by_account.username == "mo"
    assert [one.id for one in mo.admin_reports(resolved=True)] == [first.id]
    assert mo.admin_report_reopen(first).action_taken is False
    mo.admin_account_moderate(place.ana.id, "sensitive")
    assert mo.admin_reports() == []
    assert mo.admin_account(place.ana.id).sensitized is True
    assert mo.admin_account_unsensitive(place.ana.id).sensitized is False
    mo.admin_reject_trending_status(status)
    told = place.told(1 + 2 + 2 + 1 + 2 + 1 + 1)
    ours = [parsed for name, parsed in told if name.startswith("report.")]
    assert ours == [Ignored("report")] * 6


def test_whoever_may_not_is_refused_as_mastodon_refuses(place: Place) -> None:
    ana, mo = place.app(place.ana, USER), place.app(place.mo, STAFF)
    hidden = ana.status_post("For me", visibility="direct")
    assert mo.timeline_public() == []
    with pytest.raises(MastodonNotFoundError):
        mo.status(hidden)
    with pytest.raises(MastodonNotFoundError):
        mo.report(place.ana.id, [hidden.id], comment="unseen")
    with pytest.raises(MastodonAPIError, match="422"):
        mo.report(place.ana.id, category="violation")
    with pytest.raises(MastodonAPIError, match=r"403.*not allowed"):
        place.app(place.ana, STAFF).admin_report("1")
    with pytest.raises(MastodonAPIError, match=r"403.*scopes"):
        place.app(place.mo, USER).admin_report("1")
    with pytest.raises(MastodonUnauthorizedError):
        Mastodon(access_token="guessed", api_base_url=place.instance.url).status_post("Hello")
    with pytest.raises(MastodonAPIError, match="content type"):
        ana.media_post(b"words", mime_type="image/png")
    theirs = ana.media_post(package_photo("chelsea.png"), mime_type="image/png")
    with pytest.raises(MastodonAPIError, match="422"):
        place.app(place.mo, USER).status_post("Not mine", media_ids=[theirs])
    endless = httpx2.post(f"{place.instance.url}/api/v2/media", content=iter([b"x"]))
    assert endless.status_code == 413


def test_a_webhook_comes_again_after_503_and_never_after_422(place: Place) -> None:
    place.hooks.answers = iter([Answer(503), Answer(204), Answer(422), Answer(204)])
    ana = place.app(place.ana, USER)
    ana.status_post("once")
    place.told(2)
    ana.status_post("dropped")
    place.told(3)
    ana.status_post("after it")
    place.told(4)
    bodies = [json.loads(one.body)["object"]["content"] for one in place.hooks.received]
    assert bodies == ["<p>once</p>", "<p>once</p>", "<p>dropped</p>", "<p>after it</p>"]
