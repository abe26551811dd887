"""The keystore remembers what was signed: a log that does not extend it gets no signature until a restore says so."""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from assent.audit import checkpoint, log, tree
from assent.audit.restore import begin_epoch
from assent.audit.verify import export_log, verify_database, verify_log
from assent.core.audit_errors import HeadNotRemembered, LogSetBack
from assent.core.errors import AuditBroken, KeyMissing
from assent.db.pool import Conn, Pool, open_pool
from assent.keys import signed_head
from assent.keys.keyfile import read_export, write_export
from assent.keys.keystore import Keystore, TenantKeys, open_keystore
from assent.subjects.recover import import_keys, resume_logs

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def log_pool(log_url: str) -> Iterator[Pool]:
    with open_pool(log_url) as pool:
        yield pool


def grow(conn: Conn, keys: TenantKeys, count: int, words: str = "") -> None:
    for _ in range(count):
        log.append(conn, keys, "test.counted", {"words": words}, [], AT)
    conn.commit()


def signed(conn: Conn, keys: TenantKeys) -> checkpoint.Checkpoint:
    with conn.transaction():
        return checkpoint.open_note(keys, checkpoint.current_checkpoint(conn, keys))


def set_back(conn: Conn, keys: TenantKeys, size: int) -> None:
    """Makes the log what it was with that many leaves, as whoever can write to the database may."""
    at = {"tenant": keys.tenant, "size": size}
    with conn.transaction():
        conn.execute("DELETE FROM audit_leaf WHERE tenant = %(tenant)s AND seq >= %(size)s", at)
        conn.execute("DELETE FROM audit_node WHERE tenant = %(tenant)s AND (n + 1) << level::int > %(size)s", at)
        conn.execute("UPDATE audit_tree SET size = %(size)s WHERE tenant = %(tenant)s", at)


def store_of(keys: TenantKeys) -> Keystore:
    assert keys.store is not None
    return keys.store


def head_file(keys: TenantKeys) -> Path:
    return store_of(keys).keys_dir / "log" / f"{keys.tenant}.json"


def exported(conn: Conn, keys: TenantKeys) -> io.StringIO:
    file = io.StringIO()
    with conn.transaction():
        export_log(conn, keys, file)
    file.seek(0)
    return file


def test_what_is_signed_is_remembered_first_and_by_every_process(log_conn: Conn, log_keys: TenantKeys) -> None:
    assert checkpoint.read_note(log_keys) is None
    grow(log_conn, log_keys, 3)
    first = signed(log_conn, log_keys)
    store = store_of(log_keys)
    other = open_keystore(store.keys_dir, store.database).tenant(log_keys.tenant)
    assert checkpoint.open_note(other, checkpoint.read_note(other) or "") == first
    assert head_file(log_keys).stat().st_mode & 0o777 == 0o600
    grow(log_conn, log_keys, 2)
    assert signed(log_conn, other).size == 5
    assert checkpoint.open_note(log_keys, checkpoint.read_note(log_keys) or "").size == 5


@pytest.mark.parametrize(("size", "more"), [(0, 0), (3, 0), (3, 1), (3, 5), (0, 20), (6, 1)])
def test_a_log_that_was_set_back_or_rewritten_is_not_signed(
    log_conn: Conn, log_keys: TenantKeys, size: int, more: int
) -> None:
    grow(log_conn, log_keys, 7)
    kept = signed(log_conn, log_keys)
    set_back(log_conn, log_keys, size)
    grow(log_conn, log_keys, more, "it never happened")
    with pytest.raises(LogSetBack, match=f"has {size + more} leaves and does not extend the 7 that were signed"):
        signed(log_conn, log_keys)
    with pytest.raises(LogSetBack), log_conn.transaction():
        export_log(log_conn, log_keys, io.StringIO())
    with pytest.raises(LogSetBack):
        verify_database(log_conn, log_keys)
    assert checkpoint.open_note(log_keys, checkpoint.read_note(log_keys) or "") == kept


def test_leaves_that_come_back_are_signed_again(log_conn: Conn, log_keys: TenantKeys) -> None:
    grow(log_conn, log_keys, 7)
    signed(log_conn, log_keys)
    set_back(log_conn, log_keys, 4)
    with pytest.raises(LogSetBack):
        signed(log_conn, log_keys)
    grow(log_conn, log_keys, 3)  # byte for byte the same
    assert signed(log_conn, log_keys).size == 7


