"""`assent platform`: the sources of platforms' webhooks, and a check of a running server with samples of them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from assent.cli.actions import connect
from assent.cli.conformance import Check, check_server
from assent.cli.context import tenant_transaction
from assent.core.errors import NotFound
from assent.core.files import restrict_output
from assent.core.values import Visibility
from assent.intake.sources import open_source_settings
from assent.platforms.delivery import SourceSettings
from assent.tenants import add_source, change_source, list_sources, rotate_secret

app = typer.Typer(no_args_is_help=True, help="Webhooks of platforms: add a source, set it, connect it, check a server.")
app.command()(connect)
Tenant = Annotated[str, typer.Option(help="Whose.")]
Name = Annotated[str, typer.Argument(help="The source's name, part of the webhook's address.")]
SecretFile = Annotated[
    typer.FileText | None,
    typer.Option(help="A file with the secret that the platform made; - reads it from the input."),
]
PASSED = "✓"


class Platform(StrEnum):
    standard = "standard"
    mastodon = "mastodon"
    discourse = "discourse"


class Seen(StrEnum):
    public = "public"
    unlisted = "unlisted"
    followers = "followers"
    direct = "direct"


@app.command()
def add(
    name: Name,
    platform: Annotated[Platform, typer.Option(help="What sends there.")],
    url: Annotated[str, typer.Option(help="The platform's own address, as https://social.example.")] = "",
    secret_file: SecretFile = None,
    tenant: Tenant = "default",
) -> None:
    """Add a source, and show the secret that the platform signs with, unless the platform made it."""
    restrict_output()
    given = secret_file.read().strip() if secret_file else None
    with tenant_transaction(tenant) as (conn, keys):
        secret = add_source(conn, keys, name, platform.value, SourceSettings(url.rstrip("/")), given)
    print(f"Webhooks go to /v1/webhooks/{name}")
    if given is None:
        print(f"signed with {secret}")


@app.command("list")
def list_(tenant: Tenant = "default") -> None:
    """Show each source, its platform, and what of it is looked at."""
    with tenant_transaction(tenant) as (conn, keys):
        rows = list_sources(conn, tenant)
        opened = [open_source_settings(keys, row) for row in rows]
    address, hosts = (Column(name, overflow="fold") for name in ("address", "its file hosts"))
    table = Table("source", "platform", address, "visibility", "link cards", hosts)
    for row, settings in zip(rows, opened, strict=True):
        cards = "yes" if settings.link_cards else "no"
        cells = (row["name"], row["adapter"], settings.url, " ".join(settings.visibilities), cards)
        table.add_row(*map(escape, cells), escape(" ".join(settings.file_hosts)))
    Console().print(table if rows else "No sources.")


@app.command("set")
def set_(
    name: Name,
    url: Annotated[str | None, typer.Option(help="The platform's own address.")] = None,
    visibility: Annotated[list[Seen] | None, typer.Option(help="Which posts are looked at; once for each.")] = None,
    link_cards: Annotated[bool | None, typer.Option(help="Whether images of link previews are looked at.")] = None,
    file_host: Annotated[
        list[str] | None, typer.Option(help="Another host that serves the platform's own files; once for each.")
    ] = None,
    tenant: Tenant = "default",
) -> None:
    """Change what a source sets; what is not named stays."""
    with tenant_transaction(tenant) as (conn, keys):
        row = next((row for row in list_sources(conn, tenant) if row["name"] == name), None)
        if row is None:
            raise NotFound(f"tenant {tenant} has no source {name}")
        now = open_source_settings(keys, row)
        changed = SourceSettings(
            url=now.url if url is None else url.rstrip("/"),
            visibilities=cast(tuple[Visibility, ...], tuple(map(str, visibility or now.visibilities))),
            link_cards=now.link_cards if link_cards is None else link_cards,
            file_hosts=now.file_hosts if file_host is None else tuple(filter(None, file_host)),
        )
        change_source(conn, keys, name, changed)
    print(f"{name} is set")


@app.command()
def secret(
    name: Name,
    secret_file: Annotated[
        typer.FileText, typer.Option(help="A file with the platform's new secret; - reads it from the input.")
    ],
    overlap_hours: Annotated[float, typer.Option(min=0, max=720, help="The old secret lives on that long.")] = 72,
    tenant: Tenant = "default",
) -> None:
    """Take over a secret that the platform made. Mastodon repeats for two days what it signed with the old one."""
    with tenant_transaction(tenant) as (conn, keys):
        given = secret_file.read().strip()
        rotate_secret(conn, keys, "source", name, timedelta(hours=overlap_hours), given)
    print(f"{name} accepts the new secret")


@app.command()
def check(
    platform: Annotated[Platform, typer.Argument(help="Whose samples are sent.")],
    url: Annotated[str, typer.Option(help="The webhook's whole address, as http://127.0.0.1:8400/v1/webhooks/NAME.")],
    secret: Annotated[str, typer.Option(prompt=True, hide_input=True, help="The source's secret.")],
) -> None:
    """Send samples of a platform to a running server, well and badly, and show its answers.

    The source has usual settings. What it accepts is looked at, though the images do not exist: use an installation
    made for this.
    """
    checks = list(check_server(platform.value, url, secret))
    Console().print(_as_table(checks))
    failed = [one for one in checks if not one.passed]
    print(f"{len(checks) - len(failed)} of {len(checks)} as expected")
    for one in failed:
        print(f"{one.sample}, {one.sent}: expected {one.expected}, answered {one.answered}")
    if failed:
        raise typer.Exit(1)


def _as_table(checks: list[Check]) -> Table:
    ways = list(dict.fromkeys(one.sent for one in checks))
    cells = {(one.sample, one.sent): PASSED if one.passed else one.answered for one in checks}
    table = Table(Column("sample", no_wrap=True), *ways)
    for sample in dict.fromkeys(one.sample for one in checks):
        table.add_row(sample, *(escape(cells.get((sample, way), "")) for way in ways))
    return table
