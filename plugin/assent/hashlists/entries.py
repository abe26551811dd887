"""Reads a file of a hash list: CSV, or JSON as ThreatExchange has it. Reports line by line what cannot be read.

A PDQ hash and a SHA-256 are both 64 hex digits, so a file has to name the kind: in a column or field of its own,
in the name of the column, or the caller names it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from assent.core.errors import HashListInvalid
from assent.core.strict import load_strict

HashKind = Literal["pdq", "sha256"]
HASH_BYTES = 32
MAX_BROKEN = 10_000  # lines; a file with more is something else
MAX_LINE = 1 << 16  # characters
MAX_JSON = 256 << 20  # bytes of one JSON document, which is read whole; CSV and JSON lines are read line by line

_KINDS: dict[str, HashKind] = {
    "pdq": "pdq",
    "hash_pdq": "pdq",
    "sha256": "sha256",
    "sha-256": "sha256",
    "hash_sha256": "sha256",
}
_HASH_NAMES = ("hash", "indicator", "raw_indicator", "signal", "value")
_TYPE_NAMES = ("indicator_type", "signal_type", "hash_type", "type")


class Broken(NamedTuple):
    """One part of the file that is no hash: `line 7`, or `item 7` of a JSON array, and why. Its text is not kept."""

    position: str
    why: str


@dataclass(slots=True)
class Entries:
    """The hashes of a file, 32 bytes each, one after the other; a repeated one is kept twice."""

    pdq: bytearray = field(default_factory=bytearray, repr=False)
    sha256: bytearray = field(default_factory=bytearray, repr=False)
    broken: list[Broken] = field(default_factory=list)

    def add(self, position: str, text: object, kind: str | None, default: HashKind | None) -> None:
        """Adds one hash, or the reason why it is none; `kind` is the file's, `default` counts where it names none."""
        hash_kind = _KINDS.get(kind.strip().lower()) if kind else default
        digits = text.strip() if isinstance(text, str) else ""
        if kind and hash_kind is None:
            why = "its type is neither pdq nor sha256"
        elif hash_kind is None:
            why = "nothing says whether it is a pdq or a sha256"
        elif not digits:
            why = "no hash"
        else:
            why = _append(self.pdq if hash_kind == "pdq" else self.sha256, digits)
        if why:
            self.skip(position, why)

    def skip(self, position: str, why: str) -> None:
        """Records a part that is no hash. Raises HashListInvalid where MAX_BROKEN were skipped already."""
        if len(self.broken) == MAX_BROKEN:
            raise HashListInvalid(
                f"more than {MAX_BROKEN} lines hold no hash, {position} the last that was read: {why}"
            )
        self.broken.append(Broken(position, why))


def read_entries(path: Path, default: HashKind | None = None) -> Entries:
    """Reads all hashes of a file, with the lines that hold none.

    CSV: with a header that names a column `hash`, `indicator`, `signal` or `value` (and `type`), or columns `pdq` and
    `sha256`; without one the hash comes first and its type second. Further columns are not read. JSON: an array, an
    object with `data`, or an object a line, each with `indicator` and `type` or `indicator_type`.
    Raises HashListInvalid where the file cannot be read, holds not one hash or more than 10,000 broken lines.
    """
    entries = Entries()
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            begin = file.read(1024).lstrip()[:1]
            file.seek(0)
            if begin in ("{", "["):
                _read_json(path, file, entries, default)
            else:
                _read_csv(file, entries, default)
    except OSError as error:
        raise HashListInvalid(f"{path} cannot be read: {error.strerror}") from error
    if not entries.pdq and not entries.sha256:
        first = "; ".join(f"{position}: {why}" for position, why in entries.broken[:3])
        raise HashListInvalid(f"{path.name} holds no hash" + (f" ({first})" if first else ""))
    return entries


