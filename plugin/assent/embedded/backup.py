"""Backs up and restores the embedded server. A backup holds no key: its sealed rows open with the keystore."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict

from assent.core.clock import rfc3339_with_offset
from assent.core.errors import BackupRefused, StoreUnsafe
from assent.core.files import replace_file, write_private
from assent.embedded import install
from assent.embedded.install import Account
from assent.embedded.server import SUPERUSER

BACKUP_FORMAT = "assent.backup/1"
HEADER_FILE, DATA_FOLDER, PASSWORD_FILE = "backup.json", "pg", "postgres.password"


def write_backup(url: str, data_dir: Path, database: UUID, folder: Path) -> None:
    """Writes a base backup of the running embedded server, with the WAL it needs, to a new or empty folder (0700).

    Raises BackupRefused where the folder holds something or the backup fails.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupRefused(f"{folder} is not empty")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    binaries = install.find_binaries(None, data_dir)
    command = [str(binaries / "bin" / "pg_basebackup"), "-D", str(folder.resolve() / DATA_FOLDER), "-F", "plain"]
    command += ["-X", "stream", "-c", "fast", "--no-password", "--manifest-checksums=SHA256"]
    password = (data_dir.resolve() / PASSWORD_FILE).read_text()
    result = install.run_command(command, None, _connection_environment(binaries, url, password))
    if result.returncode != 0:
        raise BackupRefused(f"pg_basebackup failed: {result.stdout.strip()[-300:]}")
    write_private(folder / PASSWORD_FILE, password)
    made_at = rfc3339_with_offset(datetime.now(UTC))
    header = {"format": BACKUP_FORMAT, "database": str(database), "made_at": made_at}
    # Last: without it the backup is not whole.
    replace_file(folder / HEADER_FILE, json.dumps(header) + "\n", mode=0o666)


def _connection_environment(binaries: Path, url: str, password: str) -> dict[str, str]:
    # The application's role may not copy the server's files. The password is not on the command line, where every user
    # of the host could read it.
    names = {"PGHOST": str(conninfo_to_dict(url)["host"]), "PGUSER": SUPERUSER, "PGPASSWORD": password}
    return install.binary_environment(binaries) | names


def backup_database(folder: Path) -> UUID:
    """Returns the id of the database that was backed up. Raises BackupRefused when no finished backup is there."""
    try:
        header = json.loads((folder / HEADER_FILE).read_text())
        if header["format"] != BACKUP_FORMAT:
            raise ValueError(header["format"])
        return UUID(header["database"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupRefused(f"{folder} holds no finished backup") from error


def restore_backup(folder: Path, data_dir: Path) -> None:
    """Compares a backup with its manifest and copies it to the folder from which the embedded server starts.

    Raises BackupRefused where a database is there already or the backup is damaged, StoreUnsafe as the server does.
    """
    backup_database(folder)
    home = install.own_folder(data_dir)
    target = home / DATA_FOLDER
    if target.exists():
        raise BackupRefused(f"{target} exists: stop Assent and move that folder away")
    _verify(folder / DATA_FOLDER)
    account = install.account_of(target)
    fresh = home / "pg.new-restored"  # what is left of it after a crash is removed at the next start
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(folder / DATA_FOLDER, fresh, symlinks=True)
    _give_to(fresh, account)
    write_private(home / PASSWORD_FILE, (folder / PASSWORD_FILE).read_text())
    try:
        fresh.rename(target)
    except OSError as error:
        raise StoreUnsafe(f"{target} was made meanwhile by another process") from error


def _verify(data: Path) -> None:
    """Checks each file against the manifest. The wheel's own pg_verifybackup was seen to crash (18.4)."""
    try:
        manifest = (data / "backup_manifest").read_bytes()
        checksums = json.loads(manifest)
        lines = manifest.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"  # the checksum stands in the last one
        if hashlib.sha256(lines).hexdigest() != checksums["Manifest-Checksum"]:
            raise BackupRefused("the backup's manifest is damaged")
        for entry in checksums["Files"]:
            with (data / entry["Path"]).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry["Checksum"]:
                    raise BackupRefused(f"the backup is damaged: {entry['Path']} is not what was backed up")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupRefused(f"the backup is damaged: {error}") from error


def _give_to(folder: Path, account: Account | None) -> None:
    folder.chmod(0o700)
    if account is None:
        return
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
