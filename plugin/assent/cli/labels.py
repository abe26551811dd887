"""`assent labels`: shows the taxonomy."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from assent.core.settings import Settings
from assent.core.taxonomy import LABELS, Label
from assent.policy.load import load_policy
from assent.policy.model import NEVER

ELSEWHERE = ("rekognition", "atproto", "dsa", "keyword")


def labels(
    prefix: Annotated[str, typer.Argument(help="Only labels of this group, for example nudity.explicit.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show every label: its meaning, its model, its threshold in the policy, and its names in other vocabularies."""
    from assent.perceive.labels.sources import sources  # its packages take a second to import

    models, policy = sources(), load_policy(Settings().policy)
    rows = [
        {
            **_row(label),
            "model": ", ".join(models.get(label.name, ())),
            "threshold": _threshold(policy.threshold(label.name)),
        }
        for label in LABELS
        if label.name == prefix or label.name.startswith(f"{prefix}." if prefix else "")
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("label", no_wrap=True)
    for column in ("from", "model", "meaning", "called elsewhere"):
        table.add_column(column)
    for row in rows:
        others = ", ".join(f"{name} {row[name]}" for name in ELSEWHERE if row[name])
        threshold = "" if row["threshold"] is None else f"{row['threshold']:.2f}"
        table.add_row(row["label"], threshold, row["model"], row["meaning"], others)
    Console().print(table if rows else f"No label of group {prefix}.")


def _row(label: Label) -> dict[str, Any]:
    head = {"label": label.name, "category": label.category, "meaning": label.meaning, "model": "", "threshold": None}
    return head | {name: getattr(label, name) for name in ELSEWHERE}


def _threshold(value: float) -> float | None:
    return None if value == NEVER else value
