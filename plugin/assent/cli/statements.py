"""`assent statements`: exports the statements for the EU's transparency database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from assent.core.errors import BadRequest
from assent.core.settings import Settings
from assent.db.pool import Conn, fetch, open_pool, transaction
from assent.db.queries import named_queries
from assent.decisions.statement import MAX_BATCH
from assent.keys.installation import database

app = typer.Typer(no_args_is_help=True, help="Statements of reasons (Digital Services Act): export.")
_Q = named_queries("policy")
_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the batches are written, statements-0001.json and so on.")],
    since: Annotated[datetime | None, typer.Option(help="Only of decisions from this UTC time on.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose.")] = "default",
) -> None:
    """Write statements in batches of at most 100, each the body of one call of the database's API.

    The same decision gets the same puid. The database refuses a whole batch (422) where it knows one of its statements:
    send again with --since, or without those that the answer names.
    """
    begin = (since or _BEGINNING).replace(tzinfo=UTC)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("statements-*.json")):
        raise BadRequest(f"{folder} holds statements already; choose another folder")
    count = files = 0
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        for files, batch in enumerate(_batches(conn, tenant, begin), 1):
            text = json.dumps({"statements": batch}, ensure_ascii=False, indent=1)
            (folder / f"statements-{files:04}.json").write_text(text + "\n", encoding="utf-8")
            count += len(batch)
    print(f"{count} statements in {files} files in {folder}")


def _batches(conn: Conn, tenant: str, since: datetime) -> Iterator[list[dict[str, Any]]]:
    after: dict[str, Any] = {"after_at": _BEGINNING, "after_puid": ""}
    while rows := fetch(conn, _Q["list_statements_after"], tenant=tenant, since=since, most=MAX_BATCH, **after):
        yield [row["body"] for row in rows]
        after = {"after_at": rows[-1]["at"], "after_puid": rows[-1]["puid"]}