def test_signers_at_once_sign_one_log(log_url: str, log_keys: TenantKeys) -> None:
    def work(n: int) -> list[str]:
        notes = []
        with psycopg.connect(log_url) as mine:
            for _ in range(12):
                grow(mine, log_keys, 1, str(n))
                with mine.transaction():
                    notes.append(checkpoint.current_checkpoint(mine, log_keys))
        return notes

    with ThreadPoolExecutor(4) as threads:
        notes = [note for part in threads.map(work, range(4)) for note in part]
    with psycopg.connect(log_url) as log_conn:
        assert signed(log_conn, log_keys).size == 48
        for note in notes:
            assert verify_log(exported(log_conn, log_keys), note).witnessed is not None


def test_a_slower_signer_does_not_replace_what_a_faster_one_remembered(log_keys: TenantKeys) -> None:
    keys_dir = store_of(log_keys).keys_dir
    before = checkpoint.sign_checkpoint(log_keys, 0, tree.EMPTY_ROOT)
    assert signed_head.replace_signed_head(keys_dir, log_keys.tenant, before, None)
    assert signed_head.replace_signed_head(keys_dir, log_keys.tenant, "faster", before)
    assert not signed_head.replace_signed_head(keys_dir, log_keys.tenant, "slower", before)
    assert signed_head.read_signed_head(keys_dir, log_keys.tenant) == "faster"


def test_a_signer_that_was_stopped_holds_up_nobody_for_ever(
    log_conn: Conn, log_keys: TenantKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_head, "HEAD_LOCK_SECONDS", 0.05)
    grow(log_conn, log_keys, 1)
    signed(log_conn, log_keys)
    with head_file(log_keys).with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert signed(log_conn, log_keys).size == 1  # nothing new has to be remembered
        grow(log_conn, log_keys, 1)
        with pytest.raises(HeadNotRemembered, match="does not go on"):
            signed(log_conn, log_keys)
    assert signed(log_conn, log_keys).size == 2


def test_without_a_place_to_remember_it_nothing_is_signed(log_conn: Conn, log_keys: TenantKeys) -> None:
    (store_of(log_keys).keys_dir / "log").write_text("no folder")
    grow(log_conn, log_keys, 1)
    with pytest.raises(HeadNotRemembered, match="cannot be written"):
        signed(log_conn, log_keys)


@pytest.mark.parametrize("content", ["", "{}", '{"format": "assent.head/1", "checkpoint": "no note"}', "é"])
def test_a_damaged_memory_is_no_empty_one(log_conn: Conn, log_keys: TenantKeys, content: str) -> None:
    grow(log_conn, log_keys, 1)
    signed(log_conn, log_keys)
    head_file(log_keys).write_text(content)
    with pytest.raises(KeyMissing):
        signed(log_conn, log_keys)


def test_a_restore_begins_an_epoch_that_says_what_was_lost(
    log_pool: Pool, log_conn: Conn, log_keys: TenantKeys
) -> None:
    grow(log_conn, log_keys, 4)
    early = signed(log_conn, log_keys)
    note_of_early = checkpoint.read_note(log_keys)
    grow(log_conn, log_keys, 5)
    late = signed(log_conn, log_keys)
    note_of_late = checkpoint.read_note(log_keys)
    set_back(log_conn, log_keys, 6)
    restored = log.head(log_conn, log_keys.tenant)
    restoration = begin_epoch(log_pool, log_keys, AT)
    assert restoration is not None
    (_, leaf) = next(log.leaves(log_conn, log_keys.tenant, 6, 7))
    assert json.loads(leaf) == {
        "v": 1,
        "at": "2026-01-31T12:00:00.000000Z",
        "action": "log.restored",
        "epoch": 2,
        "old": {"epoch": 1, "size": 9, "root": late.root.hex()},
        "restored": {"size": 6, "root": tree.root(restored.peaks).hex()},
        "commitments": [],
    }
    grow(log_conn, log_keys, 5, "afterwards")
    now = signed(log_conn, log_keys)
    assert (now.size, now.epoch) == (12, 2)
    assert "\nepoch 2\n" in (checkpoint.read_note(log_keys) or "")
    for report in (
        verify_log(exported(log_conn, log_keys), note_of_early),
        verify_database(log_conn, log_keys, note_of_early),
    ):
        assert (report.witnessed, report.lost_by, report.head.size) == (early.size, None, 12)
        assert report.restorations == (restoration,)
    for report in (
        verify_log(exported(log_conn, log_keys), note_of_late),
        verify_database(log_conn, log_keys, note_of_late),
    ):
        assert (report.witnessed, report.lost_by) == (None, restoration)
    set_back(log_conn, log_keys, 6)  # and again without a restore
    with pytest.raises(LogSetBack):
        signed(log_conn, log_keys)


