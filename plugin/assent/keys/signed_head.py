"""Remembers outside the database, for each tenant, the checkpoint of the log that was signed last.

`<keys_dir>/log/<tenant>.json` (0600) holds the signed note itself. All processes of an installation share it. A
database that was set back does not take it along, so that the next signature can be refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assent.core.audit_errors import HeadNotRemembered
from assent.core.errors import KeyMissing
from assent.core.files import read_private, write_private

HEAD_FORMAT = "assent.head/1"
HEADS_FOLDER = "log"  # in the keys folder
HEAD_LOCK_SECONDS = 5.0  # whoever writes needs milliseconds, unless they were stopped
_POLL_SECONDS = 0.005


def read_signed_head(keys_dir: Path, tenant: str) -> str | None:
    """Returns the note that was signed last, or None where none was yet. Raises KeyMissing where it is damaged."""
    file = _file(keys_dir, tenant)
    if not file.exists():
        return None
    try:
        document = json.loads(read_private(file, "the log's last checkpoint"))
        if document["format"] != HEAD_FORMAT:
            raise ValueError(document["format"])
        return str(document["checkpoint"])
    except (ValueError, KeyError, TypeError) as error:
        raise KeyMissing(f"the log's last checkpoint is damaged: {file}") from error


def replace_signed_head(keys_dir: Path, tenant: str, note: str, before: str | None) -> bool:
    """Remembers a note in place of the note `before`, durably; it must not leave the process earlier.

    Returns False, and changes nothing, where another process has replaced that one already. Raises HeadNotRemembered.
    """
    file = _file(keys_dir, tenant)
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with locked(file.with_suffix(".lock")):
            if read_signed_head(keys_dir, tenant) != before:
                return False
            write_private(file, json.dumps({"format": HEAD_FORMAT, "checkpoint": note}) + "\n")
    except OSError as error:
        raise HeadNotRemembered(f"{file} cannot be written: {error.strerror}") from error
    return True


def _file(keys_dir: Path, tenant: str) -> Path:
    return keys_dir / HEADS_FOLDER / f"{tenant}.json"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Locks a file of the keys folder against other processes; gives up where one that was stopped holds it.

    Raises HeadNotRemembered, OSError.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + HEAD_LOCK_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise HeadNotRemembered(f"another process holds {file} and does not go on")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