def _append(hashes: bytearray, digits: str) -> str:
    if len(digits) != 2 * HASH_BYTES:
        return f"{len(digits)} characters instead of {2 * HASH_BYTES} hex digits"
    try:
        read = bytes.fromhex(digits)
    except ValueError:
        return "not hex digits"
    if len(read) != HASH_BYTES:  # fromhex passes over spaces
        return "not hex digits"
    hashes += read
    return ""


class _Columns(NamedTuple):
    hashes: Sequence[tuple[int, HashKind | None]]  # each with the kind that its column's name says
    type: int | None


_HEADLESS = _Columns(((0, None),), 1)


def _read_csv(file: IO[str], entries: Entries, default: HashKind | None) -> None:
    # A row a line, so that a stray quotation mark breaks its own line and not all that follow.
    columns: _Columns | None = None
    for position, line in _lines(file, entries):
        try:
            row = next(csv.reader([line]), [])
        except csv.Error:
            entries.skip(position, "no line of a CSV file")
            continue
        if not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
            continue
        if columns is None:
            columns = _header(row) or _HEADLESS
            if columns is not _HEADLESS:
                continue
        _read_row(row, columns, position, entries, default)


def _lines(file: IO[str], entries: Entries) -> Iterator[tuple[str, str]]:
    """Yields each line with its position; skips the rest of one that is too long."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) < MAX_LINE or line.endswith("\n"):
            yield f"line {number}", line
            continue
        entries.skip(f"line {number}", "a line without end")
        while line and not line.endswith("\n"):
            line = file.readline(MAX_LINE)


def _header(row: Sequence[str]) -> _Columns | None:
    names = [cell.strip().lower() for cell in row]
    if any(len(name) == 2 * HASH_BYTES for name in names):
        return None
    hashes = [(n, _KINDS.get(name)) for n, name in enumerate(names) if name in _HASH_NAMES or name in _KINDS]
    return (
        _Columns(hashes, next((names.index(name) for name in _TYPE_NAMES if name in names), None)) if hashes else None
    )


def _read_row(row: Sequence[str], columns: _Columns, position: str, entries: Entries, default: HashKind | None) -> None:
    type_cell = row[columns.type] if columns.type is not None and columns.type < len(row) else None
    if columns is _HEADLESS and type_cell is not None and type_cell.strip().lower() not in _KINDS:
        type_cell = None if default else type_cell  # the second column may hold something else
    filled = [(n, kind) for n, kind in columns.hashes if n < len(row) and row[n].strip()]
    if not filled:
        entries.skip(position, "no hash")
    for n, kind in filled:
        entries.add(position, row[n], kind or type_cell, default)


def _read_json(path: Path, file: IO[str], entries: Entries, default: HashKind | None) -> None:
    items = _document(path)
    if items is not None:
        for number, item in enumerate(items, 1):
            _read_item(item, f"item {number}", entries, default)
        return
    for position, line in _lines(file, entries):
        if not line.strip():
            continue
        try:
            item = load_strict(line.encode())
        except (ValueError, RecursionError):
            entries.skip(position, "no JSON")
        else:
            _read_item(item, position, entries, default)


def _document(path: Path) -> list[Any] | None:
    """Returns the items of a file that is one JSON document; None where it is an object a line, or broken."""
    if path.stat().st_size > MAX_JSON:
        return None
    try:
        document = load_strict(path.read_text("utf-8-sig", errors="replace").encode())
    except (ValueError, RecursionError):
        return None
    if isinstance(document, dict):
        document = document.get("data", [document])
    return document if isinstance(document, list) else [document]


def _read_item(item: Any, position: str, entries: Entries, default: HashKind | None) -> None:
    if not isinstance(item, dict):
        entries.skip(position, "not an object with indicator and type")
        return
    if isinstance(item.get("indicator"), dict):  # a threat descriptor holds the indicator with its type
        item = item["indicator"]
    text = next((item[name] for name in _HASH_NAMES if name in item), None)
    kind = next((item[name] for name in _TYPE_NAMES if isinstance(item.get(name), str)), None)
    entries.add(position, text, kind, default)
