"""`assent api-key`: makes, lists and revokes API keys with their scopes.

A moderator has a key of their own, and the log records whose key was used.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent.audit.log import append
from assent.cli.context import tenant_transaction
from assent.core.clock import format_minute
from assent.core.errors import BadRequest
from assent.core.files import restrict_output
from assent.core.settings import Settings
from assent.db.pool import fetch, open_pool, transaction
from assent.db.queries import named_queries
from assent.http.api_keys import SCOPES, create_key, revoke_key
from assent.keys.installation import database

app = typer.Typer(no_args_is_help=True, help="Keys of the API: add, list, revoke.")
Tenant = Annotated[str, typer.Option(help="Whose API.")]
_Q = named_queries("instance")


@app.command()
def add(
    scope: Annotated[list[str], typer.Option("--scope", help=f"May be repeated: {', '.join(SCOPES)}.")],
    tenant: Tenant = "default",
) -> None:
    """Make a key with these scopes, and show it once."""
    restrict_output()
    if unknown := set(scope) - set(SCOPES):
        raise BadRequest(f"{min(unknown)!r} is no scope; there are {', '.join(SCOPES)}")
    scopes = tuple(dict.fromkeys(scope))
    with tenant_transaction(tenant) as (conn, keys):
        key = create_key(conn, keys, scopes)
        payload = {"key": key.split("_")[2], "scopes": sorted(scopes)}
        append(conn, keys, "api-key.added", payload, [], datetime.now(UTC))
    print(key)


@app.command("list")
def list_keys(tenant: Tenant = "default") -> None:
    """Show each key's id and scopes; the keys themselves are not stored."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        rows = fetch(conn, _Q["list_api_keys"], tenant=tenant)
    table = Table("key", "scopes", "since", "revoked")
    for row in rows:
        since, revoked = (format_minute(at) if at else "" for at in (row["created_at"], row["revoked_at"]))
        table.add_row(row["id"], " ".join(row["scopes"]), since, revoked)
    Console().print(table if rows else "No keys.")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, as `list` shows it.")],
    tenant: Tenant = "default",
) -> None:
    """Revoke a key: from now on it is refused."""
    with tenant_transaction(tenant) as (conn, keys):
        revoke_key(conn, keys, key)
        append(conn, keys, "api-key.revoked", {"key": key}, [], datetime.now(UTC))
    print(f"{key} is revoked")