def test_where_nothing_signed_was_lost_no_epoch_begins(log_pool: Pool, log_conn: Conn, log_keys: TenantKeys) -> None:
    assert begin_epoch(log_pool, log_keys, AT) is None
    grow(log_conn, log_keys, 4)
    signed(log_conn, log_keys)
    grow(log_conn, log_keys, 2)
    set_back(log_conn, log_keys, 5)  # two leaves were never signed
    assert begin_epoch(log_pool, log_keys, AT) is None
    assert signed(log_conn, log_keys) == (
        f"assent/{log_keys.tenant}",
        5,
        tree.root(log.head(log_conn, log_keys.tenant)[1]),
        1,
    )


def test_a_restore_cut_short_is_done_again(log_pool: Pool, log_conn: Conn, log_keys: TenantKeys) -> None:
    grow(log_conn, log_keys, 9)
    signed(log_conn, log_keys)
    remembered = head_file(log_keys).read_bytes()
    set_back(log_conn, log_keys, 6)
    begin_epoch(log_pool, log_keys, AT)
    head_file(log_keys).write_bytes(remembered)  # as if it had ended after the commit
    with pytest.raises(LogSetBack):
        signed(log_conn, log_keys)
    again = begin_epoch(log_pool, log_keys, AT)
    assert again is not None
    assert (again.old.size, again.restored.size, again.restored.epoch) == (9, 7, 3)
    assert signed(log_conn, log_keys).epoch == 3
    assert len(verify_log(exported(log_conn, log_keys), None).restorations) == 2
    assert begin_epoch(log_pool, log_keys, AT) is None


def test_a_leaf_that_only_claims_a_restore_helps_nobody(log_conn: Conn, log_keys: TenantKeys) -> None:
    grow(log_conn, log_keys, 9)
    late = signed(log_conn, log_keys)
    set_back(log_conn, log_keys, 6)
    root = tree.root(log.head(log_conn, log_keys.tenant).peaks).hex()
    claimed = {
        "epoch": 2,
        "old": {"epoch": 1, "size": 9, "root": late.root.hex()},
        "restored": {"size": 6, "root": root},
    }
    log.append(log_conn, log_keys, "log.restored", claimed, [], AT)
    log_conn.commit()
    with pytest.raises(LogSetBack):
        signed(log_conn, log_keys)
    with pytest.raises(AuditBroken, match="the checkpoint is of epoch 1, the leaves are of epoch 2"):
        verify_database(log_conn, log_keys)


def test_a_keystore_that_remembers_nothing_takes_the_epoch_from_the_log(
    log_pool: Pool, log_conn: Conn, log_keys: TenantKeys
) -> None:
    grow(log_conn, log_keys, 3)
    signed(log_conn, log_keys)
    set_back(log_conn, log_keys, 1)
    begin_epoch(log_pool, log_keys, AT)
    head_file(log_keys).unlink()
    assert verify_database(log_conn, log_keys).remembered is None
    assert signed(log_conn, log_keys).epoch == 2


def test_an_import_of_keys_begins_the_epoch_of_a_database_of_ones_own(
    log_pool: Pool, log_conn: Conn, log_keys: TenantKeys, tmp_path: Path
) -> None:
    grow(log_conn, log_keys, 9)
    signed(log_conn, log_keys)
    store, export = store_of(log_keys), tmp_path / "export"
    write_export(log_pool, store, export, [log_keys.tenant])
    assert import_keys(log_pool, store, read_export(store, export)).logs == {}
    set_back(log_conn, log_keys, 6)
    head_file(log_keys).unlink()  # the export tells what it was
    done = import_keys(log_pool, store, read_export(store, export))
    assert [(one.old.size, one.restored.size) for one in done.logs.values()] == [(9, 6)]
    assert signed(log_conn, log_keys).epoch == 2
    assert resume_logs(log_pool, store) == {}
