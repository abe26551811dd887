"""Gives the rows of before the upgrade their MACs, once, and counts rows that do not have one that is true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from psycopg.rows import dict_row

from assent.audit.log import append
from assent.core.settings import Settings
from assent.db.pool import Conn, Pool, Row, execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.authority import AUTHORITATIVE, Authority, authority_key, authority_mac, is_authentic
from assent.keys.installation import open_keys
from assent.keys.keystore import Keystore, TenantKeys

# Tables that had rows before there were MACs.
_OF_BEFORE: tuple[Authority, ...] = ("api_key", "consent", "template", "endpoint")
_PAGE = 2000  # rows read, and written, at a time
_Q = named_queries("authority")


class CountedRows(NamedTuple):
    """The rows of a table: how many are as the keys' owner wrote them, and how many are not."""

    authentic: int
    broken: int


def open_installation(settings: Settings, pool: Pool) -> Keystore:
    """Opens the keystore as `open_keys` does, for a process that uses what rows permit.

    The first one after the upgrade gives each tenant's rows their MACs. The keystore remembers that it was done: the
    database could be made to forget it. Several processes may come at once.
    """
    keystore = open_keys(settings, pool)
    for tenant in keystore.tenants():
        if not keystore.tenant(tenant).authority_sealed:
            seal_authority(pool, keystore, tenant)
    return keystore


def seal_authority(pool: Pool, keystore: Keystore, tenant: str, restored: bool = False) -> Mapping[str, int]:
    """Gives the tenant's rows without a MAC theirs, and returns how many got one, by table.

    A leaf `authority.sealed` counts them. With `restored`, for a database that was restored from a backup, nothing is
    done where any row has a MAC: then the backup is of after the upgrade, and a row without one was altered. Nor is it
    on a database that was not migrated yet.
    """
    with transaction(pool) as conn:
        row = fetch_one(conn, _Q["is_authority_migrated"])
        if row is None or not row["migrated"]:
            return {}
        execute(conn, _Q["lock_authority"], tenant=tenant)
        keys = keystore.tenant(tenant)
        due = _is_of_before(conn, tenant) if restored else not keys.authority_sealed
        counts = {kind: seal_rows(conn, keys, kind) for kind in _OF_BEFORE if due}
        if any(counts.values()):
            append(conn, keys, "authority.sealed", {"rows": counts}, [], datetime.now(UTC))
    # After the commit: cut short between the two, the next process finds no row without a MAC.
    keystore.note_authority_sealed(tenant)
    return {kind: count for kind, count in counts.items() if count}


def seal_restored(pool: Pool, keystore: Keystore) -> Mapping[str, Mapping[str, int]]:
    """Seals the authority of every tenant whose rows a restore brought back from before the upgrade; the counts."""
    counts = {tenant: seal_authority(pool, keystore, tenant, restored=True) for tenant in keystore.tenants()}
    return {tenant: rows for tenant, rows in counts.items() if rows}


def seal_rows(conn: Conn, keys: TenantKeys, kind: Authority) -> int:
    """Gives the rows of that table without a MAC theirs, and returns how many there were."""
    key, count = authority_key(keys), 0
    for page in _pages(conn, keys.tenant, kind):
        fresh = [row for row in page if row["mac"] is None]
        ids, macs = [row["id"] for row in fresh], [authority_mac(key, kind, row) for row in fresh]
        count += execute(conn, _Q[f"set_{kind}_macs"], tenant=keys.tenant, ids=ids, macs=macs) if fresh else 0
    return count


def count_rows(conn: Conn, keys: TenantKeys) -> Mapping[Authority, CountedRows]:
    """Checks every row of the tenant that gives power, and returns the counts by table."""
    counts: dict[Authority, CountedRows] = {}
    for kind in AUTHORITATIVE:
        held = [is_authentic(keys, kind, row) for page in _pages(conn, keys.tenant, kind) for row in page]
        counts[kind] = CountedRows(sum(held), len(held) - sum(held))
    return counts


def _is_of_before(conn: Conn, tenant: str) -> bool:
    row = fetch_one(conn, _Q["has_any_mac"], tenant=tenant)
    return row is not None and not row["holds"]


def _pages(conn: Conn, tenant: str, kind: Authority) -> Iterator[list[Row]]:
    with conn.cursor(name=f"authority_{kind}", row_factory=dict_row) as cursor:
        cursor.execute(_Q[f"list_{kind}_rows"], {"tenant": tenant})
        while page := cursor.fetchmany(_PAGE):
            yield page
