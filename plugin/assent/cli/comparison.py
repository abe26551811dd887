"""Shows what another policy would change, as tables, CSV and a plot."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.table import Table

from assent.core.display import visible
from assent.core.values import Action
from assent.decisions.simulate import Replay
from assent.policy.compare import CountKey, CountKind

_ACTIONS = tuple(action.name for action in Action)
_TITLES: dict[CountKind, str] = {"rule": "by rule", "label": "by label", "group": "by group"}
_MOST = 20  # lines of a table
# The plot: pixels, and two ends of a scale that also reads without colour.
_CELL, _LEFT, _TOP = 84, 90, 70
_UNCHANGED, _STRONGER, _WEAKER = "#9aa5b1", "#b3541e", "#0b7a68"


def show_replay(console: Console, name: str, replay: Replay) -> None:
    """Prints a whole replay."""
    show(console, name, replay.counts)
    notes = {
        "would be decided otherwise (action or tags)": replay.changed,
        "could not be looked at when they came, and stay as they are": replay.not_looked_at,
        "are from before the circumstances were kept: taken as public posts": replay.inexact,
        "make a condition fail, and go to review": replay.broken,
    }
    console.print(f"{replay.decided} pictures decided again")
    for text, count in notes.items():
        if count:
            console.print(f"{count} {text}")
    for (was, becomes), media in sorted(replay.examples.items()):
        console.print(
            f"{was} → {becomes}, for example: {', '.join(map(visible, media))}", highlight=False, markup=False
        )


def show(console: Console, name: str, counts: Mapping[CountKey, int]) -> None:
    """Prints the confusion of actions, and what changes by rule, label and group."""
    console.print(f"{name} beside the policy that decided")
    console.print(_confusion(counts))
    for kind, title in _TITLES.items():
        if rows := _changes(counts, kind):
            table = Table("", "was", "becomes", "pictures", title=title, title_justify="left")
            for key, count in rows[:_MOST]:
                table.add_row(key.name, key.was, key.becomes, str(count))
            console.print(table)
    if rows := _changes(counts, "said"):
        table = Table("tag", "was said", "is said", "pictures", title="what is said", title_justify="left")
        for key, count in rows[:_MOST]:
            table.add_row(key.name, key.was, key.becomes, str(count))
        console.print(table)


def write_csv(path: Path, counts: Mapping[CountKey, int]) -> None:
    """Writes every count, also of what stays."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*CountKey._fields, "pictures"))
        writer.writerows((*key, count) for key, count in sorted(counts.items()))


def write_svg(path: Path, name: str, counts: Mapping[CountKey, int]) -> None:
    """Draws the confusion of actions: old from above, new to the right.

    The area of a square is its share.
    """
    cells = _cells(counts)
    most = max(cells.values(), default=1)
    side = _LEFT + _CELL * len(_ACTIONS) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side + _TOP - 20}" font-family="sans-serif">',
        f"<title>{escape(name)}: actions old and new</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="22" font-size="14">{escape(name)}: {sum(cells.values())} pictures, old ↓ new →</text>',
    ]
    for n, action in enumerate(_ACTIONS):
        middle = n * _CELL + _CELL / 2
        parts.append(f'<text x="{_LEFT + middle}" y="{_TOP - 10}" font-size="13" text-anchor="middle">{action}</text>')
        parts.append(f'<text x="{_LEFT - 8}" y="{_TOP + middle + 4}" font-size="13" text-anchor="end">{action}</text>')
    for (was, becomes), count in cells.items():
        x = _LEFT + Action[becomes] * _CELL + _CELL / 2
        y = _TOP + Action[was] * _CELL + _CELL / 2
        size = max(4.0, (_CELL - 6) * (count / most) ** 0.5)
        colour = _UNCHANGED if was == becomes else _STRONGER if Action[becomes] > Action[was] else _WEAKER
        square = f'x="{x - size / 2:.1f}" y="{y - size / 2:.1f}" width="{size:.1f}" height="{size:.1f}"'
        parts.append(f'<rect {square} fill="{colour}"/>')
        parts.append(f'<text x="{x}" y="{y + 4}" font-size="13" text-anchor="middle">{count}</text>')
    path.write_text("\n".join((*parts, "</svg>")) + "\n", encoding="utf-8")


def _cells(counts: Mapping[CountKey, int]) -> Counter[tuple[str, str]]:
    return Counter({(key.was, key.becomes): count for key, count in counts.items() if key.kind == "action"})


def _confusion(counts: Mapping[CountKey, int]) -> Table:
    cells = _cells(counts)
    table = Table("was ↓ becomes →", *_ACTIONS, title="actions", title_justify="left")
    for was in _ACTIONS:
        row = [cells[was, becomes] for becomes in _ACTIONS]
        if any(row):
            table.add_row(was, *(str(count) if count else "" for count in row))
    return table


def _changes(counts: Mapping[CountKey, int], kind: CountKind) -> list[tuple[CountKey, int]]:
    rows = [(key, count) for key, count in counts.items() if key.kind == kind and key.was != key.becomes]
    return sorted(rows, key=lambda row: (-row[1], row[0]))
