"""Rotates a tenant's epoch without a pause in service.

Whatever was sealed under the old epoch's key, wherever it was copied to, can never be opened again.

    1 a new epoch is live   2 rows move to it, batch by batch   3 transactions begun before have ended; their rows move
    4 transactions that may have read an old row have ended   5 the keys are exported   6 the old keys are destroyed

Both epochs' keys exist until step 6, so that matching goes on. Parts of the log under keys of ended consents, which end
with the epoch, are sealed anew on the way; those of consents that end meanwhile wait for the next rotation. A rotation
that is cut short loses nothing, and the next one moves the remaining rows. Rows of subjects and rows of media items are
never moved in one transaction.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from assent.audit.broken import record_broken_seal
from assent.audit.log import append, part_locator, part_pseudonym, reseal_part
from assent.core.errors import DatabaseUnavailable, RotationUnderWay, SealBroken
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.keyfile import export_epoch
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.subject_keys import SubjectKey, match_locator, match_pseudonym
from assent.subjects.renew import keys_to_reseal, postpone_ended_keys

ROTATED_ROWS = 2000  # rows moved in one transaction
# What began before a step is waited for this long. A transaction that idles is ended by the server after 10 s, so who
# is still there then reads much; they lose what they cannot open, and erasure has its hour.
ROTATION_WAIT_SECONDS = 60.0
LOCKED_SECONDS = 120.0  # for rows that others keep locked
ROTATION_POLL_SECONDS = 0.05
_Q, _RENEW = named_queries("rotate"), named_queries("renew")

RotationProgress = Callable[[str, int], None]  # table, rows of it moved so far


@dataclass(frozen=True, slots=True)
class Rotated:
    """Result of a rotation: the newest epoch it ended, the live one, rows moved, and rows that did not open before."""

    old: int
    new: int
    people: int = 0
    matches: int = 0
    payloads: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    start: Mapping[str, object]  # a primary key before all others
    move: Callable[[Conn, TenantKeys, Sequence[Row]], int]  # returns how many did not open


def discard_progress(_table: str, _moved: int) -> None:
    """Discards the progress."""


def rotate_epoch(pool: Pool, keystore: Keystore, tenant: str, progress: RotationProgress = discard_progress) -> Rotated:
    """Moves a tenant to a new epoch and destroys the keys of all earlier ones.

    Erasures that came too late for it are marked as waiting for the next one. Raises RotationUnderWay when another
    process rotates or rows stay locked, KeyMissing or DatabaseUnavailable.
    """
    with rotation_lock(pool, tenant) as watcher:
        with transaction(pool) as conn:
            covered: list[UUID] = [row["id"] for row in fetch(conn, _Q["list_retracted_erasures"], tenant=tenant)]
            ended: list[UUID] = [row["id"] for row in fetch(conn, _RENEW["list_ended_keys"], tenant=tenant)]
            rowless = [row["id"] for row in fetch(conn, _Q["list_consents_without_row"], tenant=tenant)]
        keys = keystore.begin_epoch(tenant)  # 1
        retiring = sorted(keys.retiring)
        before = _under_way(watcher)
        moved = _move_all(pool, keys, progress)  # 2
        _wait_for(watcher, before)  # 3
        moved = _sum(moved, _move_rest(pool, keys, progress))
        with transaction(pool) as conn:
            postpone_ended_keys(conn, keys, ended)
        _wait_for(watcher, _under_way(watcher))  # 4
        export_epoch(pool, keystore, tenant)  # 5
        keys = keystore.end_epochs(tenant, retiring)  # 6
        _note(pool, keys, retiring, moved, covered)
        with transaction(pool) as conn:
            execute(conn, _Q["delete_consents_without_row"], tenant=tenant, ids=rowless)
    people, matches, payloads = (moved[table.name].rows for table in TABLES)
    broken = sum(part.broken for part in moved.values())
    return Rotated(retiring[-1], keys.epoch, people, matches, payloads, broken)


@contextmanager
def rotation_lock(pool: Pool, *tenants: str) -> Iterator[Conn]:
    """Keeps other processes from rotating or exporting these tenants' keys.

    Yields the connection that holds the locks, in autocommit mode. Raises RotationUnderWay at once when another process
    holds one.
    """
    try:
        with pool.connection() as conn:
            conn.autocommit = True
            try:
                for tenant in tenants:
                    mine = fetch_one(conn, _Q["try_rotation_lock"], tenant=tenant)
                    if mine is None or not mine["mine"]:
                        raise RotationUnderWay
                yield conn
            finally:
                if not conn.broken:
                    conn.execute(_Q["release_rotation_lock"])
                    conn.autocommit = False
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error


@dataclass(frozen=True, slots=True)
class _Moved:
    rows: int = 0
    broken: int = 0


def _sum(first: dict[str, _Moved], second: dict[str, _Moved]) -> dict[str, _Moved]:
    return {
        name: _Moved(first[name].rows + second[name].rows, first[name].broken + second[name].broken) for name in first
    }


def _move_all(pool: Pool, keys: TenantKeys, progress: RotationProgress) -> dict[str, _Moved]:
    return {table.name: _move_table(pool, keys, table, progress) for table in TABLES}


def _move_rest(pool: Pool, keys: TenantKeys, progress: RotationProgress) -> dict[str, _Moved]:
    """Moves the rows written under an old epoch after their table was passed, and the rows locked then."""
    moved = {table.name: _Moved() for table in TABLES}
    deadline = time.monotonic() + LOCKED_SECONDS
    while _some_left(pool, keys):
        if time.monotonic() > deadline:
            raise RotationUnderWay("rows stay locked by another transaction; the next rotation goes on from here")
        moved = _sum(moved, _move_all(pool, keys, progress))
        time.sleep(ROTATION_POLL_SECONDS)
    return moved


def _some_left(pool: Pool, keys: TenantKeys) -> bool:
    with transaction(pool) as conn:
        row = fetch_one(conn, _Q["has_rows_to_move"], tenant=keys.tenant, live=keys.epoch)
    return row is not None and bool(row["left"])


def _move_table(pool: Pool, keys: TenantKeys, table: _Table, progress: RotationProgress) -> _Moved:
    after, moved, broken = table.start, 0, 0
    while True:
        with transaction(pool) as conn:
            where = {"tenant": keys.tenant, "live": keys.epoch, "most": ROTATED_ROWS}
            rows = fetch(conn, _Q[f"lock_{table.name}_rows"], **where, **after)
            if not rows:
                return _Moved(moved, broken)
            broken += table.move(conn, keys, rows)
        after = {column: rows[-1][column] for column in table.start}
        moved += len(rows)
        progress(table.name, moved)


def _move_keys(conn: Conn, keys: TenantKeys, rows: Sequence[Row]) -> int:
    fresh = [_rewrapped(keys, row) for row in rows]
    wrapped = [new or row["wrapped"] for new, row in zip(fresh, rows, strict=True)]
    moved = {"pids": [row["pid"] for row in rows], "wrapped": wrapped}
    execute(conn, _Q["move_subject_key_rows"], tenant=keys.tenant, live=keys.epoch, **moved)
    return _altered(keys, rows, fresh)


def _rewrapped(keys: TenantKeys, row: Row) -> bytes | None:
    try:
        return SubjectKey.unwrap(keys, row["pid"], row["epoch"], row["wrapped"]).wrap(keys)
    except SealBroken:
        return None


def _move_matches(conn: Conn, keys: TenantKeys, rows: Sequence[Row]) -> int:
    def owner(row: Row) -> bytes:
        return match_pseudonym(keys, row["media_id"], row["face"], row["epoch"], row["locator"], row["slot"])

    pseudonyms = [_pseudonym(owner, row) for row in rows]
    remaining = _subjects_with_keys(conn, keys, pseudonyms)
    # Asked after the keys: erasing does both at once.
    erasure = fetch_one(conn, _Q["has_unretracted_erasure"], tenant=keys.tenant)
    retracting = erasure is not None and erasure["retracting"]
    stay, go = [], []
    for row, pseudonym in zip(rows, pseudonyms, strict=True):
        if pseudonym is None:  # it does not open here, and will not there
            stay.append((row["source"], row["media_id"], row["face"], row["locator"]))
        elif pseudonym in remaining or retracting:
            locator = match_locator(keys, row["media_id"], row["face"], pseudonym, row["slot"])
            stay.append((row["source"], row["media_id"], row["face"], locator))
        else:
            go.append((row["source"], row["media_id"], row["face"]))
    sources, media_ids, faces, locators = _columns(stay, 4)
    moved = {"sources": sources, "media_ids": media_ids, "faces": faces, "locators": locators}
    execute(conn, _Q["move_match_rows"], tenant=keys.tenant, live=keys.epoch, **moved)
    sources, media_ids, faces = _columns(go, 3)
    execute(conn, _Q["delete_matches"], tenant=keys.tenant, sources=sources, media_ids=media_ids, faces=faces)
    return _altered(keys, rows, pseudonyms)


def _move_payloads(conn: Conn, keys: TenantKeys, rows: Sequence[Row]) -> int:
    def owner(row: Row) -> bytes:
        return part_pseudonym(keys, row["seq"], row["part"], row["epoch"], row["locator"])

    pseudonyms = [_pseudonym(owner, row) for row in rows]
    remaining = _subjects_with_keys(conn, keys, pseudonyms)
    locators = []
    for row, pseudonym in zip(rows, pseudonyms, strict=True):
        if pseudonym is None and not keys.is_destroyed(row["epoch"]):  # it does not open here, and will not there
            locators.append(row["locator"])
        else:  # nobody's any more, as also after a restore: the payload cannot be opened, nor must it tell whose it was
            owner_now = pseudonym if pseudonym is not None and pseudonym in remaining else os.urandom(32)
            locators.append(part_locator(keys, row["seq"], row["part"], owner_now))
    moved = {"seqs": [row["seq"] for row in rows], "parts": [row["part"] for row in rows], "locators": locators}
    execute(conn, _Q["move_audit_payload_rows"], tenant=keys.tenant, live=keys.epoch, **moved)
    _reseal_payloads(conn, keys, rows, pseudonyms)
    return _altered(keys, rows, pseudonyms)


def _reseal_payloads(conn: Conn, keys: TenantKeys, rows: Sequence[Row], pseudonyms: Sequence[bytes | None]) -> None:
    """Seals the parts that lie under the key of an ended consent anew under their subject's current key."""
    by_subject = keys_to_reseal(conn, keys, {pseudonym for pseudonym in pseudonyms if pseudonym is not None})
    owned = zip(rows, pseudonyms, strict=True)
    owners = {(row["seq"], row["part"]): by_subject[owner] for row, owner in owned if owner in by_subject}
    if not owners:
        return
    seqs, parts = _columns(list(owners), 2)
    resealed = []
    for row in fetch(conn, _Q["read_audit_payloads"], tenant=keys.tenant, seqs=seqs, parts=parts):
        seq, part = row["seq"], row["part"]
        if sealed := reseal_part(owners[seq, part], keys.tenant, seq, part, row["sealed"]):
            resealed.append((seq, part, sealed))
    seqs, parts, sealed_parts = _columns(resealed, 3)
    execute(conn, _Q["reseal_audit_payloads"], tenant=keys.tenant, seqs=seqs, parts=parts, sealed=sealed_parts)


