"""`assent actions` and `assent platform connect`: what is done at a platform itself, and with which credentials."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.context import tenant_transaction
from assent.cli.text import cell
from assent.core.clock import format_minute
from assent.core.settings import Settings
from assent.db.pool import open_pool, transaction
from assent.keys.installation import database
from assent.outbox import actions
from assent.outbox.connections import connect_platform, list_connections, switch_actions
from assent.platforms.calls import ActCredentials

app = typer.Typer(no_args_is_help=True, help="What is done at platforms themselves: list, status, on, off, retry.")
Tenant = Annotated[str, typer.Option(help="Whose.")]
SourceName = Annotated[str, typer.Argument(help="The source whose platform it is.")]


class State(StrEnum):
    intended = "intended"
    done = "done"
    failed = "failed"
    dry_run = "dry-run"
    undoing = "undoing"
    undone = "undone"
    cannot_undo = "cannot-undo"


@app.command("list")
def list_acts(
    state: Annotated[State | None, typer.Option(help="Of this state alone.")] = None,
    tenant: Tenant = "default",
    most: Annotated[int, typer.Option(min=1, max=10_000, help="So many at most, the newest first.")] = 100,
) -> None:
    """Show what was, or is to be, done at the platforms and the last answer; a table, or JSON lines when piped."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        rows = actions.list_actions(conn, tenant, state.value if state else None, most)
    console = Console()
    if not console.is_terminal:
        for row in rows:
            changed = {name: str(row[name]) for name in ("id", "created_at", "changed_at")}
            changed["last_answer"] = row.pop("last_error")
            print(json.dumps(row | changed))
        return
    table = Table("action", "source", "act", "state", "pictures", "attempts", "since", "last answer")
    for row in rows:
        cells = [str(row["id"]), row["source"], row["act"], row["state"], " ".join(row["media"]), str(row["attempts"])]
        table.add_row(*map(cell, cells), format_minute(row["created_at"]), cell(row["last_error"] or ""))
    console.print(table if rows else "No actions.")


@app.command()
def on(source: SourceName, tenant: Tenant = "default") -> None:
    """Act at the source's platform from now on; what ended as a dry run before stays one."""
    with tenant_transaction(tenant) as (conn, keys):
        switch_actions(conn, keys, source, on=True)
    print(f"Assent acts at the platform of {source}.")


@app.command()
def off(source: SourceName, tenant: Tenant = "default") -> None:
    """Call the source's platform no more, neither to act nor to undo."""
    with tenant_transaction(tenant) as (conn, keys):
        switch_actions(conn, keys, source, on=False)
    print(f"Assent does nothing at the platform of {source}.")


@app.command()
def retry(
    which: Annotated[list[UUID] | None, typer.Argument(help="Which; all that failed without any.")] = None,
    tenant: Tenant = "default",
) -> None:
    """Try failed actions again, from the first attempt of the schedule."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        again = actions.retry_actions(conn, tenant, which)
    print(f"{len(again)} actions are tried again")


@app.command()
def status(tenant: Tenant = "default") -> None:
    """Show each source, its platform, whether it is connected, and whether Assent acts there."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        rows = list_connections(conn, tenant)
    table = Table("source", "platform", "connected", "acting", "rests until")
    for row in rows:
        rests = format_minute(row["rests_until"]) if row["rests_until"] else ""
        table.add_row(
            row["source"], row["platform"], *("yes" if row[k] else "no" for k in ("connected", "acting")), rests
        )
    Console().print(table if rows else "No sources.")


def connect(
    source: SourceName,
    url: Annotated[str, typer.Option(help="The platform's address: https://social.example; for callbacks, in full.")],
    token_file: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="A file with the token, key or signing secret in it.")
    ],
    user: Annotated[str, typer.Option(help="Discourse: the account that the key acts as.")] = "",
    tenant: Tenant = "default",
) -> None:
    """Store where and with which token a source's platform is asked; `assent actions on` switches acting on."""
    credentials = ActCredentials(url.rstrip("/"), token_file.read_text("utf-8").strip(), user)
    with tenant_transaction(tenant) as (conn, keys):
        connect_platform(conn, keys, source, credentials)
    print(f"{source} is connected. What policies ask for is a dry run until: assent actions on {source}")
