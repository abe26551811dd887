"""Without room for a gallery images are decided, each decision says that matching was unavailable, and what was missed
is matched when there is room."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from assent.core.errors import GalleryUnavailable
from assent.core.host_errors import MatchingUnavailable
from assent.core.settings import Settings
from assent.core.values import Event, MediaRef
from assent.db.pool import transaction
from assent.intake.accept import Origin, store_event
from assent.media.sandbox import Decoder
from assent.perceive import Models
from assent.tenants import CreatedTenant
from assent.worker.loop import open_worker_context
from assent.worker.maintenance import purge_expired
from assent.worker.missed import release_missed
from tests.events import SOURCE, leaves, rows
from tests.integration.album import Album
from tests.waiting import until

FULL = "/dev/shm has 40 MB free"  # noqa: S108 - memory


@pytest.fixture
def crowded(album: Album) -> Album:
    """Where alice opted in, and where there is no room for a gallery."""
    album.opt_in("alice", "second")
    album.bench.gallery.room.missing = FULL
    return album


def document(album: Album, media: str = "group") -> dict[str, Any]:
    query = "SELECT document::text FROM decision WHERE media_id = %s ORDER BY revision DESC LIMIT 1"
    [(found,)] = rows(album.bench, query, media)
    decision: dict[str, Any] = json.loads(found)
    return decision


def waiting(album: Album) -> int:
    query = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'match' AND status = 'todo'"
    [(count,)] = rows(album.bench, query)
    return int(count)


def make_room(album: Album) -> None:
    album.bench.gallery.room.missing = None
    release_missed(album.bench)
    album.work()


def test_what_was_missed_is_matched_when_there_is_room(crowded: Album) -> None:
    assert crowded.post(author="alice") == {}
    first = document(crowded)
    assert first["matching"] == "unavailable"
    assert first["action"] == "allow"
    assert len(first["faces"]) == 6
    release_missed(crowded.bench)
    crowded.work()
    assert waiting(crowded) == 1  # there is no room yet
    make_room(crowded)
    assert waiting(crowded) == 0
    assert crowded.named() == {"alice": "second"}
    second = document(crowded)
    assert "matching" not in second
    assert second["revision"] == first["revision"] + 1
    assert [face["box"] for face in second["faces"]] == [face["box"] for face in first["faces"]]
    assert rows(crowded.bench, "SELECT count(*) FROM upload") == [(0,)]


def test_nothing_is_missed_where_nobody_can_be_matched(album: Album) -> None:
    album.bench.gallery.room.missing = FULL
    album.post(author="alice")
    assert "matching" not in document(album)
    album.opt_in("alice", "second")  # which needs no gallery
    album.post("unsaid")
    assert "matching" not in document(album, "unsaid")
    album.post("hers", author="alice")
    assert document(album, "hers")["matching"] == "unavailable"
    assert waiting(album) == 1


def test_a_gallery_that_is_down_makes_events_wait(crowded: Album) -> None:
    crowded.bench.gallery.room.missing = None
    crowded.bench.gallery.pool.close()
    with pytest.raises(GalleryUnavailable):
        crowded.post(author="alice")
    assert rows(crowded.bench, "SELECT count(*) FROM decision") == [(0,)]


def test_what_is_deleted_meanwhile_is_gone(crowded: Album) -> None:
    crowded.post(author="alice")
    assert rows(crowded.bench, "SELECT count(*) FROM upload") == [(1,)]
    event = Event("media.deleted", (MediaRef("group", None),), "public", "post", "alice")
    with transaction(crowded.bench.pool) as conn:
        store_event(conn, crowded.keys, uuid4(), event, Origin(SOURCE, "live"))
    assert rows(crowded.bench, "SELECT count(*) FROM upload") == [(0,)]
    assert rows(crowded.bench, "SELECT count(*) FROM event WHERE done_at IS NULL") == [(0,)]
    make_room(crowded)
    assert rows(crowded.bench, "SELECT count(*) FROM decision") == [(0,)]


def test_a_later_event_holds_against_it(crowded: Album) -> None:
    crowded.post(author="alice")
    crowded.bench.gallery.room.missing = None
    assert crowded.post(author="bob", type="media.updated") == {}
    make_room(crowded)
    assert crowded.named() == {}
    assert len(leaves(crowded.bench, "media.superseded")) == 1


def test_an_image_that_is_gone_stays_as_it_was_decided(crowded: Album) -> None:
    crowded.post(author="alice")
    before = document(crowded)
    with transaction(crowded.bench.pool) as conn:
        conn.execute("DELETE FROM upload")
    make_room(crowded)
    assert waiting(crowded) == 0
    assert document(crowded) == before


def test_what_is_never_matched_goes_when_its_retention_is_over(crowded: Album) -> None:
    for media in ("old", "young"):
        crowded.post(media, author="alice")
    ages = "UPDATE event SET received_at = now() - make_interval(days => %s) WHERE done_at IS NULL AND id IN ({})"
    job = "SELECT (args ->> 'event')::uuid FROM procrastinate_jobs WHERE task_name = 'match' ORDER BY id {} LIMIT 1"
    with transaction(crowded.bench.pool) as conn:
        conn.execute(ages.format(job.format("")).encode(), [31])
        conn.execute(ages.format(job.format("DESC")).encode(), [29])
    purge_expired(crowded.bench.settings, crowded.bench.pool, crowded.bench.keystore)
    assert waiting(crowded) == 1
    assert rows(crowded.bench, "SELECT count(*) FROM event WHERE done_at IS NULL") == [(1,)]
    assert rows(crowded.bench, "SELECT count(*) FROM upload") == [(1,)]
    assert document(crowded, "old")["matching"] == "unavailable"
    make_room(crowded)
    assert "matching" not in document(crowded, "young")
    assert document(crowded, "old")["matching"] == "unavailable"


def test_the_follower_finds_room(
    settings: Settings, database_url: str, made: CreatedTenant, models: Models, decoder: Decoder, gallery_url: str
) -> None:
    room: list[str] = []

    @contextmanager
    def server() -> Iterator[str]:
        if not room:
            raise MatchingUnavailable(FULL)
        yield room[0]

    with open_worker_context(settings, database_url, models, decoder, server) as context:
        assert not context.gallery.has_room()
        with pytest.raises(MatchingUnavailable, match="40 MB"):
            context.gallery.wait_ready()
        room.append(gallery_url)
        until(context.gallery.has_room, "the gallery is filled", 15)
        context.gallery.wait_ready()
    assert made