TABLES = (
    _Table("subject_key", {"pid": b""}, _move_keys),
    _Table("match", {"source": "", "media_id": "", "face": -1}, _move_matches),
    _Table("audit_payload", {"seq": -1, "part": -1}, _move_payloads),
)


def _pseudonym(owner: Callable[[Row], bytes], row: Row) -> bytes | None:
    try:
        return owner(row)
    except SealBroken:
        return None


def _subjects_with_keys(conn: Conn, keys: TenantKeys, pseudonyms: Sequence[bytes | None]) -> set[bytes]:
    distinct = list({pseudonym for pseudonym in pseudonyms if pseudonym is not None})
    return {row["pid"] for row in fetch(conn, _Q["list_subjects_with_keys"], tenant=keys.tenant, pids=distinct)}


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]


def _altered(keys: TenantKeys, rows: Sequence[Row], values: Sequence[bytes | None]) -> int:
    """Counts rows that should have opened and did not; rows of an epoch that is gone already should not open."""
    return sum(value is None and row["epoch"] in keys.retiring for row, value in zip(rows, values, strict=True))


def _under_way(watcher: Conn) -> list[str]:
    row = fetch_one(watcher, _Q["list_running_transactions"])
    return list(row["seen"]) if row else []


def _wait_for(watcher: Conn, transactions: list[str]) -> None:
    deadline = time.monotonic() + ROTATION_WAIT_SECONDS
    while time.monotonic() < deadline:
        row = fetch_one(watcher, _Q["is_any_still_running"], seen=transactions)
        if row is None or not row["busy"]:
            return
        time.sleep(ROTATION_POLL_SECONDS)


def _note(pool: Pool, keys: TenantKeys, ended: list[int], moved: Mapping[str, _Moved], covered: Sequence[UUID]) -> None:
    now = datetime.now(UTC)
    with transaction(pool) as conn:
        execute(conn, _RENEW["delete_ended_keys"], tenant=keys.tenant, live=keys.epoch)
        execute(conn, _Q["set_rotated"], tenant=keys.tenant)
        execute(conn, _Q["postpone_erasures"], tenant=keys.tenant, live=keys.epoch, covered=list(covered))
        for kind in (name for name, part in moved.items() if part.broken):
            record_broken_seal(conn, keys, kind, now)
        append(conn, keys, "epoch.destroyed", {"epochs": ended, "live": keys.epoch}, [], now)
