"""A rotation moves every living row to the new epoch, makes erased people's old rows worthless, may be cut short."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from assent.audit.verify import verify_database
from assent.core.errors import RotationUnderWay, SealBroken
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.keys.keyfile import read_export
from assent.keys.keystore import Keystore, TenantKeys, open_keystore
from assent.keys.subject_keys import SubjectKey
from assent.subjects import rotate, rotation
from assent.subjects.erase import erase as forget
from assent.subjects.erase import receipt
from assent.subjects.rotate import rotate_epoch, rotation_lock
from assent.tenants import init_tenant
from tests.events import leaves, rows
from tests.integration.lives import erase, matches, recognise, spoken_of, templates
from tests.people import add_subject, opt_in_all
from tests.waiting import until


def test_everything_of_the_living_opens_as_before(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    for n, subject in enumerate(people):
        recognise(pool, keys, subject, f"picture {n}")
    done = rotate_epoch(pool, keystore, "default")
    assert (done.old, done.new, done.people, done.matches, done.payloads, done.broken) == (1, 2, 2, 2, 2, 0)
    assert templates(pool, keys) == {"ana", "bea"}
    assert matches(pool, keys, people) == {"picture 0": "strong", "picture 1": "strong"}
    assert spoken_of(pool, keys) == [subject.pseudonym for subject in people]
    for table in ("subject_key", "match", "audit_payload"):
        assert rows(pool, f"SELECT DISTINCT epoch FROM {table} WHERE epoch IS NOT NULL") == [(2,)]  # noqa: S608
    assert [(leaf["epochs"], leaf["live"]) for leaf in leaves(pool, "epoch.destroyed")] == [([1], 2)]


def test_keys_taken_before_it_go_on_working(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    rotate_epoch(pool, keystore, "default")
    assert keys.epoch == 1  # what a job took when it began
    (ana,) = opt_in_all(pool, keys, "ana")
    recognise(pool, keys, ana, "picture")
    assert rows(pool, "SELECT epoch FROM match UNION SELECT epoch FROM subject_key") == [(2,)]
    assert templates(pool, keys) == {"ana"}
    assert matches(pool, keys, [ana]) == {"picture": "strong"}


def test_old_rows_and_todays_keys_open_nothing_of_anybody(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    opt_in_all(pool, keys, "ana", "bea")
    old = rows(pool, "SELECT pid, epoch, wrapped FROM subject_key")
    erase(pool, keys, "ana")
    rotate_epoch(pool, keystore, "default")
    for pid, epoch, wrapped in old:
        with pytest.raises(SealBroken, match="epoch 1; the live one is 2"):
            SubjectKey.unwrap(keystore.tenant("default"), pid, epoch, wrapped)
        with pytest.raises(SealBroken):  # nor under another number
            SubjectKey.unwrap(keystore.tenant("default"), pid, 2, wrapped)
        with pytest.raises(SealBroken):  # nor with keys that somebody still had in hand
            SubjectKey.unwrap(keys, pid, epoch, wrapped)
    assert templates(pool, keys) == {"bea"}


def test_what_is_left_of_the_erased_tells_nobody_who_it_was(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    ana, bea = opt_in_all(pool, keys, "ana", "bea")
    recognise(pool, keys, ana, "hers")
    recognise(pool, keys, bea, "other")
    erase(pool, keys, "ana")
    sizes = rows(pool, "SELECT seq, part, octet_length(locator) FROM audit_payload ORDER BY 1, 2")
    rotate_epoch(pool, keystore, "default")
    assert rows(pool, "SELECT media_id FROM match") == [("other",)]
    (nobody, other) = spoken_of(pool, keys)
    assert other == bea.pseudonym
    assert (nobody,) not in rows(pool, "SELECT pid FROM subject")
    assert nobody != ana.pseudonym
    left = rows(pool, "SELECT seq, part, octet_length(locator) FROM audit_payload ORDER BY 1, 2")
    assert left[: len(sizes)] == sizes  # the row alone does not say that its person is gone
    with transaction(pool) as conn:
        verify_database(conn, keystore.tenant("default"), None)


def test_what_is_left_of_the_erased_is_not_taken_for_altered(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    ana, _ = opt_in_all(pool, keys, "ana", "bea")
    recognise(pool, keys, ana, "hers")
    erase(pool, keys, "ana")
    assert [rotate_epoch(pool, keystore, "default").broken for _ in range(3)] == [0, 0, 0]


def test_matches_that_still_have_to_be_taken_back_are_kept(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    (ana,) = opt_in_all(pool, keys, "ana")
    recognise(pool, keys, ana, "hers")
    wait_for_erasure(pool, retracted=False)
    erase(pool, keys, "ana")
    rotate_epoch(pool, keystore, "default")
    assert matches(pool, keys, [ana]) == {"hers": "strong"}
    assert rows(pool, "SELECT epoch, completed_at FROM erasure") == [(2, None)]  # that epoch has to go as well


def wait_for_erasure(pool: Pool, *, retracted: bool) -> None:
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO erasure (tenant, id, token_sha256, leaf, epoch, requested_at, retracted_at)"
            " VALUES ('default', %s, %s, 0, 1, now(), %s)",
            [uuid4(), uuid4().bytes, datetime.now(UTC) if retracted else None],
        )


def test_a_rotation_cut_short_loses_nothing_and_the_next_one_ends_it(
    pool: Pool, keystore: Keystore, keys: TenantKeys, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"person {n}" for n in range(10)}
    people = opt_in_all(pool, keys, *sorted(names))
    recognise(pool, keys, people[0], "picture")
    monkeypatch.setattr(rotate, "ROTATED_ROWS", 3)

    def dies(_table: str, moved: int) -> None:
        if moved == 6:
            raise KeyboardInterrupt

    for epoch in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            rotate_epoch(pool, keystore, "default", dies)
        assert rows(pool, f"SELECT count(*) FROM subject_key WHERE epoch = {epoch}") == [(6,)]  # noqa: S608
        again = open_keystore(settings.keys_dir, keystore.database)  # as another process has it
        assert again.tenant("default").epoch == epoch
        assert templates(pool, again.tenant("default")) == names
    done = rotate_epoch(pool, keystore, "default")
    assert (done.old, done.new, done.people) == (3, 4, 10)
    assert not keystore.tenant("default").retiring
    assert templates(pool, keys) == names
    assert matches(pool, keys, people) == {"picture": "strong"}
    assert leaves(pool, "epoch.destroyed")[-1]["epochs"] == [1, 2, 3]


def test_two_at_once_are_one(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    with rotation_lock(pool, "default"), pytest.raises(RotationUnderWay):
        rotate_epoch(pool, keystore, "default")
    assert keystore.tenant("default").epoch == 1
    assert rotate_epoch(pool, keystore, "default").new == 2


def test_tenants_rotate_apart(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    others = keystore.tenant("other")
    opt_in_all(pool, keys, "ana")
    opt_in_all(pool, others, "ana")
    rotate_epoch(pool, keystore, "default")
    assert (keystore.tenant("default").epoch, keystore.tenant("other").epoch) == (2, 1)
    assert templates(pool, keys) == templates(pool, others) == {"ana"}


def test_who_began_before_it_is_waited_for(pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str) -> None:
    """A writer that has wrapped under the old epoch and has not committed yet loses nothing."""
    opt_in_all(pool, keys, "ana")
    done: list[rotate.Rotated] = []
    with psycopg.connect(database_url) as slow:
        bea = add_subject(slow, keys, "bea")
        thread = threading.Thread(target=lambda: done.append(rotate_epoch(pool, keystore, "default")))
        thread.start()
        until(lambda: rows(pool, "SELECT epoch FROM subject_key") == [(2,)], "what is committed was moved")
        assert keystore.tenant("default").retiring  # the old key is not destroyed yet
        slow.commit()
    thread.join()
    assert done[0].people == 2
    held = rows(pool, "SELECT pid, epoch, wrapped FROM subject_key")
    assert bea in [SubjectKey.unwrap(keys, *row) for row in held]


def test_whoever_read_a_row_as_it_was_can_still_open_it(
    pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str
) -> None:
    opt_in_all(pool, keys, "ana")
    thread = threading.Thread(target=rotate_epoch, args=(pool, keystore, "default"))
    with psycopg.connect(database_url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        reader.execute("SELECT FROM tenant")
        thread.start()
        until(lambda: rows(pool, "SELECT epoch FROM subject_key") == [(2,)], "the row was moved")
        row = reader.execute("SELECT pid, epoch, wrapped FROM subject_key").fetchone()
        assert row is not None
        assert row[1] == 1
        assert SubjectKey.unwrap(keys, *row).pseudonym == row[0]
    thread.join()
    assert not keystore.tenant("default").retiring


def test_rows_that_others_have_locked_are_not_forgotten(
    pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str
) -> None:
    opt_in_all(pool, keys, "ana", "bea")
    thread = threading.Thread(target=rotate_epoch, args=(pool, keystore, "default"))
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM subject_key ORDER BY pid LIMIT 1 FOR UPDATE")
        thread.start()
        until(lambda: (2,) in rows(pool, "SELECT epoch FROM subject_key"), "the other row was moved")
        assert (1,) in rows(pool, "SELECT epoch FROM subject_key")
    thread.join()
    assert rows(pool, "SELECT DISTINCT epoch FROM subject_key") == [(2,)]
    assert templates(pool, keys) == {"ana", "bea"}


def test_altered_rows_do_not_stop_it_and_are_noted(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    for n, subject in enumerate(people):
        recognise(pool, keys, subject, f"picture {n}")
    with transaction(pool) as conn:
        conn.execute("UPDATE match SET locator = 'x' WHERE media_id = 'picture 0'")
        conn.execute("UPDATE subject_key SET wrapped = 'x' WHERE pid = %s", [people[0].pseudonym])
    assert rotate_epoch(pool, keystore, "default").broken == 2
    assert matches(pool, keys, people) == {"picture 1": "strong"}
    assert templates(pool, keys) == {"bea"}
    assert [leaf["kind"] for leaf in leaves(pool, "seal.broken")] == ["subject_key", "match"]


def test_the_keys_are_exported_and_older_exports_removed(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    rotate_epoch(pool, keystore, "default")
    init_tenant(pool, keystore, "default-epoch-1", "elsewhere", None)  # a name that looks like a file of another's
    rotate_epoch(pool, keystore, "default-epoch-1")
    rotate_epoch(pool, keystore, "default")
    folder = keystore.keys_dir / "exports"
    assert sorted(file.name for file in folder.iterdir()) == ["default-epoch-1-epoch-2.json", "default-epoch-3.json"]
    file = folder / "default-epoch-3.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    exported, wrapped = read_export(keystore, file).tenants["default"]
    assert exported.epoch == 3
    opened = [SubjectKey.unwrap(exported, one.pseudonym, one.epoch, one.wrapped) for one in wrapped]
    assert sorted(opened, key=lambda one: one.pseudonym) == sorted(people, key=lambda one: one.pseudonym)


def test_an_erasure_brings_about_one_rotation_and_its_receipt_later_ones_wait_a_while(
    pool: Pool, keystore: Keystore, keys: TenantKeys
) -> None:
    assert rotation.rotate_due(pool, keystore) == 0
    opt_in_all(pool, keys, "ana", "bea", "cem")
    with transaction(pool) as conn:
        first = forget(conn, keys, "ana")
    assert rotation.rotate_due(pool, keystore) == 0  # her tags are not taken back yet
    with transaction(pool) as conn:
        conn.execute("UPDATE erasure SET retracted_at = now()")
    assert rotation.rotate_due(pool, keystore) == 1
    with transaction(pool) as conn:
        said = receipt(conn, keys, first.token)
    assert said is not None
    assert said.get("state") != "pending"
    with transaction(pool) as conn:
        forget(conn, keys, "bea")
        conn.execute("UPDATE erasure SET retracted_at = now()")
    assert rotation.rotate_due(pool, keystore) == 0
    with transaction(pool) as conn:
        conn.execute("UPDATE erasure SET completed_at = completed_at - interval '21 minutes'")
    assert rotation.rotate_due(pool, keystore) == 1
    assert keystore.tenant("default").epoch == 3
    assert templates(pool, keys) == {"cem"}
