"""Only people with an active consent are recognised, only where it reaches, and only while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from assent.core.errors import ConsentMissing
from assent.core.values import Analysis, Event, MediaRef
from assent.db.pool import Conn, transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.pipeline import analyse
from assent.subjects import consent
from assent.subjects.consent import Scope
from assent.subjects.enrol import request_enrolment
from assent.tenants import init_tenant
from assent.worker.jobs import WorkerContext
from tests import people
from tests.enrolment import outcome
from tests.events import SOURCE, decision, everything, everything_bytes, rows, store
from tests.integration.album import Album


def test_two_of_six_are_recognised_and_four_left_alone(
    album: Album, matched: Callable[..., dict[str, str]], bench: WorkerContext, keys: TenantKeys
) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    assert matched(author="alice", connections=("bob",)) == {"alice": "second", "bob": "fifth"}
    match = next(face["match"] for face in decision(bench, keys, "group")["faces"] if face["match"])
    assert set(match) == {"subject", "band", "state"}
    assert match["band"] in ("strong", "likely")


@pytest.mark.parametrize(
    ("scope", "said", "expected"),
    [
        ("own", {"author": "alice"}, {"alice": "second"}),
        ("own", {"author": "bob", "connections": ("alice",)}, {}),
        ("connections", {"author": "bob", "connections": ("alice",)}, {"alice": "second"}),
        ("connections", {"author": "bob"}, {}),
        ("connections", {}, {}),
        ("anyone", {"author": "bob"}, {}),  # the deployer has declared nothing
        ("anyone", {"author": "bob", "connections": ("alice",)}, {"alice": "second"}),
    ],
)
def test_a_consents_scope_says_where_it_reaches(
    album: Album,
    matched: Callable[..., dict[str, str]],
    scope: Scope,
    said: dict[str, Any],
    expected: dict[str, str],
) -> None:
    album.opt_in("alice", "second", scope)
    assert matched(**said) == expected


def test_after_withdrawal_nobody_is_named_any_more(
    album: Album, matched: Callable[..., dict[str, str]], bench: WorkerContext, keys: TenantKeys
) -> None:
    consent_id = album.opt_in("alice", "second")
    assert matched(author="alice") == {"alice": "second"}
    with transaction(bench.pool) as conn:
        consent.withdraw_consent(conn, keys, consent_id)
    faces = decision(bench, keys, "group")["faces"]  # what was said before, too
    assert [face["match"] for face in faces] == [None] * 6
    assert rows(bench, "SELECT count(*) FROM template") == [(0,)]
    album.wait("alice", 0)
    assert matched("again", author="alice") == {}


def expire(conn: Conn) -> None:
    """Lets every consent's time pass, without a word to anybody."""
    conn.execute("ALTER TABLE consent DISABLE TRIGGER consent_is_a_record")
    conn.execute("UPDATE consent SET expires_at = now() - interval '1 second'")
    conn.execute("ALTER TABLE consent ENABLE TRIGGER consent_is_a_record")


@pytest.mark.parametrize("end", ["withdrawn", "expired"])
def test_a_consents_end_between_match_and_record_wins(
    album: Album, bench: WorkerContext, keys: TenantKeys, six_people: bytes, end: str
) -> None:
    consent_id = album.opt_in("alice", "second")
    media = MediaRef("group", None)
    event = Event("media.created", (media,), "public", "post", "alice")
    looked = analyse(bench.stages, bench.policies.default, "default", event, media, six_people)
    assert isinstance(looked, Analysis)
    assert [match.pseudonym for match in looked.matches] == [derive_pseudonym(keys, "alice")]
    event_id = store(bench, keys, media, six_people, author="alice")
    with transaction(bench.pool) as conn:
        if end == "withdrawn":
            consent.withdraw_consent(conn, keys, consent_id)
        else:
            expire(conn)
    with transaction(bench.pool) as conn:
        media_key = MediaKey("default", event_id, SOURCE, 0, event, media)
        record(conn, keys, media_key, NewDecision(looked, bench.policies.default.ref))
    assert rows(bench, "SELECT count(*) FROM match") == [(0,)]
    assert [face["match"] for face in decision(bench, keys, "group")["faces"]] == [None] * 6


