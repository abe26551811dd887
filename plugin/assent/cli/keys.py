"""`assent keys`: rotates, exports and imports the keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from assent.audit.authority import seal_restored
from assent.cli.context import opened_keystore, operator, print_restorations, print_sealed
from assent.core.encoding import encode_base64
from assent.core.files import restrict_output
from assent.core.settings import Settings
from assent.db.migrate import migrate
from assent.db.pool import Pool, open_pool, transaction
from assent.keys.installation import database, open_keys
from assent.keys.keyfile import export_epoch, read_export, write_export
from assent.keys.keystore import Keystore
from assent.subjects.access import record_access
from assent.subjects.recover import import_keys
from assent.subjects.rotate import Rotated, rotation_lock
from assent.subjects.rotation import rotate

app = typer.Typer(no_args_is_help=True, help="The keys: rotate, export, bring back. All of it while Assent runs.")


@app.command("rotate-epoch")
def rotate_epoch(
    tenant: Annotated[str | None, typer.Option(help="One tenant; all where it is left out.")] = None,
) -> None:
    """Wrap living subjects' keys under a new epoch's key and destroy the old one.

    Copies of erased people's rows can never be opened again.
    """
    with opened_keystore(Settings()) as (pool, keystore):
        for name in [tenant] if tenant else keystore.tenants():
            done = _rotate(pool, keystore, name)
            print(
                f"{name}: epoch {done.new} is live, {done.old} destroyed; {done.people} people, {done.matches} matches",
                f"and {done.payloads} parts of the audit log moved, {done.broken} of them did not open",
            )


def _rotate(pool: Pool, keystore: Keystore, tenant: str) -> Rotated:
    shown = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(tenant)
        return rotate(
            pool, keystore, tenant, lambda table, moved: bar.update(task, description=f"{tenant}: {table} {moved}")
        )


@app.command("rotate-root")
def rotate_root() -> None:
    """Seal the keystore under a new root key."""
    restrict_output()
    settings = Settings()
    with opened_keystore(settings) as (pool, keystore), rotation_lock(pool, *keystore.tenants()):
        fresh = os.urandom(32)
        if not keystore.own_root:  # shown before it counts: a lost root key is the loss of everything
            name = "ASSENT_ROOT_KEY" if settings.root_key else f"the file {settings.root_key_file}"
            print(f"The new root key, shown only now, belongs into {name}:\n\n  {encode_base64(fresh)}\n", flush=True)
            print("Then start all of Assent's processes again; until then nobody is matched.", flush=True)
        keystore.rotate_root(fresh)
        for tenant in keystore.tenants():
            export_epoch(pool, keystore, tenant)
    print(
        "The keystore is sealed under the new root key. Copies and exports from before need the old one: replace them."
    )


@app.command("export")
def export(file: Path, tenant: Annotated[str | None, typer.Option(help="One tenant; else all.")] = None) -> None:
    """Write the keys (sealed under the root key, which is not included) and every subject's wrapped key to a file.

    Keep it apart from the backups, and replace it after each rotation: an old one keeps erased people's keys alive.
    """
    with opened_keystore(Settings()) as (pool, keystore):
        tenants = [tenant] if tenant else list(keystore.tenants())
        with rotation_lock(pool, *tenants):
            for name in tenants:
                with transaction(pool) as conn:
                    record_access(conn, keystore.tenant(name), "keys.exported", operator())
            write_export(pool, keystore, file, tenants)
    print(f"{len(tenants)} tenants written to {file}")


@app.command("import")
def bring_in(file: Path) -> None:
    """Import living subjects' keys from an export after a restore.

    People erased since the backup are removed again, and consents that ended since are ended again. Where the restore
    lost leaves of the audit log that were signed, a new epoch of the log begins.
    """
    settings = Settings()
    with database(settings) as url:
        migrate(url)
        with open_pool(url, size=4) as pool:
            keystore = open_keys(settings, pool)
            done = import_keys(pool, keystore, read_export(keystore, file))
            print_sealed(seal_restored(pool, keystore))
    print(f"{done.people} people's keys brought back, {done.erased} people removed that were erased since")
    if done.consents:
        print(f"{done.consents} consents ended again that had ended since")
    if done.pictures:
        print(f"{done.pictures} pictures' tags taken back: whose they were died with the old epoch")
    print_restorations(done.logs)
