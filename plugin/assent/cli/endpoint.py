"""`assent endpoint` and `assent secret`: manage the endpoints that decisions go to, and the signing secrets."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent.audit.authority import open_installation
from assent.cli.context import tenant_transaction
from assent.core.clock import format_minute
from assent.core.files import restrict_output
from assent.core.settings import Settings
from assent.db.pool import open_pool, transaction
from assent.keys.installation import database
from assent.outbox import endpoints
from assent.tenants import add_endpoint, rotate_secret

app = typer.Typer(no_args_is_help=True, help="Where messages go: list, add, enable.")
secret = typer.Typer(no_args_is_help=True, help="Signing secrets: rotate.")
Tenant = Annotated[str, typer.Option(help="Whose.")]


class Audience(StrEnum):
    platform = "platform"
    author = "author"
    person = "person"
    public = "public"


class Owner(StrEnum):
    source = "source"
    endpoint = "endpoint"


@app.command("list")
def list_endpoints(tenant: Tenant = "default") -> None:
    """Show each endpoint, how many messages wait for it, and whether it fails, rests or is disabled."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        rows = endpoints.list_endpoints(conn, tenant)
    table = Table("endpoint", "audience", "waiting", "failing since", "rests until", "disabled", "because")
    for row in rows:
        times = [_minute(row[name]) for name in ("failing_since", "rests_until", "disabled_at")]
        table.add_row(row["name"], row["audience"], str(row["waiting"]), *times, row["disabled_because"] or "")
    Console().print(table if rows else "No endpoints.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="1 to 63 of a-z, 0-9 and -.")],
    url: Annotated[str, typer.Argument(help="Where messages are posted.")],
    audience: Annotated[
        Audience,
        typer.Option(
            help="platform: decisions; person: what the people recognised are asked, nothing else; author and public: "
            "what these may know, where a rule of the policy notifies them."
        ),
    ] = Audience.platform,
    tenant: Tenant = "default",
) -> None:
    """Add an endpoint that messages are sent to, and show its signing secret once."""
    restrict_output()
    with tenant_transaction(tenant) as (conn, keys):
        print(add_endpoint(conn, keys, name, url, audience.value))


@app.command()
def enable(name: Annotated[str, typer.Argument(help="As `list` shows it.")], tenant: Tenant = "default") -> None:
    """Send to a disabled or resting endpoint again; `assent dead-letters redrive` sends its dead letters again."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        endpoints.enable_endpoint(conn, tenant, name)
    print(f"{name} is enabled")


@secret.command()
def rotate(
    owner: Annotated[Owner, typer.Argument(help="What the secret belongs to.")],
    name: Annotated[str, typer.Argument(help="The name of the source or endpoint.")],
    tenant: Tenant = "default",
    overlap_hours: Annotated[float, typer.Option(min=0, max=720, help="The old secret lives on that long.")] = 24,
) -> None:
    """Make a new secret and show it once. Until the old one ends, both sign and both are accepted."""
    restrict_output()
    settings = Settings()
    with database(settings) as url, open_pool(url, size=1) as pool:
        keys = open_installation(settings, pool).tenant(tenant)
        with transaction(pool) as conn:
            print(rotate_secret(conn, keys, owner.value, name, timedelta(hours=overlap_hours)))


def _minute(time: datetime | None) -> str:
    return format_minute(time) if time else ""
