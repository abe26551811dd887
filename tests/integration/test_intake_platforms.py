"""What Mastodon and Discourse send is stored once, in our form; what concerns us not is answered and leaves nothing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from assent.core.values import Event
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey, is_late
from assent.intake.accept import open_event
from assent.keys.keystore import TenantKeys
from assent.platforms.conformance import SAMPLE_SETTINGS, Sample, load_samples
from assent.platforms.delivery import SourceSettings
from assent.platforms.registry import ADAPTERS
from assent.tenants import add_source, change_source, rotate_secret
from tests.events import everything_bytes, leaves, rows

SECRET = "made-by-the-platform"


@pytest.fixture(params=["mastodon", "discourse"])
def either(request: pytest.FixtureRequest, pool: Pool, keys: TenantKeys) -> str:
    """A platform with a source of its name and usual settings."""
    return add(str(request.param), pool, keys)


@pytest.fixture
def mastodon(pool: Pool, keys: TenantKeys) -> str:
    return add("mastodon", pool, keys)


@pytest.fixture
def discourse(pool: Pool, keys: TenantKeys) -> str:
    return add("discourse", pool, keys)


def add(kind: str, pool: Pool, keys: TenantKeys) -> str:
    with transaction(pool) as conn:
        add_source(conn, keys, kind, kind, SAMPLE_SETTINGS[kind], SECRET)
    return kind


def sample(platform: str, name: str) -> Sample:
    return next(sample for sample in load_samples(platform) if sample.name == name)


def post(client: TestClient, platform: str, name: str, secret: str = SECRET, **changes: Any) -> Any:
    """Sends a sample, with other fields of its body's object."""
    chosen = sample(platform, name)
    body = json.loads(chosen.raw)
    body[next(field for field in ("object", *body) if field in body)].update(changes) if changes else None
    return send(client, platform, json.dumps(body).encode(), dict(chosen.headers), secret)


def send(client: TestClient, platform: str, raw: bytes, headers: dict[str, str], secret: str = SECRET) -> Any:
    headers |= ADAPTERS[platform].sign(raw, secret, "")
    return client.post(f"/v1/webhooks/{platform}", content=raw, headers=headers)


def stored(pool: Pool, keys: TenantKeys) -> list[Event]:
    """Opens all events, oldest first."""
    found = rows(pool, "SELECT id, sealed FROM event ORDER BY arrival")
    return [open_event(keys, event_id, {"sealed": sealed}) for event_id, sealed in found]


def ignored(source: str, reason: str) -> float:
    return REGISTRY.get_sample_value("assent_webhooks_ignored_total", {"source": source, "reason": reason}) or 0.0


def test_a_status_becomes_an_event_of_ours(client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys) -> None:
    assert post(client, mastodon, "status_created").status_code == 202
    (event,) = stored(pool, keys)
    assert (event.type, event.author, event.visibility, event.surface) == ("media.created", "7", "public", "post")
    assert [(media.id, media.alt) for media in event.media] == [
        ("status/9001/55", "A bay at dusk"),
        ("status/9001/56", None),
    ]
    assert (event.lang, event.revision) == ("en", 1)


def test_a_post_of_a_forum_becomes_an_event_of_ours(
    client: TestClient, discourse: str, pool: Pool, keys: TenantKeys
) -> None:
    assert post(client, discourse, "post_edited").status_code == 202
    (event,) = stored(pool, keys)
    assert (event.type, event.author, event.visibility, event.revision) == ("media.updated", "31", "public", 2)
    assert event.media[0].id == "post/812/abcd0123abcd0123abcd0123abcd0123abcd0123"


@pytest.mark.parametrize(
    ("name", "changes"), [("status_created", {"favourites_count": 3}), ("account_updated", {"ip": "192.0.2.9"})]
)
def test_a_row_that_changed_in_nothing_of_its_own_is_known(
    client: TestClient, mastodon: str, pool: Pool, name: str, changes: dict[str, Any]
) -> None:
    first = post(client, mastodon, name)
    again = post(client, mastodon, name, **changes)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert len(rows(pool, "SELECT FROM procrastinate_jobs")) == 1


