"""Who is erased is named nowhere from the answer on, and tags that were sent before are taken back."""

from __future__ import annotations

import rfc8785

from assent.audit import checkpoint, receipt
from assent.audit.verify import verify_database
from assent.gallery.keys import TenantKeys
from assent.gallery.keys import pid as pid_of
from assent.gallery.rotate import rotate_epoch
from assent.outbox.retract import retract
from assent.store.pool import transaction
from assent.subjects.erase import complete, erase
from assent.subjects.erase import receipt as receipt_of
from assent.values import MediaRef
from assent.worker import Bench, decide_event
from tests.integration.test_event_decided import decision, rows, store
from tests.integration.test_match_consented import Enrolled


def post(bench: Bench, keys: TenantKeys, photo: bytes, media_id: str) -> list[str]:
    """Who is named in the group photo when alice posts it."""
    event = store(bench, keys, MediaRef(media_id, None), photo, author="alice", connections=("bob",))
    decide_event(bench, "default", event)
    return named(bench, keys, media_id)


def named(bench: Bench, keys: TenantKeys, media_id: str) -> list[str]:
    faces = decision(bench, keys, media_id)["faces"]
    return sorted(face["match"]["subject"] for face in faces if face["match"])


def test_tags_go_at_once_and_the_platform_is_told(bench: Bench, keys: TenantKeys, six_people: bytes) -> None:
    opt_in = Enrolled(bench, keys, six_people)
    opt_in("alice", "second")
    opt_in("bob", "third")
    assert post(bench, keys, six_people, "before") == ["alice", "bob"]
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE outbox SET state = 'delivered', attempts = 1, delivered_at = now()")
        erasure = erase(conn, keys, "bob")
    assert named(bench, keys, "before") == ["alice"]
    assert post(bench, keys, six_people, "after") == ["alice"]
    assert retract(bench.pool, keys, pid_of(keys, "bob"), erasure.id) == 1
    assert named(bench, keys, "before") == ["alice"]
    messages = rows(bench, "SELECT media_id, type, state FROM outbox ORDER BY created_at")
    assert ("before", "tag.retracted", "waiting") in messages
    assert ("after", "tag.retracted", "waiting") not in messages


def test_the_receipt_follows_the_rotation_and_the_log_still_holds(
    bench: Bench, keys: TenantKeys, six_people: bytes
) -> None:
    opt_in = Enrolled(bench, keys, six_people)
    opt_in("alice", "second")
    opt_in("bob", "third")
    post(bench, keys, six_people, "before")
    old_key = rows(bench, "SELECT pid, epoch, wrapped FROM subject_key")
    with transaction(bench.pool) as conn:
        erasure = erase(conn, keys, "bob")
    retract(bench.pool, keys, pid_of(keys, "bob"), erasure.id)
    rotated = rotate_epoch(bench.pool, bench.keystore, "default")
    fresh = bench.keystore.tenant("default")
    with transaction(bench.pool) as conn:
        complete(conn, fresh, rotated.old)
        said = receipt_of(conn, fresh, erasure.token)
        assert verify_database(conn, fresh).head.size > 0
    assert said is not None
    found = receipt.verify(rfc8785.dumps(said), checkpoint.verifier(fresh))
    assert found.destroyed_epochs == (1,)
    assert [epoch for _, epoch, _ in old_key] == [1, 1]
    assert rows(bench, "SELECT DISTINCT epoch FROM subject_key") == [(rotated.new,)]
    assert post(bench, fresh, six_people, "after") == ["alice"]
