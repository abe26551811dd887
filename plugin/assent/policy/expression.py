"""Checks a condition token by token, before the CEL parser sees it.

The evaluator has no limit of its own: a nested macro over a few hundred tags takes a tenth of a second, and deep
nesting uses up the parser's stack. So length, depth, lists and macros are limited here, and every name is looked up:
CEL itself finds an unknown name only when it evaluates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from assent.core.taxonomy import label_hint
from assent.policy.input import BY_LABEL, FLAGS, MAX_LIST, Needs, PolicyInput, groups
from assent.policy.schema import MAX_EXPRESSION

MAX_TOKENS = 600
MAX_BRACKETS = 24  # open at once
MAX_SIGNS = 4  # `!` or `-` in a row
MAX_TERNARY = 16
MAX_MACROS = 2  # open at once
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
FUNCTIONS = frozenset({"size", "has", "contains", "startsWith", "endsWith", "matches", "int", "double", "string"})
_WORDS = frozenset({"true", "false", "null", "in"})
# Strings of three quotes and raw ones end elsewhere than it seems: they are no words here.
_TOKEN = re.compile(
    r"""\s+|//[^\n]*
    |(?P<string>"(?!"")(?:\\.|[^"\\\n])*"|'(?!'')(?:\\.|[^'\\\n])*')
    |(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?u?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


class ExpressionDiagnostic(NamedTuple):
    """A problem in a condition, and the word at which it stands (empty: the whole condition)."""

    message: str
    word: str = ""


class _Token(NamedTuple):
    kind: str
    text: str


@dataclass(slots=True)
class _Bracket:
    """An open bracket: what stands before it, how many commas it has seen, and the variable that it binds."""

    sign: str
    call: str = ""
    commas: int = 0
    variable: str = ""
    of: str = ""  # the list that the variable runs through


@dataclass(slots=True)
class Reading:
    """The result of reading a condition: its problems, and the names in it."""

    problems: list[ExpressionDiagnostic] = field(default_factory=list)
    roots: set[str] = field(default_factory=set)
    by_label: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in BY_LABEL})
    lists: set[str] = field(default_factory=set)
    flags: list[str] = field(default_factory=list)  # the labels behind `text.…` and `hash.…`

    @property
    def labels(self) -> tuple[str, ...]:
        """Returns the labels and groups that the condition names, in order."""
        named = (*self.by_label["score"], *self.by_label["near_face"], *self.flags)
        return tuple(dict.fromkeys(named))


def read_expression(when: str) -> Reading:
    """Reads a condition; returns the names in it and its problems."""
    reading = Reading()
    if len(when) > MAX_EXPRESSION:
        reading.problems.append(ExpressionDiagnostic(f"longer than {MAX_EXPRESSION} characters"))
        return reading
    tokens = [_Token(m.lastgroup, m[0]) for m in _TOKEN.finditer(when) if m.lastgroup]
    reading.problems += _too_much(tokens)
    if not reading.problems:
        _Reader(tokens, reading).read()
    return reading


def needs_of(readings: Mapping[str, Reading]) -> Needs:
    """Returns the inputs that all conditions of a policy need together."""
    roots = {root for reading in readings.values() for root in reading.roots}
    named = {
        name: tuple(dict.fromkeys(label for reading in readings.values() for label in reading.by_label[name]))
        for name in BY_LABEL
    }
    lists = {path for reading in readings.values() for path in reading.lists}
    return Needs(frozenset(roots), named["score"], named["near_face"], frozenset(lists))


