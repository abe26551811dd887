"""`assent review`: shows and decides review cases from the command line."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.context import Source, tenant_transaction
from assent.cli.text import cell
from assent.core.clock import format_minute
from assent.core.display import visible_json
from assent.decisions.media_items import find_item
from assent.review import cases
from assent.review.decide import Final, ReviewInput
from assent.review.decide import correct as correct_media
from assent.review.decide import decide_case as decide_case

app = typer.Typer(no_args_is_help=True, help="Pictures that wait for a moderator: list, show, decide, correct.")
BY = "cli"  # who did it, where no API key says so


class Action(StrEnum):
    allow = "allow"
    label = "label"
    limit = "limit"
    block = "block"


Tenant = Annotated[str, typer.Option(help="Whose pictures.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, as when piped.")]
Add = Annotated[list[str] | None, typer.Option("--add", help="A label that holds; may be repeated.")]
Remove = Annotated[list[str] | None, typer.Option("--remove", help="A label that does not; may be repeated.")]
Note = Annotated[str | None, typer.Option(help="For the audit log, sealed.")]


@app.command("list")
def list_open(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on behind this case.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only this queue of the policy's.")] = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Show open cases: those on a list marked severe first, then by priority and age. Piped: one JSON object a line."""
    with tenant_transaction(tenant) as (conn, _):
        open_cases = cases.open_cases(conn, tenant, limit, after, queue)
    if as_json or not sys.stdout.isatty():
        for case in open_cases:
            print(visible_json(case.document()))
        return
    table = Table("case", "picture", "reason", "queue", "priority", "waits since", "claimed by")
    for case in open_cases:
        since = format_minute(case.opened_at)
        cells = (case.reason, case.queue, str(case.priority), since, case.claimed_by or "")
        table.add_row(str(case.id), cell(case.media_id), *map(cell, cells))
    Console().print(table if open_cases else "No open cases.")


@app.command()
def show(
    case: Annotated[UUID, typer.Argument(help="As `list` shows it.")],
    picture: Annotated[
        Path | None, typer.Option(help="Write its picture here (JPEG); faces without consent are hidden.")
    ] = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Show a case: why it waits, and the tags of its image."""
    with tenant_transaction(tenant) as (conn, keys):
        document = cases.show_case(conn, keys, case)
        if picture is not None:
            _write(picture, cases.picture_of(conn, keys, case))
    _print(document, as_json, _case_table)


@app.command()
def decide(
    case: Annotated[UUID, typer.Argument(help="As `list` shows it.")],
    action: Annotated[Action, typer.Option(help="What is to be done with the picture.")],
    add: Add = None,
    remove: Remove = None,
    note: Note = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Close a case: the platform gets the decision's next revision as `media.reviewed`."""
    decision = ReviewInput(_final(action), tuple(add or ()), tuple(remove or ()), note)
    with tenant_transaction(tenant) as (conn, keys):
        done = decide_case(conn, keys, BY, case, decision)
    _print(done, as_json, _done_table)


@app.command()
def correct(
    media: Annotated[str, typer.Argument(help="The platform's id of the picture.")],
    add: Add = None,
    remove: Remove = None,
    action: Annotated[Action | None, typer.Option(help="What is to be done now; else the action stays.")] = None,
    note: Note = None,
    source: Source = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
) -> None:
    """Correct the labels of a media item without an open case."""
    correction = ReviewInput(_final(action), tuple(add or ()), tuple(remove or ()), note)
    with tenant_transaction(tenant) as (conn, keys):
        done = correct_media(conn, keys, BY, find_item(conn, tenant, media, source), correction)
    _print(done, as_json, _done_table)


def _final(action: Action | None) -> Final | None:
    return action.value if action else None


def _write(path: Path, jpeg: bytes) -> None:
    try:
        path.write_bytes(jpeg)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _print(document: dict[str, Any], as_json: bool, table: Any) -> None:
    if as_json or not sys.stdout.isatty():
        print(visible_json(document))
    else:
        Console().print(table(document))


def _grid(title: str) -> Table:
    table = Table(title=cell(title), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", min_width=8)
    table.add_column()
    return table


def _case_table(case: dict[str, Any]) -> Table:
    table = _grid(case["media"])
    table.add_row("reason", cell(case["reason"]))
    table.add_row("since", case["opened_at"])
    if case["closed_at"]:
        table.add_row("closed", f"{case['closed_at']} {case['closed_by'] or ''} {case['outcome'] or ''}")
    decision = case["decision"] or {"tags": [], "faces": [], "rules": [], "action": "none: no picture could be read"}
    for tag in decision["tags"]:
        table.add_row("tag", f"{tag['name']}  {tag['score']:.2f}  {tag['box'] or ''}")
    table.add_row("faces", str(len(decision["faces"])))
    for rule in decision["rules"]:
        table.add_row("rule", cell(f"{rule['id']}: {rule['because']}"))
    table.add_row("action", f"[bold]{decision['action']}[/]")
    return table


def _done_table(document: dict[str, Any]) -> Table:
    table = _grid(document["media"])
    for name in ("action", "revision", "leaf"):
        table.add_row(name, str(document[name]))
    return table
