"""Reads and writes files that only their owner can read; a crash leaves a write whole or undone."""

from __future__ import annotations

import os
from pathlib import Path

from assent.core.errors import KeyMissing, StoreUnsafe


def read_private(file: Path, what: str) -> str:
    try:
        with file.open(encoding="ascii") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o027:
                raise StoreUnsafe(f"{file} can be read or changed by others: chmod 600 it")
            return stream.read()
    except FileNotFoundError as error:
        raise KeyMissing(f"{what} is missing: {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"{what} cannot be read: {file}") from error


def write_private(file: Path, text: str) -> None:
    """Writes a 0600 file so that a crash leaves the old or the new content, never a part (temp, fsync, rename)."""
    temp = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:  # noqa: PTH123 - a descriptor
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temp.rename(file)
    finally:
        temp.unlink(missing_ok=True)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
