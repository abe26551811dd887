"""Reads labelled images: a folder for each class, or a CSV file with the columns `path` and `label`.

An image that cannot be used is listed with the reason and left out, so that one bad file costs one image.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from assent.core.errors import DatasetUnusable
from assent.media.files import SUFFIXES, pictures_below

MAX_EXAMPLES = 1_000_000


class Example(NamedTuple):
    """One image, the class its owner gave it, and the other columns of its row."""

    path: Path
    label: str
    columns: Mapping[str, str] = MappingProxyType({})


class Skipped(NamedTuple):
    what: str
    why: str


class Dataset(NamedTuple):
    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({example.label for example in self.examples}))


def read_dataset(source: Path) -> Dataset:
    """Reads the examples of a folder of class folders or of a CSV file (paths relative to it), in a fixed order.

    An image named under two classes is left out under both. Raises DatasetUnusable when the source is neither, when
    the CSV has no such columns, or when nothing is left."""
    if source.is_dir():
        found = list(_folders(source))
    elif source.is_file():
        found = list(_rows(source))
    else:
        raise DatasetUnusable(f"{source} is neither a folder nor a CSV file")
    if len(found) > MAX_EXAMPLES:
        raise DatasetUnusable(f"{source} has more than {MAX_EXAMPLES} pictures")
    examples = [one for one in found if isinstance(one, Example)]
    skipped = [one for one in found if isinstance(one, Skipped)]
    labels = defaultdict(set)
    for example in examples:
        labels[example.path].add(example.label)
    kept = {one.path: one for one in examples if len(labels[one.path]) == 1}
    skipped += [
        Skipped(str(path), f"two classes: {', '.join(sorted(names))}")
        for path, names in labels.items()
        if len(names) > 1
    ]
    if not kept:
        raise DatasetUnusable(f"{source} holds no labelled picture")
    return Dataset(tuple(kept.values()), tuple(skipped))


def _folders(source: Path) -> Iterator[Example | Skipped]:
    for path in sorted(source.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        inside = path.relative_to(source).parts
        if path.suffix.lower() not in SUFFIXES:
            yield Skipped(str(path), "no picture, by its name")
        elif len(inside) == 1:
            yield Skipped(str(path), "in no class folder")
        else:
            yield Example(path, inside[0])


def _rows(source: Path) -> Iterator[Example | Skipped]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"path", "label"} <= set(rows.fieldnames or ()):
                raise DatasetUnusable(f"{source.name} needs a first line with the columns path and label")
            for row in rows:
                yield _row(source, rows.line_num, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetUnusable(f"{source.name} cannot be read as CSV: {error}") from error


def _row(source: Path, line: int, row: dict[str | None, str | None]) -> Example | Skipped:
    name, label = (row.get("path") or "").strip(), (row.get("label") or "").strip()
    if not name or not label or None in row:
        return Skipped(
            f"{source.name}:{line}", "a row needs a path and a label, and no more fields than the first line"
        )
    path = source.parent / name
    if not path.is_file():
        return Skipped(f"{source.name}:{line}", f"{name} is no file")
    columns = {key: (value or "").strip() for key, value in row.items() if key and key not in ("path", "label")}
    return Example(path, label, MappingProxyType(columns))


def negatives(folder: Path, label: str) -> Iterator[Example]:
    """Yields all images below a folder as examples of one class, whatever their own folders are called."""
    return (Example(path, label) for path in pictures_below(folder))


def fingerprint(labelled: Iterable[tuple[str, str]]) -> str:
    """Returns the sha256 of a set of labelled images, whatever their names and order.

    It is taken over the sorted lines `<sha256 of the file> <label>`, one for each (sha256, label)."""
    return sha256("".join(sorted(f"{digest} {label}\n" for digest, label in labelled)).encode()).hexdigest()


def word(name: str) -> str:
    """Turns a class's name into the last word of a label: lower-case letters and digits (`T-shirt` → `tshirt`)."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
