"""`assent labels`: shows the taxonomy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from assent.core.settings import Settings
from assent.core.taxonomy import BY_NAME, LABELS, Label, near_labels
from assent.policy.input import groups
from assent.policy.load import load_policy
from assent.policy.model import NEVER, Policy

ELSEWHERE = ("rekognition", "atproto", "dsa", "keyword")
_LEVELS = 2  # shown where no group is named
_CLASSES = 3  # named of each label; the rest are counted
_NAMES = 6  # of a group that is no label itself, named in place of a meaning


class _Shown(NamedTuple):
    """What is shown beside the taxonomy: the policy, and by label its models and the classes that it stands for."""

    policy: Policy
    models: dict[str, tuple[str, ...]]
    classes: dict[str, tuple[str, ...]]


def labels(
    group: Annotated[str, typer.Argument(help="This label or group and what lies below, such as animal.dog.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All levels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the models that give each label.")] = False,
) -> None:
    """Show the labels as a tree: what each means, and from which score it counts in the policy.

    Without a group two levels, and how many labels lie below; else all of them, with the classes of pictures that each
    stands for, its second parent, and its names in other vocabularies.
    """
    from assent.perceive.labels.sources import class_words, sources  # their packages take a second to import

    shown = _Shown(load_policy(Settings().policy), sources(), class_words())
    if group and group not in groups():
        near = near_labels(group, groups()) or tuple(name for name, words in shown.classes.items() if group in words)
        print(f"No label of group {group}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
        raise typer.Exit(1)
    if as_json:
        rows = [_row(label, shown) for label in LABELS if _lies_in(label.name, group)]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif group or everything:
        Console().print(_whole_tree(group, shown))
    else:
        Console().print(_overview(shown), f"\n{len(LABELS)} labels. More of a group: assent labels animal.dog")


def _lies_in(name: str, group: str) -> bool:
    return not group or name == group or name.startswith(f"{group}.")


def _row(label: Label, shown: _Shown) -> dict[str, Any]:
    threshold = shown.policy.threshold(label.name)
    return {
        "label": label.name,
        "category": label.category,
        "meaning": label.meaning,
        "model": ", ".join(shown.models.get(label.name, ())),
        "threshold": None if threshold == NEVER else threshold,
        **{name: getattr(label, name) for name in ELSEWHERE},
        "also": label.also,
        "classes": shown.classes.get(label.name, ()),
    }


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("label", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right" if column == "below" else "left")
    return table


def _tree(group: str) -> list[str]:
    """Returns the labels and groups of a group, each behind what it lies below."""
    return sorted((name for name in groups() if _lies_in(name, group)), key=lambda name: name.split("."))


def _indented(name: str, level: int) -> str:
    return "  " * level + (name.rsplit(".", 1)[-1] if level else name)


def _overview(shown: _Shown) -> Table:
    table = _table("below", "from", "meaning")
    for name in _tree(""):
        level = name.count(".")
        if level < _LEVELS:
            below = [label for label in BY_NAME if _lies_in(label, name) and label != name]
            counted = str(len(below) or "")
            table.add_row(_indented(name, level), counted, _counts_from(name, below, shown.policy), _meaning(name))
    return table


def _whole_tree(group: str, shown: _Shown) -> Table:
    table = _table("from", "meaning", "")
    for name in _tree(group):
        level = name.count(".") - group.count(".")
        notes = "; ".join(_notes(BY_NAME[name], shown)) if name in BY_NAME else ""
        table.add_row(_indented(name, level), _counts_from(name, [], shown.policy), _meaning(name), notes)
    return table


def _counts_from(name: str, below: list[str], policy: Policy) -> str:
    """Returns the score, or the lowest and highest, from which a label and those below it count."""
    scores = {policy.threshold(label) for label in (name, *below) if label in BY_NAME} - {NEVER}
    return "–".join(f"{score:.2f}" for score in sorted({min(scores), max(scores)})) if scores else ""


def _meaning(name: str) -> str:
    """Returns a label's meaning; of a group that is none, the names of what lies right below it."""
    if name in BY_NAME:
        return BY_NAME[name].meaning
    right_below = [part for part in _tree(name) if part.count(".") == name.count(".") + 1]
    return _some([part.rsplit(".", 1)[-1] for part in right_below], _NAMES)


def _some(words: list[str], most: int) -> str:
    rest = len(words) - most
    return ", ".join(words) if rest <= 1 else f"{', '.join(words[:most])} and {rest} more"


def _notes(label: Label, shown: _Shown) -> Iterator[str]:
    classes = [word for word in shown.classes.get(label.name, ()) if word not in label.meaning.lower()]
    if classes:
        yield _some(classes, _CLASSES)
    if label.also:
        yield f"also {label.also}"
    yield from (f"{name} {word}" for name in ELSEWHERE if (word := getattr(label, name)))
