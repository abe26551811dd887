"""Whoever asks to be forgotten is: every row goes with the answer, and a receipt follows that anybody can check."""

from __future__ import annotations

import json
import statistics
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import rfc8785

from assent.audit import checkpoint, receipt
from assent.audit.log import open_part
from assent.db.pool import Pool, transaction
from assent.decisions.retract import retract
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import connections
from assent.subjects.erase import ROTATION, Erasure, complete_erasures, erase
from assent.subjects.erase import receipt as receipt_of
from assent.subjects.waiting import waiting_jobs
from assent.tenants import init_tenant
from tests import people
from tests.events import rows
from tests.integration.held import held, settle


def forget(pool: Pool, keys: TenantKeys, ref: str) -> Erasure:
    with transaction(pool) as conn:
        return erase(conn, keys, ref)


def finish(pool: Pool, keys: TenantKeys, ref: str, erasure: Erasure, retired_epoch: int = 1) -> int:
    """What the worker does within the hour, without the rotation itself."""
    retract(pool, keys, derive_pseudonym(keys, ref), erasure.id)
    with transaction(pool) as conn:
        return complete_erasures(conn, keys, retired_epoch)


def ask(pool: Pool, keys: TenantKeys | None, token: str) -> object:
    with transaction(pool) as conn:
        return receipt_of(conn, keys, token)