def test_an_expired_consent_names_nobody(
    album: Album, matched: Callable[..., dict[str, str]], bench: WorkerContext
) -> None:
    album.opt_in("alice", "second")
    with transaction(bench.pool) as conn:
        expire(conn)
    assert matched(author="alice") == {}


def test_nobody_is_compared_where_nobody_may_be_found(bench: WorkerContext, six_people: bytes) -> None:
    media = MediaRef("group", None)
    event = Event("media.created", (media,), "public", "post", "zoe")
    looked = analyse(bench.stages, bench.policies.default, "default", event, media, six_people)
    assert isinstance(looked, Analysis)
    assert [face.embedding for face in looked.perception.faces] == [None] * 6


def test_neither_template_nor_link_lies_in_the_clear(
    album: Album, bench: WorkerContext, keys: TenantKeys, six_people: bytes
) -> None:
    album.opt_in("subject-alice", "second")
    media = MediaRef("group", None)
    event = Event("media.created", (media,), "public", "post", "subject-alice")
    looked = analyse(bench.stages, bench.policies.default, "default", event, media, six_people)
    assert isinstance(looked, Analysis)
    event_id = store(bench, keys, media, six_people, author="subject-alice")
    with transaction(bench.pool) as conn:
        media_key = MediaKey("default", event_id, SOURCE, 0, event, media)
        record(conn, keys, media_key, NewDecision(looked, bench.policies.default.ref))
    stored = everything_bytes(bench)
    assert looked.matches
    text = everything(bench)
    assert "subject-alice" not in text
    assert "group" in text
    pid = derive_pseudonym(keys, "subject-alice")
    links = rows(bench, "SELECT locator, sealed FROM match")
    assert links
    assert all(pid not in bytes(part) for link in links for part in link)
    for face in looked.perception.faces:
        assert face.embedding is not None
        for kind in (np.float16, np.float32, np.float64):
            raw = face.embedding.astype(kind).tobytes()
            assert raw[:16] not in stored
            assert raw[:16].hex().encode() not in stored


def test_another_tenants_people_are_not_found(
    album: Album, bench: WorkerContext, keys: TenantKeys, six_people: bytes
) -> None:
    album.opt_in("alice", "second", "anyone")
    init_tenant(bench.pool, bench.keystore, "other", "elsewhere", None)
    event = Event("media.created", (), "public", "post", "alice", ("alice",))
    assert bench.gallery.candidate_count("other", event) == 0
    assert bench.gallery.candidate_count("default", event) == 1


@pytest.mark.parametrize(
    ("photo", "code"), [("cat", "no_face"), ("six", "multiple_faces"), ("text", "media_unsupported")]
)
def test_a_photo_that_does_not_show_one_face_enrols_nobody(
    bench: WorkerContext, keys: TenantKeys, six_people: bytes, cat: bytes, photo: str, code: str
) -> None:
    people.give(bench.pool, keys, "alice", scope="own")
    said = outcome(bench, keys, "alice", {"cat": cat, "six": six_people, "text": b"x"}[photo])
    assert said["error"] == code
    assert rows(bench, "SELECT count(*) FROM template") == [(0,)]
    assert rows(bench, "SELECT count(*) FROM upload") == [(0,)]


def test_without_consent_no_photo_is_even_stored(bench: WorkerContext, keys: TenantKeys, six_people: bytes) -> None:
    with pytest.raises(ConsentMissing), transaction(bench.pool) as conn:
        request_enrolment(conn, keys, uuid4(), derive_pseudonym(keys, "alice"), [six_people])
    assert rows(bench, "SELECT count(*) FROM upload") == [(0,)]
