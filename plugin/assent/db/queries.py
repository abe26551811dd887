"""Loads named SQL: one file a module in `db/queries/`, each statement below a line `-- name: what_it_answers`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

from psycopg import sql

_FOLDER = Path(__file__).with_name("queries")


@cache
def named_queries(room: str) -> dict[str, sql.SQL]:
    """Returns the statements of `queries/<room>.sql` by name, with psycopg's `%(name)s` parameters."""
    parts = re.split(r"^-- name: (\w+)\n", (_FOLDER / f"{room}.sql").read_text(), flags=re.MULTILINE)
    # The text comes from this package, never from outside, which is what LiteralString asks for.
    return {name: sql.SQL(cast(LiteralString, text)) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
