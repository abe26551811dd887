"""Reads files that only their owner can read, and replaces files whole: a crash leaves the old content or the new."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any

from assent.core.errors import KeyMissing, StoreUnsafe

_STDOUT = 1


def read_private(file: Path, what: str) -> str:
    """Reads an ASCII file that is this user's own and closed to all others; `what` names it in messages.

    Raises StoreUnsafe where it is another's or its mode lets others in, KeyMissing where it is absent or unreadable.
    """
    try:
        with file.open(encoding="ascii") as stream:
            _check_owner(file, os.fstat(stream.fileno()))
            return stream.read()
    except FileNotFoundError as error:
        raise KeyMissing(f"{what} is missing: {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"{what} cannot be read: {file}") from error


def _check_owner(file: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        whose = f"belongs to uid {status.st_uid}, and this process runs as uid {os.geteuid()}"
        raise StoreUnsafe(f"{file} {whose}: run as the owner, or chown the file")
    if status.st_mode & 0o077:
        raise StoreUnsafe(f"{file} can be read or changed by others: chmod 600 it")


def restrict_output() -> None:
    """Sets the file that standard output goes to, if it is one, to mode 0600: secrets are about to be printed.

    Raises StoreUnsafe where the file is another user's and others can read or change it.
    """
    try:
        status = os.fstat(_STDOUT)
    except OSError:  # closed
        return
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        try:
            os.fchmod(_STDOUT, 0o600)
        except OSError as error:
            raise StoreUnsafe(
                "others could read the secrets in the file of this output: remove it, and set `umask 077` before"
            ) from error


def write_private(file: Path, content: str) -> None:
    """Replaces a file that only its owner can read (0600), durably. Raises OSError."""
    replace_file(file, content)


def replace_file(file: Path, content: str | bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replaces a file's content so that a crash leaves the old or the new one, never a part (temp, fsync, rename).

    `mode` is narrowed by the umask. Without `durable` a power failure may undo the write. Raises OSError.
    """
    temp = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(content.encode() if isinstance(content, str) else content)
            if durable:
                sync_file(stream)
        temp.replace(file)
    finally:
        temp.unlink(missing_ok=True)
    if durable:
        sync_folder(file.parent)


def rename_durably(source: Path, target: Path) -> None:
    """Renames a file or folder within its folder; after the return a power failure does not undo it."""
    source.replace(target)
    sync_folder(target.parent)


def sync_file(stream: IO[Any]) -> None:
    """Writes what the stream holds to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Writes the folder's entries to the disk: what was renamed or made in it stays so."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
