"""Authenticates the rows that give power: API keys, consents, templates, endpoints, accounts of the console.

Each row carries a MAC over its authoritative columns under a key that the database does not have. Who can write SQL but
has no key can neither make such a row nor change one, nor put one back that has ended: whoever uses a row asks
`is_authentic` first.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter, itemgetter
from typing import Any, Literal
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from assent.keys.ended import digest_of
from assent.keys.keystore import TenantKeys

AUTHORITY_FORMAT = b"assent.authority/1"
Authority = Literal["api_key", "consent", "template", "endpoint", "staff", "staff_key"]
# The columns under the MAC, in its order. `revoked`: whether `revoked_at` is set.
AUTHORITATIVE: Mapping[Authority, tuple[str, ...]] = {
    "api_key": ("tenant", "id", "sha256", "scopes", "revoked"),
    "consent": (
        *("tenant", "id", "pid", "purpose", "scope", "series", "n"),
        *("given_at", "expires_at", "withdrawn_at", "expired_at"),
    ),
    "template": ("tenant", "id", "pid", "model", "consent_id", "version"),
    "endpoint": ("tenant", "name", "url", "audience"),
    "staff": ("tenant", "id", "version", "roles", "queues", "external", "password_hash", "totp_sealed", "disabled"),
    "staff_key": ("tenant", "id", "staff", "public_key"),
}
_ENDS: Mapping[Authority, tuple[str, ...]] = {"api_key": ("revoked",), "consent": ("withdrawn_at", "expired_at")}
# An older version of these rows permits nothing any more.
_VERSIONED: frozenset[Authority] = frozenset({"staff"})
_REMOVED: frozenset[Authority] = frozenset({"staff_key"})  # a row that ends is deleted
_COLUMNS = {kind: itemgetter(*columns) for kind, columns in AUTHORITATIVE.items()}
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's: a time is encoded as `timestamptz_send` does it


def authority_key(keys: TenantKeys) -> bytes:
    """Derives the tenant's key of these MACs, 32 bytes."""
    return hmac.digest(keys.seal_key, AUTHORITY_FORMAT, "sha256")


def authority_mac(key: bytes, kind: Authority, row: Mapping[str, Any]) -> bytes:
    """Returns the MAC of a row of that table: HMAC-SHA256 (RFC 2104) under `authority_key`, 32 bytes.

    Values are as they are read, or as the database's binary send functions give them.
    """
    return mac_of_raw(begin_macs(key), kind, [_RAW[type(value)](value) for value in _COLUMNS[kind](row)])


def begin_macs(key: bytes) -> HMAC:
    """Prepares `authority_key` for the MACs of many rows: that takes as long as two of them."""
    return HMAC(key, SHA256())


def mac_of_raw(begun: HMAC, kind: Authority, raw: Sequence[bytes]) -> bytes:
    """Returns the MAC of a row from its values' bytes in the order of AUTHORITATIVE: a gallery that is filled has many.

    The table's name, the lengths of all values (4 bytes each), the values: no two rows read the same. A time that is
    absent is empty, which no other is.
    """
    mac = begun.copy()
    mac.update(b"".join((_NAMES[kind], _LENGTHS[kind](*map(len, raw)), *raw)))
    return mac.finalize()


def holds_mac(key: bytes, kind: Authority, row: Mapping[str, Any]) -> bool:
    """Tells whether a row, with its column `mac`, is as somebody with the keys wrote it at some time."""
    try:
        return row["mac"] is not None and hmac.compare_digest(row["mac"], authority_mac(key, kind, row))
    except (TypeError, AttributeError, LookupError):  # an array of NULL, for one: no row of ours holds it
        return False


def is_authentic(keys: TenantKeys, kind: Authority, row: Mapping[str, Any]) -> bool:
    """Tells whether a row is as somebody with the keys wrote it, and was not put back after its end."""
    return holds_mac(authority_key(keys), kind, row) and not is_put_back(keys.ended(), kind, row)


def is_put_back(ended: frozenset[bytes], kind: Authority, row: Mapping[str, Any]) -> bool:
    """Tells whether a row that permits something is remembered as ended."""
    if kind in _VERSIONED:
        return digest_of(kind, version_of(row)) in ended
    if kind in _REMOVED:
        return digest_of(kind, row["id"]) in ended
    if kind not in _ENDS or any(row[column] for column in _ENDS[kind]):
        return False
    return digest_of(kind, row["id"]) in ended


def end_authority(
    keys: TenantKeys, ended: Iterable[tuple[Authority | Literal["subject_key"], str | UUID | bytes]]
) -> None:
    """Remembers rows, by table and id, as ended outside the database, before the commit that ends them there.

    What stands for a subject's key is the key in hex.
    """
    if keys.store is not None and (digests := [digest_of(kind, id_) for kind, id_ in ended]):
        keys.store.end(keys.tenant, digests)


def version_of(row: Mapping[str, Any]) -> str:
    """Returns what stands for a version of a row among those that ended."""
    return f"{row['id']}/{row['version']}"


def columns_of(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Returns the columns whose names begin with the prefix, without it: a row that was read joined with another."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def _microseconds(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def _raw_list(values: list[str]) -> bytes:
    raw = [value.encode() for value in sorted(values)]
    return struct.pack(f">{len(raw)}I", *map(len, raw)) + b"".join(raw)


_int8 = struct.Struct(">q").pack
_NAMES = {kind: kind.encode() for kind in AUTHORITATIVE}
_LENGTHS = {kind: struct.Struct(f">{len(columns)}I").pack for kind, columns in AUTHORITATIVE.items()}
_RAW: Mapping[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"",
    bytes: bytes,
    str: str.encode,
    UUID: attrgetter("bytes"),
    int: _int8,
    bool: _int8,
    datetime: lambda at: _int8(_microseconds(at)),
    list: _raw_list,
}