def nearest_name(word: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean …?)`, or an empty string where no name is close."""
    close = get_close_matches(word, sorted(known), 1, 0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _too_much(tokens: list[_Token]) -> Iterator[ExpressionDiagnostic]:
    if len(tokens) > MAX_TOKENS:
        yield ExpressionDiagnostic(f"more than {MAX_TOKENS} words and signs")
        return
    depth = signs = 0
    for token in tokens:
        if token.kind == "other":
            yield ExpressionDiagnostic(f"the character {token.text!r} means nothing here", token.text)
            return
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        signs = signs + 1 if token.text in ("!", "-") else 0
        if depth > MAX_BRACKETS or signs > MAX_SIGNS:
            yield ExpressionDiagnostic(f"nested deeper than {MAX_BRACKETS} brackets or {MAX_SIGNS} signs in a row")
            return
    if sum(token.text == "?" for token in tokens) > MAX_TERNARY:
        yield ExpressionDiagnostic(f"more than {MAX_TERNARY} times ? :")


class _Reader:
    """Goes through the tokens once, with the open brackets on a stack."""

    def __init__(self, tokens: list[_Token], reading: Reading) -> None:
        self.tokens, self.out = tokens, reading
        self.open: list[_Bracket] = []
        self.path = ""  # what the next `.name` or `[` belongs to: "event", "faces.each", a bound variable's list + "[]"

    def read(self) -> None:
        for n, token in enumerate(self.tokens):
            before = self.tokens[n - 1].text if n else ""
            after = self.tokens[n + 1].text if n + 1 < len(self.tokens) else ""
            if token.kind == "name":
                self._name(n, token.text, before, after)
            elif token.kind == "sign":
                self._sign(n, token.text, before)
            else:
                self.path = ""

    def _name(self, n: int, name: str, before: str, after: str) -> None:
        if before == "." and n > 1:
            self._member(name, after)
        elif after == "(":
            self._known(name, FUNCTIONS, "function")
            self.path = ""
        elif name in _WORDS or self._binds(name):
            self.path = ""
        elif bound := next((one for one in reversed(self.open) if one.variable == name), None):
            self.path = f"{bound.of}[]" if bound.of else ""
        elif self._known(name, frozenset(PolicyInput.model_fields), "name"):
            self.out.roots.add(name)
            self.path = name
            if name == "tags":
                self.out.lists.add(name)
            if name in BY_LABEL and after != "[":
                self._wrong(f'{name} is asked for by label: {name}["nudity.explicit"]', name)

    def _member(self, name: str, after: str) -> None:
        if after == "(":
            self._known(name, FUNCTIONS | MACROS, "function")
            return  # the path stays: a macro runs through it
        fields = _fields(self.path)
        if fields is not None:
            self._known(name, fields, f"field of {self.path.removesuffix('[]')}")
        self.path = f"{self.path}.{name}" if self.path else ""
        if self.path == "faces.each":
            self.out.lists.add(self.path)
        if self.path in FLAGS:
            self.out.flags.append(FLAGS[self.path])

    def _sign(self, n: int, sign: str, before: str) -> None:
        if sign in ("(", "[", "{"):
            self._opens(n, sign, before)
        elif sign in (")", "]", "}"):
            if self.open:
                closed = self.open.pop()
                self.path = f"{closed.of}[]" if sign == "]" and closed.of else ""
        elif sign == ",":
            self._comma()
        elif sign != ".":
            self.path = ""

    def _opens(self, n: int, sign: str, before: str) -> None:
        call = before if sign == "(" and n and self.tokens[n - 1].kind == "name" else ""
        macro = call in MACROS and n > 1 and self.tokens[n - 2].text == "."
        bracket = _Bracket(sign, call if macro else "", of=self.path)
        if macro:
            name = self.tokens[n + 1] if n + 1 < len(self.tokens) else _Token("", "")
            bracket.variable = name.text if name.kind == "name" else ""
            if sum(bool(one.call) for one in self.open) >= MAX_MACROS:
                self._wrong(f"more than {MAX_MACROS} macros inside each other", call)
        elif sign == "[" and self.path in BY_LABEL:
            self._label(n, self.path)
        self.open.append(bracket)
        self.path = ""

    def _label(self, n: int, root: str) -> None:
        key = self.tokens[n + 1] if n + 1 < len(self.tokens) else _Token("", "")
        close = self.tokens[n + 2].text if n + 2 < len(self.tokens) else ""
        if key.kind != "string" or close != "]":
            self._wrong(f'{root} is asked for by a label in quotes: {root}["nudity.explicit"]', root)
            return
        label = key.text.strip("\"'")
        if label not in groups():
            self._wrong(f"{label} is no label of the taxonomy{label_hint(label, groups())}", label)
        self.out.by_label[root].append(label)

    def _comma(self) -> None:
        self.path = ""
        if self.open:
            self.open[-1].commas += 1
            if self.open[-1].commas == MAX_LIST:
                self._wrong(f"a list of more than {MAX_LIST}", "")

    def _binds(self, name: str) -> bool:
        bracket = self.open[-1] if self.open else None
        return bracket is not None and bracket.call != "" and bracket.commas == 0 and bracket.variable == name

    def _known(self, name: str, known: frozenset[str], what: str) -> bool:
        if name in known:
            return True
        self._wrong(f"{name} is no {what}{nearest_name(name, known)}", name)
        self.path = ""
        return False

    def _wrong(self, message: str, word: str) -> None:
        self.out.problems.append(ExpressionDiagnostic(message, word))


def _fields(path: str) -> frozenset[str] | None:
    """Returns the fields at a path of `PolicyInput`, or None where nothing is known of it."""
    kind: Any = PolicyInput
    for part in path.replace("[]", ".[]").split(".") if path else ():
        if part == "[]":
            kind = next(iter(get_args(kind)), None)
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
            kind = kind.model_fields[part].annotation
        else:
            return None
    return frozenset(kind.model_fields) if path and isinstance(kind, type) and issubclass(kind, BaseModel) else None
