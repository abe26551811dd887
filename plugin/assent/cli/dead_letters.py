"""`assent dead-letters`: shows messages that were given up, and sends them again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.text import cell
from assent.core.clock import format_minute
from assent.core.settings import Settings
from assent.db.pool import open_pool, transaction
from assent.keys.installation import database
from assent.outbox import dead_letters

app = typer.Typer(no_args_is_help=True, help="Outgoing webhooks that were given up: list, redrive.")
Tenant = Annotated[str, typer.Option(help="Whose messages.")]


@app.command("list")
def list_dead(tenant: Tenant = "default") -> None:
    """Show the dead letters, oldest first, with their last error."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        rows = dead_letters.list_dead_letters(conn, tenant)
    table = Table("message", "endpoint", "type", "picture", "attempts", "since", "last error")
    for row in rows:
        since = format_minute(row["created_at"])
        cells = [str(row["id"]), row["endpoint"], row["type"], row["media_id"], str(row["attempts"]), since]
        table.add_row(*map(cell, cells), cell(row["last_error"] or ""))
    console = Console()
    console.print(table if rows else "No dead letters.")


@app.command()
def redrive(
    messages: Annotated[list[UUID] | None, typer.Argument(help="Which; all dead letters without any.")] = None,
    tenant: Tenant = "default",
) -> None:
    """Send dead letters again, from the first attempt of the schedule."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        again = dead_letters.redrive(conn, tenant, messages)
    print(f"{len(again)} messages queued again")
