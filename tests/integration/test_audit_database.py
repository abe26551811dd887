"""Verifying the log in the database, and what is exported from it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from assent.audit import checkpoint, log
from assent.audit.log import Part
from assent.audit.verify import export_log, verify_database, verify_log
from assent.core.errors import AuditBroken
from assent.db.pool import Conn
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys, create_keystore, open_keystore
from tests.fixtures.database import Drop, fresh_database

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SIZE = 37


@pytest.fixture(scope="module")
def url(server_url: str, template: str, drop: Drop) -> Iterator[str]:
    with fresh_database(server_url, template, drop) as url:
        yield url


@pytest.fixture(scope="module")
def logged(url: str, tmp_path_factory: pytest.TempPathFactory) -> TenantKeys:
    """A tenant with a log of SIZE leaves, which was never signed."""
    keys = create_keystore(tmp_path_factory.mktemp("keys"), uuid4()).add_tenant("acme")
    with psycopg.connect(url) as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES ('acme')")
        log.create_log(conn, "acme")
        for n in range(SIZE):
            log.append(conn, keys, "test.counted", {"n": n}, [Part({"secret": "picture-4711"})], AT)
    return keys


@pytest.fixture
def keys(logged: TenantKeys, tmp_path: Path) -> TenantKeys:
    """Its keys in a keystore of the test's own: what one test signs and undoes, another need not extend."""
    assert logged.store is not None
    shutil.copytree(logged.store.keys_dir, tmp_path / "keys")
    return open_keystore(tmp_path / "keys", logged.store.database).tenant("acme")


@pytest.fixture
def conn(url: str) -> Iterator[Conn]:
    """A connection whose changes are undone."""
    with psycopg.connect(url) as conn:
        yield conn
        conn.rollback()


def test_an_export_verifies_offline_and_against_the_checkpoint_of_that_time(conn: Conn, keys: TenantKeys) -> None:
    old = checkpoint.current_checkpoint(conn, keys)
    log.append(conn, keys, "test.counted", {"n": SIZE}, [], AT)
    file, done = io.StringIO(), list[int]()
    head = export_log(conn, keys, file, done.append)
    assert done == [SIZE + 1]
    assert "4711" not in file.getvalue()
    file.seek(0)
    report = verify_log(file, old)
    assert (report.head, report.witnessed) == (head, SIZE)
    assert report.key == checkpoint.verifier(keys)


def test_an_honest_database_verifies(conn: Conn, keys: TenantKeys) -> None:
    report = verify_database(conn, keys, checkpoint.current_checkpoint(conn, keys))
    assert (report.head.size, report.witnessed, report.remembered) == (SIZE, SIZE, SIZE)


def test_the_key_that_the_reader_knows_is_the_only_one(conn: Conn, keys: TenantKeys, tmp_path: Path) -> None:
    own, file = checkpoint.verifier(keys), io.StringIO()
    assert verify_database(conn, keys, pinned=own).pinned
    export_log(conn, keys, file)
    other = checkpoint.verifier(create_keystore(tmp_path / "other", uuid4()).add_tenant("acme"))
    with pytest.raises(AuditBroken, match="by another key"):
        verify_database(conn, keys, pinned=other)
    file.seek(0)
    with pytest.raises(AuditBroken, match="by another key"):
        verify_log(file, None, pinned=other)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE audit_leaf SET leaf = leaf || ' ' WHERE seq = 5", "leaf 5 or node"),
        ("UPDATE audit_node SET hash = sha256('x') WHERE level = 2 AND n = 3", r"node \(2, 3\) was altered"),
        ("UPDATE audit_node SET hash = sha256('x') WHERE level = 5 AND n = 0", r"node \(5, 0\) was altered"),
        ("DELETE FROM audit_node WHERE level = 0 AND n = 9", r"leaf 9 or node \(0, 9\)"),
        ("DELETE FROM audit_leaf WHERE seq = 5", "leaf 5 is missing"),
        ("DELETE FROM audit_leaf WHERE seq = 36", "there are 36 leaves, the checkpoint is of 37"),
        ("INSERT INTO audit_leaf VALUES ('acme', 37, 'x')", "beyond the tree's size"),
        ("INSERT INTO audit_node VALUES ('acme', 0, 37, 'x')", "beyond the tree's size"),
        ("INSERT INTO audit_node VALUES ('acme', 6, 0, 'x')", "beyond the tree's size"),
        ("UPDATE audit_tree SET size = 36", "beyond the tree's size"),
        ("UPDATE audit_tree SET size = 38", "lacks one of its 3 subtrees"),
    ],
)
def test_any_change_by_hand_is_named(conn: Conn, keys: TenantKeys, change: str, found: str) -> None:
    conn.execute(change.encode())
    with pytest.raises(AuditBroken, match=found):
        verify_database(conn, keys)


def test_a_database_put_back_to_an_older_state_is_noticed_by_the_witness(conn: Conn, keys: TenantKeys) -> None:
    with conn.transaction(force_rollback=True):
        log.append(conn, keys, "test.counted", {"n": SIZE}, [], AT)
        newer = checkpoint.current_checkpoint(conn, keys)
    with pytest.raises(AuditBroken, match="leaves were taken away"):
        verify_database(conn, keys, newer)
    log.append(conn, keys, "test.counted", {"n": "another"}, [], AT)
    with pytest.raises(AuditBroken, match="fork"):
        verify_database(conn, keys, newer)


def test_an_export_of_a_log_with_a_hole_is_refused(conn: Conn, keys: TenantKeys) -> None:
    conn.execute("DELETE FROM audit_leaf WHERE seq = 5")
    with pytest.raises(AuditBroken, match="leaf 5 of 37 is missing"):
        export_log(conn, keys, io.StringIO())


def test_the_head_is_read_by_its_few_nodes_however_long_the_log(conn: Conn, keys: TenantKeys) -> None:
    conn.execute("SET LOCAL enable_seqscan = off")  # once analysed, a table this small would be read whole
    rows = conn.execute(sql.SQL("EXPLAIN ") + named_queries("audit")["list_peaks"], {"tenant": keys.tenant}).fetchall()
    scans = [row[0].strip() for row in rows if "audit_node" in row[0]]
    assert len(scans) == 1
    assert "Index Scan using audit_node_pkey" in scans[0]
    assert not any("Join Filter: ((n." in row[0] or "Hash Join" in row[0] for row in rows)
