"""Matches a restored database with today's keys.

Living subjects' keys are restored from an export; people erased since the backup are removed again, consents that ended
since are ended again. A log that lost signed leaves begins a new epoch, before anything else is written to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from assent.audit.epoch import Restoration
from assent.audit.restore import begin_epoch
from assent.core.errors import KeysOutdated, SealBroken
from assent.core.values import MediaItem
from assent.db.locks import try_lock_exclusive
from assent.db.pool import Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.store import revise
from assent.keys.authority import end_authority
from assent.keys.ended import digest_of
from assent.keys.keyfile import KeyExport, WrappedKey
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.seal import unseal
from assent.keys.signed_head import replace_signed_head
from assent.keys.subject_keys import SubjectKey
from assent.subjects.consent import EXPIRE_AT_ONCE, end_again
from assent.subjects.renew import is_left, renew_key
from assent.subjects.rotate import ROTATED_ROWS, rotation_lock

_Q = named_queries("rotate")


@dataclass(frozen=True, slots=True)
class Recovered:
    """Counts of a recovery: keys restored, people removed, consents ended again, media items with matches retracted.

    People are removed because they were erased since, or because what the backup has of them lies under a key that was
    destroyed when a consent of theirs ended. Matches are retracted where their subject can no longer be told.
    """

    people: int
    erased: int
    consents: int
    pictures: int
    logs: Mapping[str, Restoration] = field(default_factory=dict)  # of the tenants whose log began a new epoch


def import_keys(pool: Pool, keystore: Keystore, export: KeyExport) -> Recovered:
    """Brings the database and the keystore to the state of an export, tenant by tenant.

    Rows whose epoch still lives stay as they are; the others get the export's key, or are removed with everything of
    that subject. Consents that the export names as ended, or the keys folder, are ended, whatever their epoch. On a
    database that is up to date nothing changes. Repeating it changes nothing either. Raises KeysOutdated where keystore
    or database are ahead of the export, RotationUnderWay.
    """
    for tenant, (keys, _) in export.tenants.items():
        _check(pool, keystore, tenant, keys)
    parts = [_import_tenant(pool, keystore, export, tenant) for tenant in export.tenants]
    return Recovered(
        sum(part.people for part in parts),
        sum(part.erased for part in parts),
        sum(part.consents for part in parts),
        sum(part.pictures for part in parts),
        {tenant: log for part in parts for tenant, log in part.logs.items()},
    )


def resume_logs(pool: Pool, keystore: Keystore) -> dict[str, Restoration]:
    """Begins a new epoch of each tenant's log that lost signed leaves with a restore; returns these restores.

    Raises RotationUnderWay, HeadNotRemembered.
    """
    resumed = {}
    for tenant in keystore.tenants():
        with rotation_lock(pool, tenant):
            resumed[tenant] = begin_epoch(pool, keystore.tenant(tenant), datetime.now(UTC))
    return {tenant: restoration for tenant, restoration in resumed.items() if restoration is not None}


def _check(pool: Pool, keystore: Keystore, tenant: str, keys: TenantKeys) -> None:
    if tenant in keystore.tenants() and keystore.tenant(tenant).epoch > keys.epoch:
        raise KeysOutdated(
            f"the export has tenant {tenant} in epoch {keys.epoch}, the keystore in {keystore.tenant(tenant).epoch}"
        )
    with transaction(pool) as conn:
        row = fetch_one(conn, _Q["read_newest_epoch"], tenant=tenant)
    if row and row["epoch"] is not None and row["epoch"] > keys.epoch:
        raise KeysOutdated(f"the export has tenant {tenant} in epoch {keys.epoch}, the database in {row['epoch']}")


def _import_tenant(pool: Pool, keystore: Keystore, export: KeyExport, tenant: str) -> Recovered:
    keys, people = export.tenants[tenant]
    head, ended = export.heads.get(tenant), export.ended[tenant]
    with rotation_lock(pool, keys.tenant):
        if keys.tenant not in keystore.tenants() or keystore.tenant(keys.tenant).epoch < keys.epoch:
            keystore.import_keys(keys)
        now = keystore.tenant(keys.tenant)
        if head is not None:
            replace_signed_head(keystore.keys_dir, keys.tenant, head, None)  # only where the keystore remembers none
        if missing := export.remembered[tenant] - now.ended():
            keystore.end(tenant, missing)
        restoration = begin_epoch(pool, now, datetime.now(UTC))
        alive = [now.epoch, *now.retiring]
        brought, renewed = _restore_keys(pool, now, people, alive)
        erased = renewed + _drop_dead(pool, keys.tenant, alive)
        consents = _end_consents(pool, now, ended)
        _renew_left_keys(pool, now)
        logs = {keys.tenant: restoration} if restoration is not None else {}
        return Recovered(brought, erased, consents, _retract_orphaned_matches(pool, now, alive), logs)


def _restore_keys(pool: Pool, keys: TenantKeys, people: Sequence[WrappedKey], alive: list[int]) -> tuple[int, int]:
    """Returns how many subjects were restored, and how many removed, whose rows lie under a key that died since."""
    brought = removed = 0
    for start in range(0, len(people), ROTATED_ROWS):
        page = people[start : start + ROTATED_ROWS]
        values = {
            "pids": [one.pseudonym for one in page],
            "epochs": [one.epoch for one in page],
            "wrapped": [one.wrapped for one in page],
        }
        with transaction(pool) as conn:
            rows = fetch(conn, _Q["restore_keys"], tenant=keys.tenant, alive=alive, **values)
            gone = [row["pid"] for row in rows if not _opens(keys, row)]
            execute(conn, _Q["delete_links"], tenant=keys.tenant, pids=gone)
            removed += execute(conn, _Q["delete_subjects"], tenant=keys.tenant, pids=gone)
            brought += len(rows) - len(gone)
    return brought, removed


def _opens(keys: TenantKeys, row: Row) -> bool:
    """Tells whether the subject's row lies under the key that the export has."""
    try:
        subject = SubjectKey.unwrap(keys, row["pid"], row["epoch"], row["wrapped"])
        unseal(subject.key, row["sealed"], "ref", keys.tenant, subject.pseudonym)
    except SealBroken:
        return False
    return True


