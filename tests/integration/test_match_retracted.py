"""Who takes consent back disappears from every picture, and whoever was told of them is told so."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from assent.core.errors import NotFound
from assent.db.pool import transaction
from assent.decisions.retract import MATCH_ROWS, queue_retraction, retract
from assent.keys.subject_keys import SubjectKey, seal_match
from assent.outbox.dead_letters import redrive
from assent.outbox.endpoints import enable_endpoint
from assent.subjects.consent import open_subject, withdraw_all
from assent.subjects.erase import erase
from assent.subjects.matches import approve
from tests.events import rows
from tests.integration.album import Album


def subjects(body: dict[str, Any]) -> list[str]:
    return [face["match"]["subject"] for face in body["data"]["faces"] if face["match"]]


def test_what_was_sent_is_retracted_and_the_others_stay(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    album.post(author="alice", connections=("bob",))
    (told,) = album.deliver()
    assert (told["type"], sorted(subjects(told))) == ("media.tagged", ["alice", "bob"])
    album.withdraw(consent)
    assert rows(album.bench, "SELECT count(*) FROM match") == [(2,)]  # the job has not run
    assert album.named() == {"bob": "fifth"}
    album.work()
    assert rows(album.bench, "SELECT state, revision FROM match") == [("published", 2)]
    (told,) = album.deliver()
    assert (told["type"], subjects(told), told["data"]["revision"]) == ("tag.retracted", ["bob"], 2)
    assert "alice" not in json.dumps(told)
    assert album.leaves("tag.retracted") == 1
    leaf = rows(album.bench, "SELECT max(seq) FROM audit_leaf")[0][0]
    assert told["data"]["audit"]["leaf"] == leaf


def test_what_was_never_sent_is_sent_without_the_name(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.post(author="alice")
    album.withdraw(consent)
    album.work()
    (told,) = album.deliver()
    assert (told["type"], subjects(told), told["data"]["revision"]) == ("media.tagged", [], 2)
    states = rows(album.bench, "SELECT type, revision, state FROM outbox ORDER BY revision")
    assert states == [("media.tagged", 1, "superseded"), ("media.tagged", 2, "delivered")]


def test_every_picture_and_once(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    for media_id in ("one", "two", "three"):
        assert album.post(media_id, author="alice") == {"alice": "second"}
    assert len(album.deliver()) == 3
    album.withdraw(consent)
    album.work()
    assert retract(album.bench.pool, album.keys, album.pid("alice")) == 0
    assert sorted(told["data"]["media"]["id"] for told in album.deliver()) == ["one", "three", "two"]
    assert album.leaves("tag.retracted") == 3


def test_a_picture_decided_again_after_a_revision_gets_the_next_one(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.post(author="alice")
    album.deliver()
    album.withdraw(consent)
    album.work()
    album.post(author="alice")
    assert [told["data"]["revision"] for told in album.deliver()] == [3]


def test_an_endpoint_that_is_disabled_can_be_told_later(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.post(author="alice")
    album.deliver()
    with transaction(album.bench.pool) as conn:
        conn.execute("UPDATE endpoint SET disabled_at = now(), disabled_because = 'test'")
    album.withdraw(consent)
    album.work()
    assert album.deliver() == []
    assert rows(album.bench, "SELECT type FROM outbox WHERE state = 'dead'") == [("tag.retracted",)]
    with transaction(album.bench.pool) as conn:
        enable_endpoint(conn, "default", "platform")
        redrive(conn, "default", None)
    assert [told["type"] for told in album.deliver()] == ["tag.retracted"]


def test_an_erasure_hears_that_no_match_is_left(album: Album) -> None:
    album.opt_in("alice", "second")
    album.post(author="alice")
    erasure = uuid4()
    with transaction(album.bench.pool) as conn:
        conn.execute(
            "INSERT INTO erasure (tenant, id, token_sha256, leaf, epoch, requested_at)"
            " VALUES ('default', %s, '', 0, 1, now())",
            [erasure],
        )
        conn.execute("DELETE FROM subject")
        queue_retraction(conn, "default", album.pid("alice"), erasure)
    album.work()
    assert rows(album.bench, "SELECT count(*) FROM match") == [(0,)]
    assert rows(album.bench, "SELECT retracted_at IS NOT NULL FROM erasure") == [(True,)]


def test_a_finished_job_no_longer_says_whom_it_was_about(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.withdraw(consent)
    assert rows(album.bench, "SELECT args ->> 'pid' FROM procrastinate_jobs WHERE task_name = 'retract'") == [
        (album.pid("alice").hex(),)
    ]
    album.work()
    assert rows(
        album.bench, "SELECT args ->> 'pid', status::text FROM procrastinate_jobs WHERE task_name = 'retract'"
    ) == [("", "succeeded")]


def test_who_left_came_back_and_left_again_is_taken_back_twice(album: Album) -> None:
    """The first job ends while the second waits: it may not take the second for done."""
    album.withdraw(album.opt_in("alice", "second"))
    again = album.opt_in("alice", "second")
    album.post(author="alice")
    (first,) = rows(album.bench, "SELECT id FROM procrastinate_jobs WHERE task_name = 'retract'")
    album.withdraw(again)
    retract(album.bench.pool, album.keys, bytes(32), None, first[0])  # of nobody's matches, and at its end now
    assert rows(album.bench, "SELECT count(*) FROM match") == [(1,)]
    album.work()
    assert rows(album.bench, "SELECT count(*) FROM match") == [(0,)]


def test_who_left_and_came_back_is_not_named_by_what_is_not_taken_back_yet(album: Album) -> None:
    """The old match lies under a key that went with them: it does not open, and nobody altered it."""
    album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    album.post(author="alice", connections=("bob",))
    with transaction(album.bench.pool) as conn:
        erase(conn, album.keys, "alice")
    album.opt_in("alice", "second")
    assert album.named() == {"bob": "fifth"}  # by the first post's decision
    (told,) = album.deliver()
    assert (told["type"], subjects(told)) == ("media.tagged", ["bob"])
    album.work()
    (told,) = album.deliver()
    assert (told["type"], subjects(told), told["data"]["revision"]) == ("tag.retracted", ["bob"], 2)
    assert album.leaves("seal.broken") == 0
    assert album.post("another", author="alice", connections=("bob",)) == {"alice": "second", "bob": "fifth"}
    with transaction(album.bench.pool) as conn:  # and what really was altered does not pass for that
        conn.execute("UPDATE match SET sealed = 'x' WHERE media_id = 'another'")
    assert album.deliver() == []
    assert album.leaves("seal.broken") == 1


def test_who_agrees_again_more_narrowly_is_not_named_by_what_they_agreed_to_before(album: Album) -> None:
    """No job has run yet: the old match stands on a consent that has ended."""
    wide = album.opt_in("alice", "second")
    album.post(author="bob", connections=("alice",))
    assert [match.state for match in album.seen("alice")] == ["published"]
    (before,) = album.seen("alice")
    album.withdraw(wide)
    album.opt_in("alice", "second", "own")
    assert album.named() == {}
    assert album.seen("alice") == []
    with pytest.raises(NotFound):
        approve(album.bench.pool, album.keys, album.pid("alice"), before.item, before.face)
    (told,) = album.deliver()
    assert subjects(told) == []
    assert album.leaves("seal.broken") == 0


def test_what_was_matched_since_they_agreed_again_stays(album: Album) -> None:
    album.withdraw(album.opt_in("alice", "second"))
    album.opt_in("alice", "second")
    assert album.post(author="alice") == {"alice": "second"}
    album.work()
    assert album.named() == {"alice": "second"}
    assert album.leaves("tag.retracted") == 0


def test_a_match_from_before_matches_carried_their_consent_stands_until_one_ends(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.post(author="alice")
    (match,) = album.seen("alice")
    with transaction(album.bench.pool) as conn:
        subject = open_subject(conn, album.keys, album.pid("alice"))
        old = seal_match(album.keys, subject, match.item.id, match.face, {"band": match.band})
        conn.execute("UPDATE match SET sealed = %s", [old.sealed])
    album.opt_in("alice", "second")  # without a break
    assert album.named() == {"alice": "second"}
    album.withdraw(consent)
    assert album.named() == {"alice": "second"}  # it was replaced: nothing of theirs ended
    with transaction(album.bench.pool) as conn:
        withdraw_all(conn, album.keys, album.pid("alice"))
    album.opt_in("alice", "second")
    assert (album.named(), album.leaves("seal.broken")) == ({}, 0)


def test_what_could_not_be_made_was_never_told(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    album.post(author="alice", connections=("bob",))
    (bob,) = (row for row in album.seen("bob"))
    with transaction(album.bench.pool) as conn:
        conn.execute("UPDATE match SET sealed = 'x' WHERE face = %s", [bob.face])
    assert album.deliver() == []
    with transaction(album.bench.pool) as conn:
        conn.execute("DELETE FROM match WHERE face = %s", [bob.face])
    album.withdraw(consent)
    album.work()
    assert [(told["type"], subjects(told)) for told in album.deliver()] == [("media.tagged", [])]


def test_no_transaction_writes_a_person_and_a_picture(album: Album) -> None:
    """The transaction's number stands in each row on disk: it would link the two."""
    consent = album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")  # who stays: of alice all rows were written by the withdrawal
    album.post(author="alice")
    album.deliver()
    album.withdraw(consent)
    album.work()
    people = set(rows(album.bench, "SELECT xmin::text FROM subject UNION SELECT xmax::text FROM subject"))
    for table in ("consent", "template", "refusal", "subject_key"):
        people |= set(rows(album.bench, f"SELECT xmin::text FROM {table} UNION SELECT xmax::text FROM {table}"))  # noqa: S608
    pictures: set[Any] = set()
    for table in ("match", "decision", "outbox", "review_case", "kept_picture", "media_item"):
        pictures |= set(rows(album.bench, f"SELECT xmin::text FROM {table} UNION SELECT xmax::text FROM {table}"))  # noqa: S608
    assert len(people) > 2
    assert len(pictures) > 2
    assert people & pictures <= {("0",)}


def test_of_more_matches_than_a_batch_holds_only_ones_own_are_taken_back(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.post(author="alice")
    album.withdraw(consent)
    keys, stranger = album.keys, SubjectKey.new(album.keys, bytes(32))
    found = [(f"photo-{n // 4}", n % 4) for n in range(3 * MATCH_ROWS)]
    with transaction(album.bench.pool) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO match (tenant, source, media_id, face, revision, epoch, locator, sealed)"
            " VALUES ('default', 'platform', %s, %s, 1, %s, %s, %s)",
            [(media, face, *seal_match(keys, stranger, media, face, {"band": "likely"})) for media, face in found],
        )
    assert retract(album.bench.pool, keys, album.pid("alice")) == 1
    assert rows(album.bench, "SELECT count(*) FROM match") == [(len(found),)]
