"""Gives a subject a fresh data key when a consent of theirs has ended.

What arose under the consent lies under the old key wherever it was copied to: templates, matches and waiting photos in
a write-ahead log, a dump or a backup. What has to stay is sealed anew at once; only the parts of the audit log, which
are found by reading all of it, wait for the next rotation. That rotation destroys the old key.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from assent.core.errors import SealBroken
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.ended import digest_of
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey

_Q = named_queries("renew")


def renew_key(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> SubjectKey | None:
    """Replaces the subject's key and seals the platform's id, evidence and refusals anew under the fresh one.

    The caller has the subject's lock exclusively, and remembers the key that is returned as ended (`end_authority`).
    Returns None, and nothing changes, where the key was altered: then it opens nothing. A sealed row that was altered
    stays as it is.
    """
    row = fetch_one(conn, named_queries("subjects")["read_subject_key"], tenant=keys.tenant, pid=pseudonym)
    old = _unwrapped(keys, pseudonym, [row] if row else [])
    if not old:
        return None
    keys = keys.now()  # the live epoch, read in this transaction
    fresh = SubjectKey.new(keys, pseudonym)
    rows = fetch(conn, _Q["list_rows_under_key"], tenant=keys.tenant, pid=pseudonym)
    moved = {row["id"]: sealed for row in rows if (sealed := _resealed(old[0], fresh, row)) is not None}
    execute(
        conn,
        _Q["replace_subject_key"],
        tenant=keys.tenant,
        pid=pseudonym,
        epoch=keys.epoch,
        wrapped=fresh.wrap(keys),
        ended=old[0].wrap_ended(keys),
        ref=moved.pop(None, None),
        ids=list(moved),
        sealed=list(moved.values()),
    )
    return old[0]


def is_left(keys: TenantKeys, subject: SubjectKey) -> bool:
    """Tells whether a key was replaced at some time."""
    return digest_of("subject_key", subject.key.hex()) in keys.ended()


def keys_of_parts(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> list[SubjectKey]:
    """Returns the keys under which parts of the audit log about the subject lie: theirs, then those of ended consents.

    Read the parts first: what a rotation seals anew meanwhile opens with one of these all the same. Empty where the
    subject is not known; a key that does not open is left out.
    """
    rows = fetch(conn, _Q["list_keys_of_parts"], tenant=keys.tenant, pids=[pseudonym])
    return _unwrapped(keys, pseudonym, rows)


def keys_to_reseal(conn: Conn, keys: TenantKeys, pseudonyms: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Returns, of those of these subjects who have ended keys, the current key and then the ended ones.

    A subject whose current key does not open is left out.
    """
    by_subject: dict[bytes, list[Row]] = {}
    for row in fetch(conn, _Q["list_keys_of_parts"], tenant=keys.tenant, pids=list(pseudonyms)):
        by_subject.setdefault(row["pid"], []).append(row)
    found = {}
    for pseudonym, rows in by_subject.items():
        current, ended = _unwrapped(keys, pseudonym, rows[:1]), _unwrapped(keys, pseudonym, rows[1:])
        if current and ended and not rows[0]["ended"]:
            found[pseudonym] = [subject.key for subject in current + ended]
    return found


def postpone_ended_keys(conn: Conn, keys: TenantKeys, covered: Iterable[UUID]) -> None:
    """Wraps ended keys that came too late for a rotation under the live epoch: parts may lie under them still.

    Those that it covers stay where they are.
    """
    for row in fetch(conn, _Q["lock_late_ended_keys"], tenant=keys.tenant, live=keys.epoch, covered=list(covered)):
        for ended in _unwrapped(keys, row["pid"], [row]):
            moved = {"id": row["id"], "epoch": keys.epoch, "wrapped": ended.wrap_ended(keys)}
            execute(conn, _Q["move_ended_key"], tenant=keys.tenant, pid=row["pid"], **moved)


def _unwrapped(keys: TenantKeys, pseudonym: bytes, rows: Iterable[Row]) -> list[SubjectKey]:
    found = []
    for row in rows:
        unwrap = SubjectKey.unwrap_ended if row.get("ended") else SubjectKey.unwrap
        try:
            found.append(unwrap(keys, pseudonym, row["epoch"], row["wrapped"]))
        except SealBroken:  # altered, or of an epoch that is destroyed
            continue
    return found


def _resealed(old: SubjectKey, fresh: SubjectKey, row: Row) -> bytes | None:
    context = (row["kind"], old.tenant, old.pseudonym, *([row["id"].bytes] if row["id"] else []))
    try:
        return seal(fresh.key, unseal(old.key, row["sealed"], *context), *context)
    except SealBroken:
        return None
