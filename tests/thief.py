"""Opens stolen values with every key that can be had, whatever a row says of the key it lies under.

A thief need not check a seal's tag: AES-GCM without it is AES in counter mode. So every value that is as long as a
wrapped key is taken for one under every key at hand, and every value is deciphered with all the keys that come of it.
What comes out is known by what was planted, not by its additional data.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from assent.db.pool import Conn
from assent.intake.accept import open_upload
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.seal import NONCE, TAG

BLOCK = 16  # of AES
WRAPPED = NONCE + 32 + TAG
DISTINCT = 44  # bytes of a wrapped key that differ, of which one in 100,000 has fewer, and text has
# PostgreSQL puts the length before a short value: one byte, doubled, counting itself, and odd.
_SHORT = re.compile(bytes([2 * (WRAPPED + 1) + 1]) + rb"(?=(.{%d}))" % WRAPPED, re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """A value of type bytea, and where it lay."""

    table: str
    column: str
    raw: bytes


def steal(conn: Conn, keys: TenantKeys) -> set[Value]:
    """Takes every bytea of every table; of what came with requests what lies below the tenant's own seal, too."""
    columns = conn.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'bytea'"
    ).fetchall()
    values = {
        Value(table, column, bytes(raw))
        for table, column in columns
        for (raw,) in conn.execute(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL')  # noqa: S608
    }
    uploads = conn.execute("SELECT event_id, n FROM upload").fetchall()
    below = (open_upload(conn, keys, *upload) for upload in uploads)
    return values | {Value("upload", "opened", raw) for raw in below if raw is not None}


def raw_keys(keystore: Keystore) -> set[bytes]:
    """Every key of the keystore, the root key among them."""
    keys = keystore.tenant("default")
    raw = {keystore.root, keys.seal_key, keys.pseudonym_key, keys.log_key.private_bytes_raw(), keys.epoch_key}
    return raw | set(keys.retiring.values())


def wrapped_in(stolen: Iterable[Value]) -> set[bytes]:
    """Whatever is as long as a wrapped key, but for locators, which hold a pseudonym."""
    return {value.raw for value in stolen if len(value.raw) == WRAPPED and value.column != "locator"}


def wrapped_in_files(files: Iterable[Path]) -> set[bytes]:
    """Whatever in these files may be a wrapped key by its length."""
    found = set()
    for file in files:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found |= {match[1] for match in _SHORT.finditer(data) if len(set(match[1])) >= DISTINCT}
    return found


def unwrapped(keys: Iterable[bytes], wrapped: Iterable[bytes]) -> set[bytes]:
    """All that any of these values would be if it were a key wrapped under one of those keys."""
    keys, wrapped = list(keys), list(wrapped)
    return {decipher(key, value) for key in keys for value in wrapped}


def decipher(key: bytes, sealed: bytes) -> bytes:
    """Opens a sealed value without asking whether it was one."""
    counter = sealed[:NONCE] + (2).to_bytes(4, "big")  # NIST SP 800-38D: the first block is the tag's
    return Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor().update(sealed[NONCE:-TAG])


def opened(stolen: Iterable[Value], keys: Iterable[bytes], planted: Sequence[bytes]) -> set[tuple[str, bytes]]:
    """Tells which tables' values hold something planted under one of the keys, and what.

    All values are deciphered at once, since there are thousands of keys: their counters, block by block, encrypted.
    """
    sealed = [value for value in stolen if len(value.raw) > NONCE + TAG]
    bodies = [value.raw[NONCE:-TAG] for value in sealed]
    blocks = [-(-len(body) // BLOCK) for body in bodies]
    tables = [value.table for value, count in zip(sealed, blocks, strict=True) for _ in range(count)]
    numbered = ((value.raw[:NONCE], n) for value, count in zip(sealed, blocks, strict=True) for n in range(count))
    counters = b"".join(nonce + (n + 2).to_bytes(4, "big") for nonce, n in numbered)
    padded = (body.ljust(BLOCK * count, b"\0") for body, count in zip(bodies, blocks, strict=True))
    lying, found = np.frombuffer(b"".join(padded), np.uint8), set()
    for key in keys:
        stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(counters)  # noqa: S305 - CTR is made of it
        plain = (np.frombuffer(stream, np.uint8) ^ lying).tobytes()
        for secret in planted:
            found |= {(tables[match.start() // BLOCK], secret) for match in re.finditer(re.escape(secret), plain)}
    return found


def log_position(conn: Conn) -> str:
    """The file of the write-ahead log that is written to now."""
    row = conn.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchone()
    assert row is not None
    return str(row[0])


def files_since(conn: Conn, server: Path, position: str, databases: Sequence[str]) -> list[Path]:
    """The write-ahead log from there on, and the files of these databases. Make a copy first: it writes them out.

    What comes after the file that is written to now is of long ago, kept to be written over."""
    written = log_position(conn)
    log = [file for file in (server / "pg_wal").iterdir() if file.is_file() and position <= file.name <= written]
    oids = conn.execute("SELECT oid FROM pg_database WHERE datname = ANY(%s)", [list(databases)]).fetchall()
    rows = [file for (oid,) in oids for file in (server / "base" / str(oid)).iterdir()]
    return [file for file in log + rows if file.stat().st_size]
