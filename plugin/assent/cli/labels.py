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
    """Holds what is shown beside the taxonomy."""

    policy: Policy
    models: dict[str, tuple[str, ...]]  # that give a label
    to_fetch: frozenset[str]  # models that the default pack lacks
    classes: dict[str, tuple[str, ...]]  # that a label stands for


def labels(
    group: Annotated[str, typer.Argument(help="A label or group, such as animal.dog.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All levels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the models of each label.")] = False,
) -> None:
    """Show the labels as a tree: what each means, and from which score it counts in the policy.

    Without a group two levels are shown, with one all below it, and what else a label stands for or is called.
    """
    # Their packages take a second to import.
    from assent.perceive.labels.sources import class_words, models_to_fetch, sources

    shown = _Shown(load_policy(Settings().policy), sources(), models_to_fetch(), class_words())
    if group and group not in groups():
        near = _of_class(group, shown) or near_labels(group, groups())
        print(f"No label of group {group}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
        raise typer.Exit(1)
    if as_json:
        rows = [_row(label, shown) for label in LABELS if _lies_in(label.name, group)]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif group or everything:
        Console().print(_whole_tree(group, shown))
    else:
        Console().print(_overview(shown), f"\n{len(LABELS)} labels. More of a group: assent labels animal.dog")


def _of_class(word: str, shown: _Shown) -> list[str]:
    return [name for name, classes in shown.classes.items() if word.lower() in map(str.lower, classes)]


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
    table = _table("below", "category", "from", "meaning")
    for name in _tree(""):
        level = name.count(".")
        if level < _LEVELS:
            below = [label for label in BY_NAME if _lies_in(label, name) and label != name]
            category = "" if level else BY_NAME[below[0] if below else name].category
            counts = _counts_from(name, below, shown.policy)
            table.add_row(_indented(name, level), str(len(below) or ""), category, counts, _meaning(name))
    return table


def _whole_tree(group: str, shown: _Shown) -> Table:
    table = _table("from", "meaning", "stands for, is called")
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
    classes = [word for word in shown.classes.get(label.name, ()) if _letters(word) not in _letters(label.meaning)]
    if classes:
        yield _some(classes, _CLASSES)
    models = shown.models.get(label.name, ())
    if shown.to_fetch.issuperset(models):
        yield f"only by {', '.join(models)}" if models else "by no shipped model"
    if label.also:
        yield f"also {label.also}"
    yield from (f"{name} {word}" for name in ELSEWHERE if (word := getattr(label, name)))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.lower()))
