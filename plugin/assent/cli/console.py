"""`assent console`: prints a link to set up an account, lists the accounts, says how a queue is treated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assent.audit.log import append
from assent.cli.context import operator, tenant_transaction
from assent.core.display import visible
from assent.core.files import restrict_output
from assent.core.settings import Settings
from assent.db.pool import execute
from assent.db.queries import named_queries
from assent.staff.accounts import list_staff
from assent.staff.roles import ROLES
from assent.staff.team import make_link, make_link_for

app = typer.Typer(no_args_is_help=True, help="The moderators' review console: accounts and queues.")
Tenant = Annotated[str, typer.Option(help="Whose console.")]


@app.command()
def link(
    role: Annotated[list[str], typer.Option(help=f"May be repeated: {', '.join(ROLES)}.")] = ["admin"],  # noqa: B006
    queue: Annotated[list[str] | None, typer.Option(help="May be repeated; all queues where it is left out.")] = None,
    name: Annotated[str, typer.Option(help="Proposed to whoever opens the link.")] = "",
    account: Annotated[UUID | None, typer.Option(help="An account that stands, and lost its way to sign in.")] = None,
    tenant: Tenant = "default",
) -> None:
    """Print a link, once, that sets up an account with these roles; it works once, for 15 minutes."""
    restrict_output()
    with tenant_transaction(tenant) as (conn, keys):
        if account is None:
            token = make_link(conn, keys, operator(), role, queue or None, name)
        else:
            token = make_link_for(conn, keys, operator(), account)
    settings = Settings()
    print(f"{settings.console_origin or f'http://localhost:{settings.port}'}/console/set-up/{token}")


@app.command()
def accounts(tenant: Tenant = "default") -> None:
    """Show every account with its roles and queues."""
    with tenant_transaction(tenant) as (conn, keys):
        found = list_staff(conn, keys)
    table = Table("account", "name", "roles", "queues", "")
    for staff in found:
        queues = "all" if staff.queues is None else " ".join(staff.queues)
        closed = "disabled" if staff.disabled else ""
        table.add_row(staff.by, escape(visible(staff.name)), " ".join(staff.roles), escape(queues), closed)
    Console().print(table if found else "No accounts; `assent console link` prints a link for the first.")


@app.command()
def queue(
    name: Annotated[str, typer.Argument(help="As policies name it.")],
    due: Annotated[int, typer.Option(min=1, help="Minutes within which a case is to be decided.")],
    grave: Annotated[bool, typer.Option("--grave/--ordinary", help="Seen in full only after a sign-in anew.")] = False,
    tenant: Tenant = "default",
) -> None:
    """Say how the console treats a queue."""
    with tenant_transaction(tenant) as (conn, keys):
        execute(conn, named_queries("staff")["upsert_queue"], tenant=tenant, name=name, due=due, grave=grave)
        leaf = {"queue": name, "due_minutes": due, "grave": grave}
        append(conn, keys, "queue.changed", leaf, [], datetime.now(UTC))
    print(f"{name}: due within {due} minutes, {'grave' if grave else 'ordinary'}")
