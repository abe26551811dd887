"""Defines the taxonomy: every label that a tag may carry, and its name in other vocabularies.

Labels are dotted paths, widest part first, so that a policy may name a prefix (`nudity.explicit`). They form a tree; a
label that was split off another, which lies elsewhere in it, names that one under `also` and is held to lie below both.
The rows stand in `taxonomy.toml` beside this module and are read once, when it is imported; each names its word in
every other vocabulary, or lies in a group that is marked to have none.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from assent.core.values import Category

_Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(\.[a-z0-9]+)*$")]
_Text = Annotated[str, Field(min_length=1)]


class Label(NamedTuple):
    """One label; None where the other vocabulary has no word for it."""

    name: str
    category: Category
    meaning: str
    rekognition: str | None  # AWS Rekognition moderation labels v7, second level where it tells no gender
    atproto: str | None  # global label values of the AT Protocol
    dsa: str | None = None  # category of the EU's transparency database, without STATEMENT_CATEGORY_
    keyword: str | None = None  # its keyword, without KEYWORD_
    also: str | None = None  # a second label above it


@dataclass(frozen=True, slots=True)
class _Row:
    """The columns of one row, without its name; a column of another vocabulary may be left out."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    category: Category
    meaning: _Text
    rekognition: _Text | None = None
    atproto: _Text | None = None
    dsa: _Text | None = None
    keyword: _Text | None = None
    also: _Name | None = None


class LabelGroups(NamedTuple):
    """The labels of each group, in the order of the file; the groups in the order of `LABELS`."""

    bodies: tuple[Label, ...]
    pictures: tuple[Label, ...]
    texts: tuple[Label, ...]
    hashes: tuple[Label, ...]
    colours: tuple[Label, ...]
    products: tuple[Label, ...]
    objects: tuple[Label, ...]
    animals: tuple[Label, ...]
    foods: tuple[Label, ...]
    goods: tuple[Label, ...]
    scenes: tuple[Label, ...]


_Vocabulary = Literal["rekognition", "atproto", "dsa"]

_FILE = TypeAdapter(dict[str, dict[_Name, _Row]])
_NO_WORD = TypeAdapter(dict[_Vocabulary, tuple[_Name, ...]])


def parse_taxonomy(text: str) -> LabelGroups:
    """Parses the text of a `taxonomy.toml`.

    Raises ValueError for text that is no TOML, an unknown or missing group or column, an unknown category, a label that
    is named twice, an `also` that is no label or lies below another, and a label that names no word of another
    vocabulary and lies in no group under `[no_word]`."""
    tables = tomllib.loads(text)
    no_word = _NO_WORD.validate_python(tables.pop("no_word", {}))
    file = _FILE.validate_python(tables)
    if wrong := set(file) ^ set(LabelGroups._fields):
        raise ValueError(f"the taxonomy has groups that are unknown or missing: {', '.join(sorted(wrong))}")
    groups = LabelGroups(*(_labels(file[group]) for group in LabelGroups._fields))
    count = Counter(label.name for labels in groups for label in labels)
    if twice := [name for name, times in count.items() if times > 1]:
        raise ValueError(f"the taxonomy names labels twice: {', '.join(twice)}")
    second = {label.name: label.also for labels in groups for label in labels if label.also}
    if wrong_also := [name for name, also in second.items() if also not in count or second.keys() & {*_prefixes(also)}]:
        raise ValueError(f"the taxonomy has a wrong `also` at {', '.join(wrong_also)}")
    if unmapped := list(_unmapped({label.name: label for labels in groups for label in labels}, no_word)):
        raise ValueError(
            f"the taxonomy does not say what is called elsewhere, or that it is not: {', '.join(unmapped)}"
        )
    return groups


def _labels(rows: dict[str, _Row]) -> tuple[Label, ...]:
    return tuple(
        Label(name, row.category, row.meaning, row.rekognition, row.atproto, row.dsa, row.keyword, row.also)
        for name, row in rows.items()
    )


def _unmapped(labels: Mapping[str, Label], no_word: Mapping[_Vocabulary, tuple[str, ...]]) -> Iterator[str]:
    """Yields `vocabulary label` for what is neither mapped nor marked, or both, and for a mark on no label or group."""
    known = {group for name in labels for group in _prefixes(name)}
    for vocabulary in get_args(_Vocabulary):
        none = set(no_word.get(vocabulary, ()))
        words = {name for name, label in labels.items() if getattr(label, vocabulary) is not None}
        wrong = (none & words) | (none - known)
        for name in labels.keys() - words - none:
            group = name
            while group and group not in none and group not in words:
                group = group.rpartition(".")[0]
            if group not in none:
                wrong.add(name)
        yield from (f"{vocabulary} {name}" for name in sorted(wrong))


def _prefixes(label: str) -> tuple[str, ...]:
    parts = label.split(".")
    return tuple(".".join(parts[: n + 1]) for n in range(len(parts)))


GROUPS = parse_taxonomy(files("assent.core").joinpath("taxonomy.toml").read_text("utf-8"))
BODIES, PICTURES, TEXTS, HASHES, COLOURS, PRODUCTS, OBJECTS, ANIMALS, FOODS, GOODS, SCENES = GROUPS
LABELS: tuple[Label, ...] = tuple(label for labels in GROUPS for label in labels)
BY_NAME: dict[str, Label] = {label.name: label for label in LABELS}


@cache
def above(label: str) -> tuple[str, ...]:
    """Returns the label and all groups above it, by the tree and by `also`: the widest first, itself last."""
    own = _prefixes(label)
    second = [group for name in own if name in BY_NAME and (also := BY_NAME[name].also) for group in _prefixes(also)]
    return tuple(sorted(dict.fromkeys((*second, *own)), key=lambda group: (group == label, group.count("."))))


def near_labels(word: str, known: Collection[str]) -> tuple[str, ...]:
    """Returns up to three labels or groups of `known` that may be meant by a word, the nearest in the tree first.

    Of these kinds of likeness the first that any has counts: their last part is the word's last part (spaces and other
    signs left out); one of the two begins or ends with the other; their meaning has the word; the spelling is close."""
    said = word.lower().rsplit(".", 1)[-1].strip()
    last = re.sub(r"[^a-z0-9]", "", said)
    parts = {name: name.rsplit(".", 1)[-1] for name in known}
    kinds = (
        [name for name, part in parts.items() if part == last],
        [name for name, part in parts.items() if _begins_or_ends(part, last)],
        [name for name in known if _means(name, said)],
        get_close_matches(word, sorted(known), 1, 0.6),
    )
    near = next((names for names in kinds if names and said), [])
    shared = set(_prefixes(word))
    return tuple(sorted(near, key=lambda name: (-len(shared & {*_prefixes(name)}), name.count("."), name))[:3])


def label_hint(label: str, known: Collection[str]) -> str:
    """Returns ` (did you mean … or …?)` of the labels that may be meant, or an empty string."""
    near = near_labels(label, known)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def _begins_or_ends(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= 3 and (long.startswith(short) or long.endswith(short))


def _means(name: str, words: str) -> bool:
    """Tells whether a label's meaning has the words, from 4 letters up as a beginning, before any semicolon."""
    meaning = BY_NAME[name].meaning.lower().split(";")[0] if name in BY_NAME else ""
    return re.search(rf"\b{re.escape(words)}" + (r"\b" if len(words) < 4 else ""), meaning) is not None
