"""Exports keys: any backup of the database opens with the export, for every subject not erased by then.

One JSON value a line: a header; then of each tenant its keys (sealed under the root key, the live epoch only), the
checkpoint of its log that was signed last and what the keys folder remembers as ended, its subjects' wrapped keys, and
the ids of its ended consents; last a seal under the root key over all lines before, so that a file that was cut or
altered is refused: a subject who is missing in it counts as erased, a consent that is missing in it may be in force.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from assent.core.clock import parse_rfc3339, rfc3339_with_offset
from assent.core.encoding import decode_base64, encode_base64
from assent.core.errors import KeyMissing, SealBroken
from assent.core.files import read_private, write_private
from assent.db.pool import Conn, Pool, transaction
from assent.db.queries import named_queries
from assent.keys.ended import split_digests
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.seal import seal, unseal
from assent.keys.signed_head import read_signed_head

KEYFILE_FORMAT = "assent.keys/2"
READ_FORMATS = ("assent.keys/1", KEYFILE_FORMAT)  # the first one knew nothing of consents
EXPORTS_FOLDER = "exports"  # in the keys folder
_Q = named_queries("rotate")


@dataclass(frozen=True, slots=True, eq=False)
class WrappedKey:
    """One subject's wrapped key, as table `subject_key` stores it."""

    pseudonym: bytes
    epoch: int
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class KeyExport:
    """One export, checked and opened."""

    made_at: datetime
    tenants: dict[str, tuple[TenantKeys, list[WrappedKey]]] = field(repr=False)
    heads: dict[str, str]  # the checkpoint signed last, of each tenant whose log was signed by then
    ended: dict[str, list[UUID]]  # each tenant's consents that had ended by then
    remembered: dict[str, frozenset[bytes]]  # what the keys folder remembered as ended


def write_export(pool: Pool, keystore: Keystore, file: Path, tenants: Sequence[str]) -> None:
    """Writes the keys of these tenants to a 0600 file, whole or not at all.

    Call it while no rotation of theirs runs (`rotation_lock`): rows under a retiring epoch would not open. Raises
    KeyMissing or DatabaseUnavailable.
    """
    head = {
        "format": KEYFILE_FORMAT,
        "database": str(keystore.database),
        "made_at": rfc3339_with_offset(datetime.now(UTC)),
    }
    lines = [json.dumps(head)]
    with transaction(pool) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for tenant in tenants:
            entry = {
                "tenant": tenant,
                "keys": keystore.sealed_entry(tenant),
                "head": read_signed_head(keystore.keys_dir, tenant),
                "remembered": encode_base64(b"".join(sorted(keystore.ended(tenant)))),
            }
            lines.append(json.dumps(entry))
            lines.extend(_wrapped_keys(conn, tenant))
            lines.extend(_ended_consents(conn, tenant))
    text = "\n".join(lines) + "\n"
    check = seal(keystore.root, sha256(text.encode()).digest(), KEYFILE_FORMAT, str(keystore.database))
    write_private(file, text + json.dumps({"seal": encode_base64(check)}) + "\n")


def _wrapped_keys(conn: Conn, tenant: str) -> Iterator[str]:
    with conn.cursor(name="wrapped_keys") as cursor:
        for pseudonym, epoch, wrapped in cursor.execute(_Q["list_wrapped_keys"], {"tenant": tenant}):
            yield json.dumps([encode_base64(pseudonym), epoch, encode_base64(wrapped)])


def _ended_consents(conn: Conn, tenant: str) -> Iterator[str]:
    with conn.cursor(name="ended_consents") as cursor:
        for (consent,) in cursor.execute(_Q["list_ended_consents"], {"tenant": tenant}):
            yield json.dumps(str(consent))


def export_epoch(pool: Pool, keystore: Keystore, tenant: str) -> Path:
    """Writes the export that follows a rotation to `<keys_dir>/exports` and removes the tenant's older ones there."""
    folder = keystore.keys_dir / EXPORTS_FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{tenant}-epoch-{keystore.tenant(tenant).epoch}.json"
    write_export(pool, keystore, file, [tenant])
    for other in folder.glob(f"{tenant}-epoch-*.json"):
        number = other.stem.removeprefix(f"{tenant}-epoch-")
        if other != file and number.isdecimal():  # otherwise it is of a tenant with a longer name
            other.unlink(missing_ok=True)
    return file


def export_database(file: Path) -> UUID:
    """Returns the id of the database that an unchecked export names. Raises KeyMissing when the file is no export."""
    return _head(file)[1]


def _head(file: Path) -> tuple[str, UUID]:
    """Returns format and database of an unchecked export."""
    try:
        head = json.loads(read_private(file, "the export of the keys").partition("\n")[0])
        if head["format"] not in READ_FORMATS:
            raise ValueError(head["format"])
        return head["format"], UUID(head["database"])
    except (ValueError, KeyError, TypeError) as error:
        raise KeyMissing(f"no export of keys: {file}") from error


def read_export(keystore: Keystore, file: Path) -> KeyExport:
    """Opens an export. Raises KeyMissing when it is cut, altered, of another database or under another root key."""
    file_format, database = _head(file)
    if database != keystore.database:
        raise KeyMissing(f"the export belongs to another database: {file}")
    text, _, end = read_private(file, "the export of the keys").rstrip("\n").rpartition("\n")
    text += "\n"
    try:
        check = decode_base64(json.loads(end)["seal"])
        digest = unseal(keystore.root, check, file_format, str(keystore.database))
    except (SealBroken, ValueError, KeyError, TypeError) as error:
        raise KeyMissing(f"the export is cut, or sealed under another root key: {file}") from error
    if digest != sha256(text.encode()).digest():
        raise KeyMissing(f"the export was altered: {file}")
    return _parse(keystore, text.splitlines())


def _parse(keystore: Keystore, lines: list[str]) -> KeyExport:
    tenants: dict[str, tuple[TenantKeys, list[WrappedKey]]] = {}
    heads: dict[str, str] = {}
    ended: dict[str, list[UUID]] = {}
    remembered: dict[str, frozenset[bytes]] = {}
    subjects: list[WrappedKey] = []
    consents: list[UUID] = []
    for line in lines[1:]:
        entry: Any = json.loads(line)
        if isinstance(entry, dict):
            subjects, consents = [], []
            ended[entry["tenant"]] = consents
            remembered[entry["tenant"]] = split_digests(decode_base64(entry.get("remembered", "")))
            tenants[entry["tenant"]] = (keystore.open_entry(entry["tenant"], entry["keys"]), subjects)
            if entry.get("head"):
                heads[entry["tenant"]] = entry["head"]
        elif isinstance(entry, str):
            consents.append(UUID(entry))
        else:
            pseudonym, epoch, wrapped = entry
            subjects.append(WrappedKey(decode_base64(pseudonym), epoch, decode_base64(wrapped)))
    return KeyExport(parse_rfc3339(json.loads(lines[0])["made_at"]), tenants, heads, ended, remembered)
