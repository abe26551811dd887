"""Appending to the log in a real database: order, atomicity, sealing, proofs."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Thread
from uuid import uuid4

import psycopg
import pytest

from assent.audit import checkpoint, log, tree
from assent.audit.log import Part
from assent.audit.verify import verify_database
from assent.core.errors import AuditBroken, NotFound, NotInitialised, SealBroken
from assent.db.pool import Conn
from assent.keys.keystore import TenantKeys, create_keystore
from tests.waiting import until

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def append(conn: Conn, keys: TenantKeys, n: int) -> int:
    return log.append(conn, keys, "test.counted", {"n": n}, [Part({"n": n})], AT).seq


def test_leaves_are_numbered_from_0_and_prove_themselves(log_conn: Conn, log_keys: TenantKeys) -> None:
    assert [append(log_conn, log_keys, n) for n in range(23)] == list(range(23))
    log_conn.commit()
    note = checkpoint.current_checkpoint(log_conn, log_keys)
    head = checkpoint.verify_checkpoint(note, checkpoint.verifier(log_keys))
    assert head.size == 23
    for seq in range(23):
        proof = checkpoint.prove_inclusion(log_conn, log_keys.tenant, seq, 23)
        leaf = base64.b64decode(proof["leaf"])
        hashes = [base64.b64decode(part) for part in proof["hashes"]]
        assert json.loads(leaf)["n"] == seq
        tree.verify_inclusion(tree.leaf_hash(leaf), proof["index"], proof["size"], hashes, head.root)


def test_every_older_head_is_proved_to_be_a_prefix(log_conn: Conn, log_keys: TenantKeys) -> None:
    heads = [tree.EMPTY_ROOT]
    for n in range(21):
        append(log_conn, log_keys, n)
        heads.append(tree.root(log.head(log_conn, log_keys.tenant).peaks))
    for old in range(22):
        proof = checkpoint.prove_consistency(log_conn, log_keys.tenant, old, 21)
        hashes = [base64.b64decode(part) for part in proof["hashes"]]
        tree.verify_consistency(old, heads[old], 21, heads[21], hashes)


def test_there_is_no_proof_of_what_is_not_there(log_conn: Conn, log_keys: TenantKeys) -> None:
    append(log_conn, log_keys, 0)
    for seq, size in ((0, 2), (1, 1), (0, 0), (-1, 1), (2**70, 2**71)):
        with pytest.raises(NotFound):
            checkpoint.prove_inclusion(log_conn, log_keys.tenant, seq, size)
    for old, new in ((0, 2), (1, 0), (-1, 1), (0, 2**70)):
        with pytest.raises(NotFound):
            checkpoint.prove_consistency(log_conn, log_keys.tenant, old, new)


def test_a_rolled_back_action_leaves_no_leaf(log_conn: Conn, log_keys: TenantKeys) -> None:
    append(log_conn, log_keys, 0)
    log_conn.commit()
    append(log_conn, log_keys, 1)
    log_conn.rollback()
    assert log.head(log_conn, log_keys.tenant).size == 1
    assert append(log_conn, log_keys, 2) == 1
    log_conn.commit()
    assert verify_database(log_conn, log_keys).head.size == 2


def test_an_append_that_waited_builds_on_the_one_it_waited_for(
    log_url: str, log_conn: Conn, log_keys: TenantKeys
) -> None:
    append(log_conn, log_keys, 0)  # not committed: the tree stays locked
    found: list[int] = []

    def second() -> None:
        with psycopg.connect(log_url) as other:
            found.append(append(other, log_keys, 1))

    thread = Thread(target=second)
    thread.start()
    with psycopg.connect(log_url, autocommit=True) as watch:
        waiting = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%audit_tree%'"
        )
        until(lambda: watch.execute(waiting).rowcount > 0, "the second append waits for the first", 20)
    assert found == []
    log_conn.commit()
    thread.join(20)
    assert found == [1]
    assert verify_database(log_conn, log_keys).head.size == 2


def test_appends_from_many_connections_leave_no_hole(log_url: str, log_conn: Conn, log_keys: TenantKeys) -> None:
    def many(worker: int) -> list[int]:
        seqs = []
        with psycopg.connect(log_url) as mine:
            for n in range(20):
                seqs.append(append(mine, log_keys, worker * 100 + n))
                mine.commit()
        return seqs

    with ThreadPoolExecutor(4) as threads:
        seqs = [seq for part in threads.map(many, range(4)) for seq in part]
    assert sorted(seqs) == list(range(80))
    assert verify_database(log_conn, log_keys).head.size == 80


def test_each_tenant_has_its_own_log(log_conn: Conn, log_keys: TenantKeys, log_url: str, tmp_path: Path) -> None:
    other = create_keystore(tmp_path / "other", uuid4()).add_tenant(log_keys.tenant + "x")
    log_conn.execute("INSERT INTO tenant (tenant) VALUES (%s)", [other.tenant])
    with pytest.raises(NotInitialised), log_conn.transaction():
        append(log_conn, other, 0)
    log.create_log(log_conn, other.tenant)
    assert [append(log_conn, log_keys, 0), append(log_conn, other, 0), append(log_conn, log_keys, 1)] == [0, 0, 1]


def test_parts_open_with_their_own_key_only_and_fit_their_commitments(log_conn: Conn, log_keys: TenantKeys) -> None:
    pid, key = sha256(b"someone").digest(), sha256(b"their key").digest()
    seq = log.append(
        log_conn, log_keys, "media.decided", {"faces": 1}, [Part({"m": "a-1"}), Part({"who": 1}, pid, key)], AT
    ).seq
    rows = log_conn.execute(
        "SELECT part, epoch, locator, sealed FROM audit_payload WHERE tenant = %s AND seq = %s ORDER BY part",
        [log_keys.tenant, seq],
    ).fetchall()
    leaf = json.loads(next(log.leaves(log_conn, log_keys.tenant, seq, seq + 1))[1])
    commitments = [bytes.fromhex(part) for part in leaf["commitments"]]
    (_, epoch, locator, ours), (_, their_epoch, their_locator, theirs) = rows
    assert (epoch, locator, their_epoch) == (None, None, log_keys.epoch)
    assert log.open_part(log_keys, log_keys.tenant, seq, 0, ours, commitments[0]) == b'{"m":"a-1"}'
    assert log.part_pseudonym(log_keys, seq, 1, their_epoch, their_locator) == pid
    assert log.open_part(key, log_keys.tenant, seq, 1, theirs, commitments[1]) == b'{"who":1}'
    with pytest.raises(SealBroken):
        log.open_part(log_keys, log_keys.tenant, seq, 1, theirs, commitments[1])
    with pytest.raises(SealBroken):
        log.open_part(log_keys, log_keys.tenant, seq + 1, 0, ours, commitments[0])
    with pytest.raises(AuditBroken, match="not what the leaf committed to"):
        log.open_part(key, log_keys.tenant, seq, 1, theirs, commitments[0])


def test_nothing_of_a_payload_is_in_clear_and_equal_payloads_look_different(
    log_conn: Conn, log_keys: TenantKeys
) -> None:
    pid, key = sha256(b"someone").digest(), sha256(b"their key").digest()
    parts = [Part({"media": "picture-4711"}), Part({"media": "picture-4711"}, pid, key)]
    for _ in range(2):
        log.append(log_conn, log_keys, "media.decided", {}, parts, AT)
    rows = log_conn.execute(
        "SELECT leaf, sealed, locator FROM audit_leaf JOIN audit_payload USING (tenant, seq) WHERE tenant = %s",
        [log_keys.tenant],
    ).fetchall()
    stored = b"|".join(value for row in rows for value in row if value)
    assert b"4711" not in stored
    assert pid not in stored
    assert pid.hex().encode() not in stored
    commitments = [c for row in rows for c in json.loads(row[0])["commitments"]]
    assert len(set(commitments)) == 4


def test_a_damaged_tree_takes_no_more_leaves(log_conn: Conn, log_keys: TenantKeys) -> None:
    for n in range(3):
        append(log_conn, log_keys, n)
    log_conn.execute("DELETE FROM audit_node WHERE tenant = %s AND level = 1", [log_keys.tenant])
    with pytest.raises(AuditBroken, match="lacks one of its 2 subtrees"):
        append(log_conn, log_keys, 3)
