"""`assent backup` and `assent restore`: back up and restore the embedded database."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from assent.audit.authority import seal_restored
from assent.cli.context import operator, print_restorations, print_sealed
from assent.core.errors import BackupRefused, KeyMissing
from assent.core.settings import Settings
from assent.db.migrate import migrate
from assent.db.pool import open_pool, transaction
from assent.embedded import backup as files
from assent.keys import keyfile
from assent.keys.installation import database, instance, open_keys
from assent.keys.keystore import ROOT_FILE, STORE_FILE, Keystore, create_keystore, open_keystore
from assent.keys.root import read_root, root_key
from assent.subjects.access import record_access
from assent.subjects.recover import end_remembered, import_keys, resume_logs
from assent.subjects.rotate import rotation_lock

KEYS = "keys.json"
EXTERNAL = (
    "the database is ASSENT_DATABASE_URL's: back that server up with its own means (pg_basebackup, WAL archive), and"
    " the keys with `assent keys export`; after a restore there run `assent keys import` with the newest export"
)


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="An export of the keys too. Replace it after each rotation.")
    ] = False,
    with_root_key: Annotated[
        bool, typer.Option("--with-root-key", help="The root key too: whoever has the folder can read everything.")
    ] = False,
) -> None:
    """Back up the embedded database while Assent runs; without options the folder holds no key.

    The audit log records who did it: the keystore has to be there.
    """
    settings = Settings()
    if settings.database_url is not None:
        raise BackupRefused(EXTERNAL)
    with database(settings) as url, open_pool(url, size=4) as pool:
        keystore = open_keys(settings, pool)
        for tenant in keystore.tenants():
            with transaction(pool) as conn:
                record_access(
                    conn, keystore.tenant(tenant), "backup.made", operator(), with_keys=with_keys or with_root_key
                )
        files.write_backup(url, settings.data_dir, instance(pool), folder)
        if with_keys or with_root_key:
            with rotation_lock(pool, *keystore.tenants()):
                keyfile.write_export(pool, keystore, folder / KEYS, keystore.tenants())
    if with_root_key:
        _copy_root(settings, folder)
    print(f"The database is in {folder}.")
    print(_about_keys(settings, with_keys or with_root_key, with_root_key))


def _copy_root(settings: Settings, folder: Path) -> None:
    if root_key(settings) is not None:
        raise BackupRefused("the root key comes from the settings: keep it where it is kept, not in a backup")
    shutil.copyfile(settings.keys_dir / ROOT_FILE, folder / ROOT_FILE)
    (folder / ROOT_FILE).chmod(0o600)


def _about_keys(settings: Settings, with_keys: bool, with_root_key: bool) -> str:
    if not with_keys:
        return (
            f"It holds no key. Copy {settings.keys_dir} elsewhere, and anew after each rotation in place of the old"
            " copy: a backup with keys of its time gives back whom an erasure has made unreadable."
        )
    readers = (
        "with the root key: everybody who has the folder" if with_root_key else "everybody who has it and the root key"
    )
    return f"It holds an export of the keys; {readers} can read what was in the database now, also who is erased later."


def restore(
    folder: Annotated[Path, typer.Argument(help="What `assent backup` made.")],
    keys: Annotated[
        Path | None,
        typer.Option(help="The newest export of the keys; else the one beside the keystore or in the folder."),
    ] = None,
) -> None:
    """Restore a backup into an empty data folder, with today's keys.

    People erased since stay erased, consents that ended since stay ended. Where it lost leaves of the audit log that
    were signed, the log says so: a new epoch of it begins.
    """
    settings = Settings()
    if settings.database_url is not None:
        raise BackupRefused(EXTERNAL)
    database_id = files.backup_database(folder)
    exports = [keys] if keys else _exports(settings, folder)
    keystore = _keystore(settings, folder, database_id, exports)
    read = [keyfile.read_export(keystore, file) for file in exports]
    for tenant in keystore.tenants():
        if keystore.tenant(tenant).epoch > 1 and not any(tenant in export.tenants for export in read):
            raise KeyMissing(f"the export of tenant {tenant}'s keys is missing: name the newest one with --keys")
    files.restore_backup(folder, settings.data_dir)
    with database(settings) as url:
        migrate(url)
        with open_pool(url, size=4) as pool:
            logs = resume_logs(pool, keystore)
            for export in read:
                done = import_keys(pool, keystore, export)
                logs |= done.logs
                print(f"{done.people} people's keys brought back, {done.erased} people removed who were erased since,")
                print("or whose consent ended since, and with it the key of what the backup has of them;")
                print(f"{done.consents} consents ended again that had ended since;")
                print(f"{done.pictures} pictures' tags taken back because whose they were cannot be told any more.")
            if again := end_remembered(pool, keystore):
                print(f"{again} consents ended again that the keys folder remembers as ended.")
            print_sealed(seal_restored(pool, keystore))
    print_restorations(logs)
    print("What happened after the backup is lost: have the platform send withdrawals and erasures of that time again.")


def _exports(settings: Settings, folder: Path) -> list[Path]:
    """Returns the newest exports of keys: beside the keystore one a tenant, else the backup's own."""
    beside = sorted((settings.keys_dir / keyfile.EXPORTS_FOLDER).glob("*-epoch-*.json"))
    if (settings.keys_dir / STORE_FILE).exists():
        return beside  # none: no epoch was ever rotated, and the keystore opens the backup as it is
    return beside or [folder / KEYS]


def _keystore(settings: Settings, folder: Path, database_id: UUID, exports: list[Path]) -> Keystore:
    """Opens the existing keystore, or creates one that the exports fill; the root key must exist."""
    if (settings.keys_dir / STORE_FILE).exists():
        return open_keystore(settings.keys_dir, database_id, root_key(settings))
    if not all(file.exists() for file in exports):
        raise KeyMissing(f"no keystore in {settings.keys_dir} and no export of keys: name one with --keys")
    settings.keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root_key(settings) is None and not (settings.keys_dir / ROOT_FILE).exists():
        read_root(folder / ROOT_FILE)  # KeyMissing where the backup has none either
        shutil.copyfile(folder / ROOT_FILE, settings.keys_dir / ROOT_FILE)
        (settings.keys_dir / ROOT_FILE).chmod(0o600)
    return create_keystore(settings.keys_dir, database_id, root_key(settings))
