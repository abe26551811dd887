"""Who is erased is named nowhere from the answer on, and tags that were sent before are taken back."""

from __future__ import annotations

from dataclasses import replace

import rfc8785

from assent.audit import checkpoint, receipt
from assent.audit.verify import verify_database
from assent.db.pool import transaction
from assent.decisions.retract import retract
from assent.subjects.erase import complete_erasures, erase
from assent.subjects.erase import receipt as receipt_of
from assent.subjects.rotate import rotate_epoch
from tests.events import rows
from tests.integration.album import Album


def post(album: Album, media_id: str) -> list[str]:
    """Lists who is named in the group photo when alice posts it."""
    return sorted(album.post(media_id, author="alice", connections=("bob",)))


def test_tags_go_at_once_and_the_platform_is_told(album: Album) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "third")
    assert post(album, "before") == ["alice", "bob"]
    with transaction(album.bench.pool) as conn:
        conn.execute("UPDATE outbox SET state = 'delivered', attempts = 1, delivered_at = now()")
        erasure = erase(conn, album.keys, "bob")
    assert album.named("before") == {"alice": "second"}
    assert post(album, "after") == ["alice"]
    assert retract(album.bench.pool, album.keys, album.pid("bob"), erasure.id) == 1
    assert album.named("before") == {"alice": "second"}
    messages = rows(album.bench, "SELECT media_id, type, state FROM outbox ORDER BY created_at")
    assert ("before", "tag.retracted", "waiting") in messages
    assert ("after", "tag.retracted", "waiting") not in messages


def test_the_receipt_follows_the_rotation_and_the_log_still_holds(album: Album) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "third")
    post(album, "before")
    old_key = rows(album.bench, "SELECT pid, epoch, wrapped FROM subject_key")
    with transaction(album.bench.pool) as conn:
        erasure = erase(conn, album.keys, "bob")
    retract(album.bench.pool, album.keys, album.pid("bob"), erasure.id)
    rotated = rotate_epoch(album.bench.pool, album.bench.keystore, "default")
    fresh = album.bench.keystore.tenant("default")
    with transaction(album.bench.pool) as conn:
        complete_erasures(conn, fresh, rotated.old)
        said = receipt_of(conn, fresh, erasure.token)
        assert verify_database(conn, fresh).head.size > 0
    assert said is not None
    found = receipt.verify_receipt(rfc8785.dumps(said), checkpoint.verifier(fresh))
    assert found.destroyed_epochs == (1,)
    assert [epoch for _, epoch, _ in old_key] == [1, 1]
    assert rows(album.bench, "SELECT DISTINCT epoch FROM subject_key") == [(rotated.new,)]
    assert post(replace(album, keys=fresh), "after") == ["alice"]
