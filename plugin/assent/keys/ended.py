"""Remembers outside the database which API keys were revoked, which consents ended, which subjects' keys were replaced.

A row of before its end has a MAC that holds: whoever can write SQL, or restores a backup, could put it back. So
`<keys_dir>/ended/<tenant>` (0600) holds 16 bytes of the SHA-256 of each ended row's table and id, or of the key, and
only grows. All processes of an installation share it, and exports of the keys carry it.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from assent.core.audit_errors import HeadNotRemembered
from assent.core.files import sync_folder
from assent.keys.signed_head import locked

ENDED_FOLDER = "ended"  # in the keys folder
_DIGEST = 16


def digest_of(kind: str, id_: str | UUID | bytes) -> bytes:
    """Returns what stands for a row in the file, 16 bytes; an id in bytes is one that the database sent so."""
    raw = id_.encode() if isinstance(id_, str) else id_.bytes if isinstance(id_, UUID) else id_
    return sha256(kind.encode() + b"\0" + raw).digest()[:_DIGEST]


def ended_file(keys_dir: Path, tenant: str) -> Path:
    """Returns the file that remembers a tenant's ended rows; it is not there before the first one."""
    return keys_dir / ENDED_FOLDER / tenant


def append_ended(keys_dir: Path, tenant: str, digests: Collection[bytes]) -> None:
    """Remembers rows as ended, durably. Call it before the commit that ends them: rolled back, they are ended all the
    same. Raises HeadNotRemembered where the folder takes nothing, or a process that was stopped keeps it."""
    file = ended_file(keys_dir, tenant)
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with locked(file):
            _append(file, b"".join(digests))
    except OSError as error:
        raise HeadNotRemembered(f"{file} cannot be written: {error.strerror}") from error


def _append(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        os.ftruncate(descriptor, size - size % _DIGEST)  # of a write that was cut short
        while data:  # a disk that fills takes a part of it, and then raises
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not size:
        sync_folder(file.parent)
        sync_folder(file.parent.parent)


def read_ended(file: Path) -> frozenset[bytes]:
    """Returns all that a file remembers."""
    try:
        return split_digests(file.read_bytes())
    except FileNotFoundError:
        return frozenset()


def split_digests(data: bytes) -> frozenset[bytes]:
    """Splits the content of a file into its digests; one that was cut short is left out."""
    return frozenset(data[n : n + _DIGEST] for n in range(0, len(data) - _DIGEST + 1, _DIGEST))
