"""People are looked for in posts of accounts they chose: the event or their own list says so, the list is the limit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from assent.core.values import Analysis, Event, MediaRef
from assent.db.pool import transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.pipeline import analyse
from assent.subjects import connections
from assent.subjects.connections import FRESH
from assent.worker.jobs import WorkerContext
from tests.events import SOURCE, decision, rows, store
from tests.integration.album import Album
from tests.people import give
from tests.waiting import until


def state(bench: WorkerContext, keys: TenantKeys, who: str, *authors: str, ago: timedelta = timedelta()) -> None:
    with transaction(bench.pool) as conn:
        connections.state_connections(conn, keys, who, authors, datetime.now(UTC) - ago)


def test_a_list_reaches_as_far_as_the_events_own_words(
    album: Album, matched: Callable[..., dict[str, str]], bench: WorkerContext, keys: TenantKeys
) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    assert matched("none", author="carol") == {}
    state(bench, keys, "alice", "carol")
    assert matched("listed", author="carol") == {"alice": "second"}
    assert matched("both", author="carol", connections=("bob",)) == {"alice": "second", "bob": "fifth"}
    assert matched("another's", author="dave") == {}
    state(bench, keys, "alice", "dave")
    assert matched("no more", author="carol", connections=("alice", "bob")) == {"bob": "fifth"}
    state(bench, keys, "bob")
    assert matched("nobody's", author="carol", connections=("alice", "bob")) == {}


def test_a_stale_list_means_own_posts_and_what_events_confirm(
    album: Album, matched: Callable[..., dict[str, str]], bench: WorkerContext, keys: TenantKeys
) -> None:
    album.opt_in("alice", "second")
    state(bench, keys, "alice", "carol", ago=FRESH + timedelta(seconds=1))
    assert matched("carols", author="carol") == {}
    assert matched("confirmed", author="carol", connections=("alice",)) == {"alice": "second"}
    assert matched("hers", author="alice") == {"alice": "second"}


def test_scope_own_is_not_widened_by_a_list(
    album: Album, matched: Callable[..., dict[str, str]], bench: WorkerContext, keys: TenantKeys
) -> None:
    album.opt_in("alice", "second", "own")
    state(bench, keys, "alice", "carol")
    assert matched(author="carol") == {}


@pytest.mark.parametrize(("scope", "reached"), [("own", 0), ("connections", 1)])
def test_a_new_consent_changes_the_reach_and_keeps_the_faces(
    album: Album, bench: WorkerContext, keys: TenantKeys, scope: str, reached: int
) -> None:
    album.opt_in("alice", "second", "connections" if scope == "own" else "own")
    state(bench, keys, "alice", "carol")
    before = rows(bench.pool, "SELECT id FROM template")
    give(bench.pool, keys, "alice", scope=scope)
    assert rows(bench.pool, "SELECT id FROM template") == before
    carols = Event("media.created", (), "public", "post", "carol")
    until(lambda: bench.gallery.candidate_count("default", carols) == reached, "the gallery follows", 5)
    album.wait("alice", 1)


def test_a_narrower_consent_between_match_and_record_wins(
    album: Album, bench: WorkerContext, keys: TenantKeys, six_people: bytes
) -> None:
    album.opt_in("alice", "second")
    state(bench, keys, "alice", "carol")
    media = MediaRef("group", None)
    event = Event("media.created", (media,), "public", "post", "carol")
    looked = analyse(bench.stages, bench.policies.default, "default", event, media, six_people)
    assert isinstance(looked, Analysis)
    assert [match.pseudonym for match in looked.matches] == [derive_pseudonym(keys, "alice")]
    event_id = store(bench, keys, media, six_people, author="carol")
    give(bench.pool, keys, "alice", scope="own")
    with transaction(bench.pool) as conn:
        media_key = MediaKey("default", event_id, SOURCE, 0, event, media)
        record(conn, keys, media_key, NewDecision(looked, bench.policies.default.ref))
    assert rows(bench.pool, "SELECT count(*) FROM match") == [(0,)]
    assert [face["match"] for face in decision(bench, keys, "group")["faces"]] == [None] * 6
