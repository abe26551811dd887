"""`assent learn`: exports corrections, and tries heads in shadow, promotes them and rolls them back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from assent.cli.context import opened_tenant
from assent.cli.learning import need_learn
from assent.core.clock import format_minute
from assent.db.pool import transaction
from assent.shadow import traffic

app = typer.Typer(no_args_is_help=True, help="Feedback: export corrections; try heads in shadow, promote, roll back.")
shadow = typer.Typer(no_args_is_help=True, help="A head beside the live ones: start, compare, stop.")
app.add_typer(shadow, name="shadow")
Tenant = Annotated[str, typer.Option(help="Whose.")]
Name = Annotated[str, typer.Argument(help="The head's name.")]
BY = "cli"


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    below: Annotated[str | None, typer.Option(help="Only labels of this group, such as product.clothing.")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="The kept copies too, every face hidden; logged.")
    ] = False,
    tenant: Tenant = "default",
) -> None:
    """Write moderators' corrections as CSV, and the number of refusals ("not me") as counts."""
    from assent.learn import feedback

    with opened_tenant(tenant) as (pool, keys), _progress() as tell:
        done = feedback.export_corrections(pool, keys, folder, below, pictures, tell)
    print(f"{done.corrections} corrections of {done.images} pictures written to {folder}")
    if pictures:
        print(f"{done.copies} of them still had a copy: assent train --labels {folder / feedback.LABELS_FILE}")


@app.command("list")
def list_heads(tenant: Tenant = "default") -> None:
    """Show every head that was tried, and which runs in shadow or live."""
    from assent.shadow import heads as trial

    with opened_tenant(tenant) as (pool, _), transaction(pool) as conn:
        rows = trial.heads(conn, tenant)
    table = Table("head", "state", "since", "sha256")
    for row in rows:
        table.add_row(row["name"], row["state"], format_minute(row["since"]), row["sha256"][:12])
    Console().print(table if rows else "No head was tried yet.")


@shadow.command()
def start(
    head: Annotated[Path, typer.Argument(help="Its TOML file, with the ONNX file beside it.")],
    tenant: Tenant = "default",
) -> None:
    """Run a head beside the live ones: its tags are counted and reach no decision."""
    from assent.shadow import heads as trial

    with opened_tenant(tenant) as (pool, keys), transaction(pool) as conn:
        stored = trial.try_out(conn, keys, BY, head)
    print(f"{stored.file.name} ({stored.sha256[:12]}) is on trial; see: assent learn shadow compare {stored.file.name}")


@shadow.command()
def compare(
    name: Name,
    csv: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a plot here; needs the extra `learn`.")] = None,
    tenant: Tenant = "default",
    as_json: Annotated[bool, typer.Option("--json", help="JSON, as when piped.")] = False,
) -> None:
    """Show the tags of a head on trial beside those of the live ones, and how often each agreed with moderators."""
    from assent.shadow import heads as trial

    with opened_tenant(tenant) as (pool, _), transaction(pool) as conn:
        comparison = traffic.compare_heads(conn, tenant, trial.on_trial(conn, tenant, name))
    if csv is not None:
        traffic.write_csv(comparison, csv)
    if svg is not None:
        need_learn()
        traffic.write_svg(comparison, svg, name)
    if as_json or not sys.stdout.isatty():
        print(json.dumps(comparison.document()))
    else:
        Console().print(_table(name, comparison))


@shadow.command()
def stop(name: Name, tenant: Tenant = "default") -> None:
    """End a trial without promoting."""
    from assent.shadow import heads as trial

    with opened_tenant(tenant) as (pool, keys), transaction(pool) as conn:
        compared = trial.stop_trial(conn, keys, BY, name)
    print(f"the trial of {name} ended after {compared.pictures} pictures")


@app.command()
def promote(
    name: Name,
    anyway: Annotated[
        str | None, typer.Option(help="Why fewer pictures than are needed are enough; for the log.")
    ] = None,
    tenant: Tenant = "default",
) -> None:
    """Make the head on trial the live one; workers load it within seconds. Its evaluation goes into the log."""
    from assent.shadow import heads as trial

    with opened_tenant(tenant) as (pool, keys), transaction(pool) as conn:
        compared = trial.promote(conn, keys, BY, name, anyway)
    print(f"{name} is live, after {compared.pictures} pictures in shadow")


@app.command()
def rollback(name: Name, tenant: Tenant = "default") -> None:
    """Take the live head out and put back the one before it."""
    from assent.shadow import heads as trial

    with opened_tenant(tenant) as (pool, keys), transaction(pool) as conn:
        before = trial.roll_back_head(conn, keys, BY, name)
    print(f"{name} is rolled back to {before[:12] if before else 'what is shipped'}")


def _table(name: str, comparison: traffic.Comparison) -> Table:
    title = f"{name}: {comparison.pictures} pictures" + (
        f" since {format_minute(comparison.since)}" if comparison.since else ""
    )
    table = Table(title=title, title_justify="left")
    for column in ("label", "both", "only live", "only candidate", "judged", "live right", "candidate right"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label in comparison.labels:
        counts = (
            label.both,
            label.only_live,
            label.only_candidate,
            label.corrected,
            label.live_right,
            label.candidate_right,
        )
        table.add_row(label.label, *map(str, counts))
    return table


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("pictures", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