def test_every_row_of_the_person_goes_and_nobody_elses(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice", ("bob", "carol"))
    settle(pool, keys, "bob", ("alice",))
    before, bobs = held(pool, keys, "alice"), held(pool, keys, "bob")
    everywhere = {"subject", "subject_key", "consent", "template", "connection", "connection_list", "refusal"}
    assert set(before) == everywhere | {"person_link", "match", "audit_payload", "chosen_by", "waiting"}
    assert rows(pool, "SELECT count(*) FROM upload") == [(4,)]
    erasure = forget(pool, keys, "alice")
    # Her tags and what the log says go with the retraction and with the epoch; nothing else is left at once.
    assert set(held(pool, keys, "alice")) == {"match", "audit_payload"}
    assert rows(pool, "SELECT count(*) FROM upload") == [(2,)]
    finish(pool, keys, "alice", erasure)
    assert set(held(pool, keys, "alice")) == {"audit_payload"}
    del bobs["connection"], bobs["chosen_by"]  # alice was in both
    assert held(pool, keys, "bob") == bobs


def test_the_log_says_that_somebody_was_erased_and_not_who(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    erasure = forget(pool, keys, "alice")
    [(seq, leaf)] = rows(pool, "SELECT seq, leaf FROM audit_leaf ORDER BY seq DESC LIMIT 1")
    said = json.loads(leaf)
    assert set(said) == {"v", "at", "action", "commitments"}
    [(epoch, sealed)] = rows(pool, "SELECT epoch, sealed FROM audit_payload WHERE seq = %s", seq)
    assert epoch is None
    opened = open_part(keys, keys.tenant, seq, 0, sealed, bytes.fromhex(said["commitments"][0]))
    assert json.loads(opened) == {"erasure": str(erasure.id)}


def test_the_receipt_comes_after_retraction_and_rotation_and_is_the_same_each_time(
    pool: Pool, keys: TenantKeys, keystore: Keystore
) -> None:
    settle(pool, keys, "alice")
    erasure = forget(pool, keys, "alice")
    pending = {"state": "pending", "rotation_by": f"{(erasure.requested_at + ROTATION).isoformat()[:-6]}Z"}
    assert ask(pool, None, erasure.token) == pending
    with transaction(pool) as conn:
        assert complete_erasures(conn, keys, 1) == 0  # a tag of hers may still stand somewhere
    assert finish(pool, keys, "alice", erasure, retired_epoch=0) == 0  # her epoch's key lives
    assert ask(pool, keys, erasure.token) == pending
    assert finish(pool, keys, "alice", erasure, retired_epoch=2) == 1
    first, second = ask(pool, None, erasure.token), ask(pool, keys, erasure.token)
    assert isinstance(first, dict)
    assert json.dumps(first) == json.dumps(second)
    found = receipt.verify_receipt(rfc8785.dumps(first), checkpoint.verifier(keys))
    assert (found.erasure, found.destroyed_epochs, found.pinned) == (str(erasure.id), (1, 2), True)
    assert datetime.fromisoformat(found.requested_at) == erasure.requested_at
    people.give(pool, keys, "bob")  # the log goes on
    with transaction(pool) as conn:
        assert complete_erasures(conn, keys, 3) == 0
    assert ask(pool, None, erasure.token) == first
    assert ask(pool, None, erasure.token[:-1] + "!") is None
    init_tenant(pool, keystore, "other", "elsewhere", None)
    assert ask(pool, keystore.tenant("other"), erasure.token) is None


def test_asking_twice_gives_two_receipts(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    for erasure in (forget(pool, keys, "alice"), forget(pool, keys, "alice")):
        retract(pool, keys, derive_pseudonym(keys, "alice"), erasure.id)
    with transaction(pool) as conn:
        assert complete_erasures(conn, keys, 1) == 2
    [(receipts,)] = rows(pool, "SELECT count(DISTINCT receipt::text) FROM erasure")
    assert receipts == 2
    for (said,) in rows(pool, "SELECT receipt FROM erasure"):
        receipt.verify_receipt(json.dumps(said).encode(), checkpoint.verifier(keys))


def test_a_key_that_a_rotation_wrapped_anew_meanwhile_counts_with_its_new_epoch(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    with transaction(pool) as conn:
        conn.execute("UPDATE subject_key SET epoch = 2")
    forget(pool, replace(keys, store=None), "alice")  # keys that were read before the rotation began
    assert rows(pool, "SELECT epoch FROM erasure") == [(2,)]


def test_for_an_unknown_person_the_same_happens(pool: Pool, keys: TenantKeys) -> None:
    for n in range(30):
        settle(pool, keys, f"known {n}")
    seconds: dict[str, list[float]] = {"known": [], "unknown": []}
    for n in range(30):
        for kind, times in seconds.items():
            begun = time.perf_counter()
            forget(pool, keys, f"{kind} {n}")
            times.append(time.perf_counter() - begun)
    leaves = [len(leaf) for (leaf,) in rows(pool, "SELECT leaf FROM audit_leaf ORDER BY seq DESC LIMIT 60")]
    assert len(set(leaves)) == 1
    sealed = [len(row) for (row,) in rows(pool, "SELECT sealed FROM audit_payload ORDER BY seq DESC LIMIT 60")]
    assert len(set(sealed)) == 1
    assert rows(pool, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'retract'") == [(60,)]
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    assert medians["known"] < 3 * medians["unknown"]


def test_people_who_chose_each_other_are_erased_at_the_same_time(pool: Pool, keys: TenantKeys) -> None:
    names = [f"friend {n}" for n in range(6)]
    for name in names:
        people.give(pool, keys, name)
    for _ in range(5):
        failed: list[Exception] = []
        for name in names:
            people.give(pool, keys, name)
            with transaction(pool) as conn:
                connections.state_connections(conn, keys, name, names, datetime.now(UTC))

        def one(name: str, failed: list[Exception] = failed) -> None:
            try:
                forget(pool, keys, name)
            except Exception as error:  # noqa: BLE001 - reported below
                failed.append(error)

        threads = [threading.Thread(target=one, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert rows(pool, "SELECT count(*) FROM connection") == [(0,)]


def test_who_comes_back_is_a_new_person(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    with transaction(pool) as conn:
        assert len(waiting_jobs(conn, keys, derive_pseudonym(keys, "alice"))) == 1
    forget(pool, keys, "alice")
    people.give(pool, keys, "alice")
    with transaction(pool) as conn:
        assert waiting_jobs(conn, keys, derive_pseudonym(keys, "alice")) == []
    assert held(pool, keys, "alice").keys() >= {"subject", "consent"}
    assert held(pool, keys, "alice")["template"] == 0


def test_the_hour_is_stated(pool: Pool, keys: TenantKeys) -> None:
    erasure = forget(pool, keys, "nobody")
    assert erasure.rotation_by - erasure.requested_at == timedelta(hours=1)
    assert abs(erasure.requested_at - datetime.now(UTC)) < timedelta(seconds=30)
