"""`assent search`: finds media items by label, action, time and likeness."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.context import tenant_transaction
from assent.cli.text import cell
from assent.core.clock import format_minute, parse_rfc3339
from assent.core.display import visible, visible_json
from assent.decisions.search import MOST, Found, Search, search_media

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Action(StrEnum):
    allow = "allow"
    label = "label"
    limit = "limit"
    review = "review"
    block = "block"


def search(
    label: Annotated[
        list[str] | None, typer.Option(help="A label, or a group of labels; may be repeated: all of them.")
    ] = None,
    action: Annotated[Action | None, typer.Option(help="What was decided.")] = None,
    since: Annotated[str | None, typer.Option(help="Decided from then on: a time, or 30m, 12h, 7d, 2w ago.")] = None,
    until: Annotated[str | None, typer.Option(help="Decided before then.")] = None,
    pdq: Annotated[str | None, typer.Option(help="Within 31 bits of this PDQ hash: 64 hex digits.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on behind a page: the cursor that it ended with.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose pictures.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="JSON, as when piped.")] = False,
) -> None:
    """Find pictures by what their newest decisions say, the newest first; with --pdq the nearest.

    Nobody is found by a face or a name. Piped: one JSON object a line.
    """
    if pdq is not None and not re.fullmatch("[0-9a-f]{64}", pdq):
        raise typer.BadParameter("64 hex digits, in lower case", param_hint="--pdq")
    times = _time("--since", since), _time("--until", until)
    asked = Search(tuple(label or ()), action.value if action else None, *times, pdq)
    with tenant_transaction(tenant) as (conn, keys):
        found = search_media(conn, keys, asked, limit, cursor)
        while found.next and len(found.media) < limit:
            more = search_media(conn, keys, asked, limit - len(found.media), found.next)
            found = more._replace(media=found.media + more.media)
    if as_json or not sys.stdout.isatty():
        for media in found.media:
            print(visible_json(media))
    else:
        Console().print(_table(found) if found.media else "No pictures.")
    if found.next:
        print(f"More: --cursor {visible(found.next)}", file=sys.stderr)
    if not found.complete:
        print("Decisions from before the upgrade are still being added: run this again later.", file=sys.stderr)


def _table(found: Found) -> Table:
    table = Table("picture", "action", "tags", "decided", "distance")
    for media in found.media:
        decided = format_minute(parse_rfc3339(media["decided_at"]))
        cells = (media["action"], ", ".join(media["tags"]), decided, str(media.get("distance", "")))
        table.add_row(cell(media["media"]), *map(cell, cells))
    return table


def _time(option: str, text: str | None) -> datetime | None:
    """Reads a time (UTC where it has no offset), or how long ago it was."""
    if text is None:
        return None
    try:
        if ago := re.fullmatch(r"(\d{1,5})([mhdw])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = parse_rfc3339(text)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text}: neither a time nor 30m, 12h, 7d, 2w", param_hint=option) from None
