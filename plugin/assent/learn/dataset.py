"""Reads labelled images: a folder for each class, or a CSV file with the columns `path` and `label`.

An image that cannot be used is listed with the reason and left out, so that one bad file costs one image.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from assent.core.errors import DatasetUnusable
from assent.media.files import SUFFIXES, images_below

MAX_EXAMPLES = 1_000_000


class Example(NamedTuple):
    """One image, the class its owner gave it, and the other columns of its row."""

    path: Path
    label: str
    columns: Mapping[str, str] = MappingProxyType({})


class Skipped(NamedTuple):
    """A file, row or class that was left out, and the reason."""

    item: str
    reason: str


class Dataset(NamedTuple):
    """The labelled images of one source, and what was left out of it."""

    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Returns the names of all classes, sorted."""
        return tuple(sorted({example.label for example in self.examples}))


def read_dataset(source: Path) -> Dataset:
    """Reads the examples of a folder of class folders or of a CSV file (paths relative to it), in a fixed order.

    An image named under two classes is left out under both. Raises DatasetUnusable when the source is neither, when
    the CSV has no such columns, or when nothing is left."""
    rows = _read_rows(source)
    if len(rows) > MAX_EXAMPLES:
        raise DatasetUnusable(f"{source} has more than {MAX_EXAMPLES} pictures")
    examples = [row for row in rows if isinstance(row, Example)]
    skipped = [row for row in rows if isinstance(row, Skipped)]
    classes = defaultdict(set)
    for example in examples:
        classes[example.path].add(example.label)
    usable = {example.path: example for example in examples if len(classes[example.path]) == 1}
    skipped += [
        Skipped(str(path), f"two classes: {', '.join(sorted(names))}")
        for path, names in classes.items()
        if len(names) > 1
    ]
    if not usable:
        raise DatasetUnusable(f"{source} holds no labelled picture")
    return Dataset(tuple(usable.values()), tuple(skipped))


def _read_rows(source: Path) -> list[Example | Skipped]:
    if source.is_dir():
        return list(_folder_rows(source))
    if source.is_file():
        return list(_csv_rows(source))
    raise DatasetUnusable(f"{source} is neither a folder nor a CSV file")


def _folder_rows(source: Path) -> Iterator[Example | Skipped]:
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


def _csv_rows(source: Path) -> Iterator[Example | Skipped]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"path", "label"} <= set(rows.fieldnames or ()):
                raise DatasetUnusable(f"{source.name} needs a first line with the columns path and label")
            for row in rows:
                yield _csv_row(source, rows.line_num, row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetUnusable(f"{source.name} cannot be read as CSV: {error}") from error


def _csv_row(source: Path, line: int, row: dict[str | None, str | None]) -> Example | Skipped:
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


def negatives(folders: Iterable[Path], label: str) -> list[Example]:
    """Returns all images below the folders as examples of one class, whatever their own folders are called."""
    return [Example(path, label) for folder in folders for path in images_below(folder)]


def fingerprint(labelled: Iterable[tuple[str, str]]) -> str:
    """Returns the sha256 of a set of labelled images, whatever their names and order.

    It is taken over the sorted lines `<sha256 of the file> <label>`, one for each (sha256, label)."""
    return sha256("".join(sorted(f"{digest} {label}\n" for digest, label in labelled)).encode()).hexdigest()


def label_word(name: str) -> str:
    """Turns a class's name into the last word of a label: lower-case letters and digits (`T-shirt` → `tshirt`)."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def write_skipped(skipped: Sequence[Skipped], path: Path) -> None:
    """Writes what was left out, one a line; writes no file where that is nothing."""
    path.unlink(missing_ok=True)
    if not skipped:
        return
    path.write_text("".join(f"{each.item}\t{each.reason}\n" for each in skipped), "utf-8")
