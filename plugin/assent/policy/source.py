"""Parses a policy file as YAML that can be read in one way only, and notes the position of every value.

It reads mappings, sequences and scalars of YAML 1.2's core schema (`no` is a word, not false). It refuses, with the
position, anchors and aliases (so no file grows when it is read), tags, a name twice in a mapping, tabs, a byte order
mark, and what is not UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from assent.core.errors import PolicyInvalid

MAX_POLICY_BYTES = 256 * 1024
MAX_DEPTH = 12
Where = tuple[str | int, ...]
_LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml's where PyYAML was built with it: ten times as fast
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Source:
    """A file's name, lines and data; `marks` holds line and column (from 0) of every value."""

    name: str
    lines: tuple[str, ...] = field(repr=False)
    data: Any = None
    marks: dict[Where, tuple[int, int]] = field(default_factory=dict, repr=False)

    def span_of(self, where: Where, word: str = "") -> str:
        """Returns `file:line:column` of a value, or of the nearest one above it where it has no position of its own.

        With `word`, returns the position at which that word first stands from there on.
        """
        while where and where not in self.marks:
            where = where[:-1]
        line, column = self.marks.get(where, (0, 0))
        if word:
            for n, text in enumerate(self.lines[line : line + 40]):
                start = text.find(word, column if n == 0 else 0)
                if start >= 0:
                    line, column = line + n, start
                    break
        return f"{self.name}:{line + 1}:{column + 1}"


def read_source(path: Path) -> Source:
    """Reads and parses the file at that path. Raises PolicyInvalid saying what is wrong, and where."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise PolicyInvalid(f"{path} cannot be read: {error.strerror}") from error
    return parse_source(path.name, raw)


def parse_source(name: str, raw: bytes) -> Source:
    """Parses the bytes of a policy file. Raises PolicyInvalid saying what is wrong, and where."""
    if len(raw) > MAX_POLICY_BYTES:
        raise PolicyInvalid(f"{name} is larger than {MAX_POLICY_BYTES} bytes")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise PolicyInvalid(f"{name}:1:1: begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise PolicyInvalid(f"{name}:{line}:1: is not UTF-8") from error
    lines = tuple(text.split("\n"))
    for n, line_text in enumerate(lines):
        if "\t" in line_text:
            raise PolicyInvalid(f"{name}:{n + 1}:{line_text.index(chr(9)) + 1}: a tab; indent with spaces")
    reader = _Reader(name)
    try:
        data = reader.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise PolicyInvalid(f"{where}: is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise PolicyInvalid(f"{name} is no YAML: {' '.join(str(error).split())[:200]}") from error
    return Source(name, lines, data, reader.marks)


class _Reader:
    """Builds values from libyaml's events, noting where each stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[Where, tuple[int, int]] = {}

    def document(self, events: Iterator[Any]) -> Any:
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document; one file is one policy")
            elif isinstance(event, yaml.NodeEvent):
                data = self._value(event, events, ())
        return data

    def _value(self, event: Any, events: Iterator[Any], where: Where) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._refuse(event, "an anchor or alias; write it out")
        if getattr(event, "tag", None):
            self._refuse(event, f"the tag {event.tag}; only plain values are read")
        if len(where) > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH}")
        self.marks[where] = (event.start_mark.line, event.start_mark.column)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event.value) if event.style is None or event.style == "" else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, where)
        return self._mapping(events, where)

    def _sequence(self, events: Iterator[Any], where: Where) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            values.append(self._value(event, events, (*where, len(values))))
        return values

    def _mapping(self, events: Iterator[Any], where: Where) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
                self._refuse(event, "a name that is no plain word")
            if event.value in values:
                self._refuse(event, f"{event.value[:64]} a second time")
            mark = (event.start_mark.line, event.start_mark.column)
            values[event.value] = self._value(next(events), events, (*where, event.value))
            self.marks[(*where, event.value, "")] = mark  # the name's own position
        return values

    def _refuse(self, event: Any, reason: str) -> None:
        mark = event.start_mark
        raise PolicyInvalid(f"{self.name}:{mark.line + 1}:{mark.column + 1}: {reason}")


def _scalar(text: str) -> Any:
    """Converts a plain scalar by YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