def end_remembered(pool: Pool, keystore: Keystore) -> int:
    """Ends consents of all tenants that a restore brought back and the keys folder remembers as ended; how many.

    For a restore without an export of the keys.
    """
    count = 0
    for keys in map(keystore.tenant, keystore.tenants()):
        count += _end_consents(pool, keys, ())
        _renew_left_keys(pool, keys)
    return count


def _end_consents(pool: Pool, keys: TenantKeys, exported: Sequence[UUID]) -> int:
    """Ends those that the export names, and those that ended after it, as the keys folder remembers."""
    known = keys.ended()
    end_authority(keys, [("consent", one) for one in exported if digest_of("consent", one) not in known])
    with transaction(pool) as conn:
        live = [row["id"] for row in fetch(conn, _Q["list_ids_in_force"], tenant=keys.tenant)]
    ended = [*exported, *{one for one in live if digest_of("consent", one) in known}.difference(exported)]
    count = 0
    for start in range(0, len(ended), EXPIRE_AT_ONCE):
        with transaction(pool) as conn:
            page = ended[start : start + EXPIRE_AT_ONCE]
            count += end_again(conn, keys, page)
            execute(conn, _Q["insert_consents_without_row"], tenant=keys.tenant, ids=page)
    return count


def _renew_left_keys(pool: Pool, keys: TenantKeys) -> None:
    """Gives whoever has no consent in force a fresh key where theirs was replaced since the backup.

    A consent may have begun and ended since: what arose under it lies under the key that came back.
    """
    after = b""
    while True:
        with transaction(pool) as conn:
            values = {"tenant": keys.tenant, "after": after, "most": EXPIRE_AT_ONCE}
            rows = fetch(conn, _Q["list_keys_without_consent"], **values)
            if not rows:
                return
            for row in rows:
                with suppress(SealBroken):
                    if is_left(keys, SubjectKey.unwrap(keys, row["pid"], row["epoch"], row["wrapped"])):
                        try_lock_exclusive(conn, keys.tenant, row["pid"])
                        left = renew_key(conn, keys, row["pid"])
                        end_authority(keys, [("subject_key", left.key.hex())] if left else [])
            after = rows[-1]["pid"]


def _drop_dead(pool: Pool, tenant: str, alive: list[int]) -> int:
    after, dropped = b"", 0
    while True:
        with transaction(pool) as conn:
            rows = fetch(conn, _Q["list_orphaned_subjects"], tenant=tenant, alive=alive, after=after, most=ROTATED_ROWS)
            if not rows:
                return dropped
            pseudonyms = [row["pid"] for row in rows]
            execute(conn, _Q["delete_links"], tenant=tenant, pids=pseudonyms)
            dropped += execute(conn, _Q["delete_subjects"], tenant=tenant, pids=pseudonyms)
            after = pseudonyms[-1]


def _retract_orphaned_matches(pool: Pool, keys: TenantKeys, alive: list[int]) -> int:
    """Ends the matches whose subject is unknown since their epoch's key was destroyed; returns how many media items.

    A withdrawal could not find these matches any more.
    """
    pictures = 0
    while True:
        with transaction(pool) as conn:
            rows = fetch(conn, _Q["list_orphaned_media"], tenant=keys.tenant, alive=alive, most=ROTATED_ROWS)
        if not rows:
            return pictures
        for row in rows:
            with transaction(pool) as conn:
                item = MediaItem(row["source"], row["media_id"])
                execute(conn, named_queries("record")["lock_media"], **item.key(keys.tenant))
                execute(conn, _Q["delete_orphaned_matches"], **item.key(keys.tenant), alive=alive)
                revise(conn, keys, item, "tag.retracted")
        pictures += len(rows)
