"""Imports, removes and lists the hash lists in the database; each change is a leaf of the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np

from assent.audit.log import Part, append
from assent.core.errors import HashListInvalid, NotFound
from assent.core.names import ENTITY_NAME
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.hashlists.entries import HASH_BYTES, Entries, HashKind
from assent.hashlists.search import DISTANCE, HashList, pdq_columns, sha256_sorted
from assent.keys.keystore import TenantKeys

BLOCK = 4096  # hashes a row
_Q = named_queries("hashlists")
_KINDS: tuple[HashKind, ...] = ("pdq", "sha256")


@dataclass(frozen=True, slots=True)
class ListTerms:
    """Whether a list is to be marked severe, and its distance in bits of a PDQ hash; None leaves it, or takes 31."""

    severe: bool = False
    distance: int | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """One hash list after an import: how many hashes it holds, and how many of them are new."""

    severe: bool
    distance: int
    pdq: int
    sha256: int
    new: int


def import_hashes(
    conn: Conn, keys: TenantKeys, name: str, entries: Entries, terms: ListTerms, *, replace: bool = False
) -> ImportResult:
    """Adds hashes to the list of that name, or makes it; with `replace` they are then its only ones.

    A list that is marked severe stays so; without `distance` it keeps the one it has, a new list has 31.
    Raises HashListInvalid on a name that is none.
    """
    if not re.fullmatch(ENTITY_NAME, name):
        raise HashListInvalid(f"{name!r} is no name for a list: 1 to 63 of a-z, 0-9 and -")
    values = {"severe": terms.severe, "distance": terms.distance, "usual": DISTANCE}
    row = fetch_one(conn, _Q["upsert_hash_list"], tenant=keys.tenant, name=name, **values)
    if row is None:
        raise RuntimeError("an upsert returned no row")
    counts: dict[HashKind, int] = {}
    new, digest = 0, sha256()
    for kind, added in zip(_KINDS, (bytes(entries.pdq), bytes(entries.sha256)), strict=True):
        before = _read_hashes(conn, keys.tenant, name, kind)
        merged = _unique(added if replace else before + added)
        new += len(np.setdiff1d(_array(merged), _array(before), assume_unique=True))
        _store_hashes(conn, keys.tenant, name, kind, merged)
        counts[kind] = len(merged) // HASH_BYTES
        digest.update(merged)
    payload = {
        "list": name,
        **row,
        "pdq": counts["pdq"],
        "sha256": counts["sha256"],
        "new": new,
        "replaced": replace,
        "sha256_of_hashes": digest.hexdigest(),
    }
    append(conn, keys, "hashes.imported", {}, [Part(payload)], datetime.now(UTC))
    return ImportResult(row["severe"], row["distance"], counts["pdq"], counts["sha256"], new)


def remove_hash_list(conn: Conn, keys: TenantKeys, name: str) -> None:
    """Removes a list with its hashes. Raises NotFound."""
    if not execute(conn, _Q["delete_hash_list"], tenant=keys.tenant, name=name):
        raise NotFound(f"there is no list {name!r}")
    append(conn, keys, "hashes.removed", {}, [Part({"list": name})], datetime.now(UTC))


def list_hash_lists(conn: Conn, tenant: str) -> list[Row]:
    """Returns each list's name, severe, distance, version, changed_at, and how many hashes of each kind it holds."""
    return fetch(conn, _Q["list_hash_lists"], tenant=tenant)


def list_versions(conn: Conn, tenant: str) -> list[Row]:
    """Returns the rows of `list_hash_lists` without counting the hashes, for the check before a search."""
    return fetch(conn, _Q["list_hash_list_versions"], tenant=tenant)


def read_hash_lists(conn: Conn, tenant: str, rows: Iterable[Row]) -> list[HashList]:
    """Reads the lists of those rows, ready to be searched; one that was removed meanwhile is empty."""
    return [
        HashList(
            **row,
            pdq=pdq_columns(_read_hashes(conn, tenant, row["name"], "pdq")),
            sha256=sha256_sorted(_read_hashes(conn, tenant, row["name"], "sha256")),
        )
        for row in rows
    ]


def _read_hashes(conn: Conn, tenant: str, name: str, kind: HashKind) -> bytes:
    rows = fetch(conn, _Q["read_hash_blocks"], tenant=tenant, list=name, kind=kind)
    return b"".join(row["hashes"] for row in rows)


def _store_hashes(conn: Conn, tenant: str, name: str, kind: HashKind, hashes: bytes) -> None:
    key = {"tenant": tenant, "list": name, "kind": kind}
    execute(conn, _Q["delete_hash_blocks"], **key)
    for n, start in enumerate(range(0, len(hashes), BLOCK * HASH_BYTES)):
        execute(conn, _Q["insert_hash_block"], **key, n=n, hashes=hashes[start : start + BLOCK * HASH_BYTES])


def _unique(hashes: bytes) -> bytes:
    return np.unique(_array(hashes)).tobytes()


def _array(hashes: bytes) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    return np.frombuffer(hashes, f"S{HASH_BYTES}")