@pytest.mark.parametrize("changes", [{"sensitive": True}, {"content": "x"}, {"edited_at": "2026-01-02T04:00:00Z"}])
def test_a_status_that_changed_itself_is_another_delivery(
    client: TestClient, mastodon: str, pool: Pool, changes: dict[str, Any]
) -> None:
    post(client, mastodon, "status_created")
    post(client, mastodon, "status_created", **changes)
    assert len(rows(pool, "SELECT FROM procrastinate_jobs")) == 2


def test_a_boost_is_looked_at_once_however_many_boost(client: TestClient, mastodon: str, pool: Pool) -> None:
    answers = [post(client, mastodon, "boost", id=str(9100 + n)) for n in range(5)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["event"] for answer in answers}) == 1
    assert len(rows(pool, "SELECT FROM event")) == 1


def test_a_retry_of_a_forum_has_another_id_and_is_known(client: TestClient, discourse: str, pool: Pool) -> None:
    assert post(client, discourse, "post_created").json() == post(client, discourse, "post_retried").json()
    assert len(rows(pool, "SELECT FROM event")) == 1


def test_an_older_state_that_arrives_late_changes_nothing(client: TestClient, either: str, pool: Pool) -> None:
    newer, older = {"mastodon": ("status_updated", "status_created"), "discourse": ("post_edited", "post_created")}[
        either
    ]
    assert post(client, either, newer).json().keys() == {"event"}
    assert post(client, either, older).json() == {"ignored": "outdated"}
    assert len(rows(pool, "SELECT FROM event")) == 1


def test_personal_data_of_accounts_is_stored_nowhere(client: TestClient, either: str, pool: Pool) -> None:
    name = {"mastodon": "account_updated", "discourse": "user_updated"}[either]
    assert post(client, either, name).status_code == 202
    held = everything_bytes(pool)
    assert b"mail.example" not in held
    assert b"192.0.2.7" not in held


@pytest.mark.parametrize(
    ("name", "reason"),
    [("direct", "visibility"), ("text_only", "no_media"), ("report_created", "report"), ("unknown_event", "unwanted")],
)
def test_what_concerns_us_not_is_answered_counted_and_forgotten(
    client: TestClient, mastodon: str, pool: Pool, name: str, reason: str
) -> None:
    before, leaf_count = ignored("mastodon", reason), len(rows(pool, "SELECT FROM audit_leaf"))
    answer = post(client, mastodon, name)
    assert (answer.status_code, answer.json()) == (202, {"ignored": reason})
    assert ignored("mastodon", reason) == before + 1
    assert rows(pool, "SELECT FROM event") == rows(pool, "SELECT FROM intake_seen") == []
    assert len(rows(pool, "SELECT FROM audit_leaf")) == leaf_count


