"""`assent hash-lists`: manages lists of known images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.context import tenant_transaction
from assent.core.clock import format_minute
from assent.core.display import visible
from assent.core.settings import Settings
from assent.db.pool import open_pool, transaction
from assent.hashlists import lists
from assent.hashlists.entries import Entries, read_entries
from assent.hashlists.search import DISTANCE, MOST_DISTANCE
from assent.keys.installation import database, open_keys

app = typer.Typer(no_args_is_help=True, help="Lists of known pictures: import, list, remove.")
Tenant = Annotated[str, typer.Option(help="Whose lists.")]


class Kind(StrEnum):
    pdq = "pdq"
    sha256 = "sha256"


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSON, as docs/known-pictures.md shows it.")],
    name: Annotated[str, typer.Option(help="The list's name: a-z, 0-9 and -.")],
    severe: Annotated[
        bool, typer.Option("--severe", help="Nobody is to see these: block, never kept, escalate.")
    ] = False,
    distance: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_DISTANCE, help=f"Bits of a PDQ hash that may differ; {DISTANCE} for a new list."),
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option("--type", help="What the hashes are where the file does not say.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The file is all that the list holds from now on.")
    ] = False,
    tenant: Tenant = "default",
) -> None:
    """Add a file's hashes to a list, or create it. Lines without a valid hash are named and skipped."""
    with Console(stderr=True).status(f"reading {file.name}"):
        entries = read_entries(file, kind.value if kind else None)
    _name_broken(entries)
    settings = Settings()
    with database(settings) as url, open_pool(url, size=1) as pool:
        keys = open_keys(settings, pool).tenant(tenant)
        with Console(stderr=True).status("storing"), transaction(pool) as conn:
            terms = lists.ListTerms(severe, distance)
            done = lists.import_hashes(conn, keys, name, entries, terms, replace=replace)
    mark = ", severe" if done.severe else ""
    print(f"{name}: {done.new} new; it holds {done.pdq} PDQ within {done.distance} bits, {done.sha256} SHA-256{mark}")
    if entries.broken:
        print(f"{len(entries.broken)} lines were skipped")


@app.command("list")
def list_(tenant: Tenant = "default") -> None:
    """Show each list, how much it holds and when it last changed."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        rows = lists.list_hash_lists(conn, tenant)
    table = Table("list", "PDQ", "bits", "SHA-256", "severe", "changed")
    for row in rows:
        figures = str(row["pdq"]), str(row["distance"]), str(row["sha256"])
        table.add_row(row["name"], *figures, "severe" if row["severe"] else "", format_minute(row["changed_at"]))
    Console().print(table if rows else "No lists.")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="As `list` shows it.")], tenant: Tenant = "default") -> None:
    """Remove a list with its hashes; workers stop looking for them within seconds."""
    with tenant_transaction(tenant) as (conn, keys):
        lists.remove_hash_list(conn, keys, name)
    print(f"{name} is removed")


def _name_broken(entries: Entries) -> None:
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    for line, why in entries.broken:
        console.print(visible(f"{line}: {why}"))