@pytest.mark.parametrize("name", ["template_text", "template_dropped", "template_empty", "template_broken"])
def test_a_template_that_dropped_what_we_need_is_logged_and_answered(
    client: TestClient, mastodon: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    answer = client.post(
        "/v1/webhooks/mastodon",
        content=sample(mastodon, name).raw,
        headers=ADAPTERS["mastodon"].sign(sample(mastodon, name).raw, SECRET, ""),
    )
    assert answer.status_code == 202
    assert "webhook ignored" in capsys.readouterr().out


def test_a_wrong_or_missing_signature_is_refused(client: TestClient, either: str, pool: Pool) -> None:
    name = {"mastodon": "status_created", "discourse": "post_created"}[either]
    chosen = sample(either, name)
    assert post(client, either, name, "another-secret").status_code == 401
    assert client.post(f"/v1/webhooks/{either}", content=chosen.raw, headers=dict(chosen.headers)).status_code == 401
    assert rows(pool, "SELECT FROM intake_seen") == []


def test_a_secret_that_the_platform_changed_is_accepted_beside_the_old_one(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys
) -> None:
    with transaction(pool) as conn:
        rotate_secret(conn, keys, "source", mastodon, timedelta(hours=72), "made-later-by-the-platform")
    assert post(client, mastodon, "status_created", "made-later-by-the-platform").status_code == 202
    assert post(client, mastodon, "gifv").status_code == 202


def test_a_source_says_which_posts_are_looked_at(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys
) -> None:
    settings = SourceSettings("https://social.example", ("public", "followers"), link_cards=True)
    with transaction(pool) as conn:
        change_source(conn, keys, mastodon, settings)
    answers = {name: post(client, mastodon, name).json() for name in ("private", "direct", "link_card")}
    assert {name for name, answer in answers.items() if "event" in answer} == {"private", "link_card"}
    private, card = stored(pool, keys)
    assert (private.visibility, card.media[0].id) == ("followers", "status/9009/card")
    assert leaves(pool, "source.changed")[0]["source"] == mastodon


@pytest.mark.parametrize("altered", ["a.settings_sealed", "NULL"])
def test_who_writes_to_the_database_cannot_have_other_posts_looked_at(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys, altered: str
) -> None:
    with transaction(pool) as conn:
        add_source(conn, keys, "another", "mastodon", SourceSettings("https://a.example", ("direct",)), SECRET)
    rows(pool, f"UPDATE source s SET settings_sealed = {altered} FROM source a WHERE a.name = 'another' RETURNING 1")  # noqa: S608 - ours
    answer = post(client, mastodon, "direct")
    assert (answer.status_code, answer.json()["code"]) == (500, "seal_broken")
    assert rows(pool, "SELECT FROM event") == []


def test_a_deleted_post_is_deleted_before_the_answer_and_may_come_back(
    client: TestClient, discourse: str, pool: Pool, keys: TenantKeys
) -> None:
    assert post(client, discourse, "post_created", version=2).status_code == 202
    for name in ("post_destroyed", "post_recovered"):
        assert post(client, discourse, name).status_code == 202
    assert [event.type for event in stored(pool, keys)] == ["media.updated", "media.deleted", "media.updated"]
    assert rows(pool, "SELECT done_at IS NOT NULL FROM event ORDER BY arrival") == [(False,), (True,), (False,)]
    assert late(pool, keys) == [True, False, False]


def late(pool: Pool, keys: TenantKeys) -> list[bool]:
    """Tells of each event, oldest first, whether its first media item comes too late to take effect."""
    found = rows(pool, "SELECT id, source, arrival FROM event ORDER BY arrival")
    ordered = zip(found, stored(pool, keys), strict=True)
    with transaction(pool) as conn:
        return [
            is_late(conn, keys, MediaKey("default", event_id, source, 0, event, event.media[0], arrival))
            for (event_id, source, arrival), event in ordered
        ]


def test_five_megabytes_of_text_are_read(client: TestClient, discourse: str, pool: Pool, keys: TenantKeys) -> None:
    cooked = "<p>" + "long " * 1_000_000 + '</p><img src="/uploads/default/original/1X/' + "a" * 40 + '.png">'
    assert post(client, discourse, "post_created", cooked=cooked).status_code == 202
    assert stored(pool, keys)[0].media[0].id == "post/812/" + "a" * 40


def test_more_images_than_an_event_holds_become_several(
    client: TestClient, discourse: str, pool: Pool, keys: TenantKeys
) -> None:
    before = ignored("discourse", "too_many_media")
    cooked = "".join(f'<img src="/uploads/default/original/1X/{n:040x}.png">' for n in range(250))
    assert post(client, discourse, "post_created", cooked=cooked).status_code == 202
    assert [len(event.media) for event in stored(pool, keys)] == [100, 100, 50]
    assert ignored("discourse", "too_many_media") == before
    assert post(client, discourse, "post_created", cooked=cooked * 2 + "<img src=/x>" * 11_000).status_code == 202
    assert ignored("discourse", "too_many_media") == before + 1


LATER = "2026-01-02T05:00:00.000Z"


def deleted(pool: Pool, keys: TenantKeys) -> list[str]:
    events = [event for event in stored(pool, keys) if event.type == "media.deleted"]
    return [media.id for event in events for media in event.media]


def photos(*numbers: int) -> list[dict[str, Any]]:
    (first, *_) = json.loads(sample("mastodon", "status_created").raw)["object"]["media_attachments"]
    return [first | {"id": str(number)} for number in numbers]


def test_an_edit_that_takes_an_image_away_deletes_it(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys
) -> None:
    post(client, mastodon, "status_updated")
    post(client, mastodon, "status_updated", media_attachments=photos(55), edited_at=LATER)
    assert deleted(pool, keys) == ["status/9001/56", "status/9001/57"]
    assert post(client, mastodon, "status_updated", media_attachments=[], edited_at=LATER).json().keys() == {"event"}
    assert deleted(pool, keys) == ["status/9001/56", "status/9001/57", "status/9001/55"]
    again = post(client, mastodon, "status_updated", media_attachments=[], edited_at=LATER)
    assert again.json() == {"ignored": "no_media"}
    assert rows(pool, "SELECT media_id FROM post_media") == [("",)]


def test_an_image_that_an_edit_took_away_may_come_back(
    client: TestClient, discourse: str, pool: Pool, keys: TenantKeys
) -> None:
    for version, cooked in enumerate(("<img src=/1.png>", "<p>none</p>", "<img src=/1.png>"), 1):
        assert post(client, discourse, "post_created", version=version, cooked=cooked).json().keys() == {"event"}
    assert [event.type for event in stored(pool, keys)] == ["media.created", "media.deleted", "media.updated"]


def test_an_older_state_that_is_repeated_takes_nothing_away(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys
) -> None:
    first = post(client, mastodon, "status_created")
    post(client, mastodon, "status_updated")
    assert post(client, mastodon, "status_created").json() == first.json()
    assert deleted(pool, keys) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_state_from_before_an_edit_does_not_bring_back_what_the_edit_took_away(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys, known: bool
) -> None:
    if known:
        post(client, mastodon, "status_created")
    body = json.loads(sample(mastodon, "status_updated").raw)
    for photo in ([photos(55)[0]], []):
        body |= {"object": body["object"] | {"media_attachments": photo, "edited_at": LATER}}
        assert send(client, mastodon, json.dumps(body).encode(), {}).json().keys() == {"event"}
    assert post(client, mastodon, "status_created", sensitive=True).json() == {"ignored": "outdated"}
    assert "status/9001/55" in deleted(pool, keys)


def test_an_attachment_without_an_address_was_not_taken_away(
    client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys
) -> None:
    post(client, mastodon, "status_created")
    (first, second) = photos(55, 56)
    waiting = [first, second | {"url": None}]
    assert post(client, mastodon, "status_updated", media_attachments=waiting, edited_at=LATER).status_code == 202
    assert deleted(pool, keys) == []


def test_an_avatar_that_was_removed_is_deleted(client: TestClient, mastodon: str, pool: Pool, keys: TenantKeys) -> None:
    account = json.loads(sample(mastodon, "account_updated").raw)["object"]["account"]
    post(client, mastodon, "account_updated")
    post(
        client, mastodon, "account_updated", account=account | {"avatar": "https://social.example/avatars/missing.png"}
    )
    assert deleted(pool, keys) == ["account/7/avatar"]


def test_a_deleted_post_takes_along_what_it_showed_before(
    client: TestClient, discourse: str, pool: Pool, keys: TenantKeys
) -> None:
    post(client, discourse, "post_edited")
    post(client, discourse, "post_destroyed")
    assert len(deleted(pool, keys)) == 2
    assert rows(pool, "SELECT FROM post_media") == []


def test_deliveries_about_one_post_at_the_same_moment_leave_what_the_newest_shows(
    client: TestClient, discourse: str, pool: Pool, keys: TenantKeys
) -> None:
    def deliver(version: int) -> None:
        image = f"<img src=/uploads/default/original/1X/{version:040x}.png>"
        at = f"2026-01-02T03:04:0{version}.000Z"
        post(client, discourse, "post_created", version=version, updated_at=at, cooked=image)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(deliver, [3, 1, 5, 2, 4, 6]))
    created = {event.media[0].id for event in stored(pool, keys) if event.type != "media.deleted"}
    assert created - set(deleted(pool, keys)) == {f"post/812/{6:040x}"}
