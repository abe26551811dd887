"""Tells how far a label can be trusted: what was measured before it was shipped, and how moderators here judged it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache
from math import sqrt
from pathlib import Path
from typing import Any, Literal

from assent.core.errors import SealBroken
from assent.core.resources import resource
from assent.db.pool import Conn, fetch
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import unseal_for_tenant

MEASURED_FOR = timedelta(days=90)
MOST_JUDGED = 1_000  # the newest corrections of a label that are counted
FEWEST = 30  # below it no share is told
_HEADS = 32  # manifests kept read
_Z = 1.959964  # of the normal distribution: 2.5 % lie above it
_Q = named_queries("evidence")


@dataclass(frozen=True, slots=True)
class ShippedFigure:
    """A figure that was measured before a model was shipped.

    `precision`: `value` is the share of images given the label that show it, `of` is how many were given it.
    `false-alarms`: `value` of `of` images that do not show it were given it at a score from `since` up.
    `threshold`: `value` is the score from which it was found to be right often enough; `of` is 0.
    """

    kind: Literal["precision", "false-alarms", "threshold"]
    value: float
    of: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class MeasuredHere:
    """Counts how often moderators kept a label that a model had said: of reviewed images only, of the last 90 days."""

    kept: int = 0
    judged: int = 0

    @property
    def is_enough(self) -> bool:
        """Tells whether a share may be told: under 30 are too few."""
        return self.judged >= FEWEST

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.kept, self.judged)


def wilson_interval(kept: int, judged: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share by Wilson's score, 0–1; all of it where nothing was judged."""
    if not judged:
        return 0.0, 1.0
    share, square = kept / judged, _Z * _Z
    centre = (share + square / (2 * judged)) / (1 + square / judged)
    half = _Z * sqrt(share * (1 - share) / judged + square / (4 * judged * judged)) / (1 + square / judged)
    return max(0.0, centre - half), min(1.0, centre + half)


def shipped_figure(model: str, label: str, score: float) -> ShippedFigure | None:
    """Returns the figure of a model (`name@sha256`) that speaks for a label at that score; None where there is none."""
    name = model.partition("@")[0]
    tables = _shipped(resource("models"))
    precision = tables.precisions.get((model, label))
    if precision is not None:
        return precision
    steps = [step for step in tables.alarms.get((name, label), ()) if step.since <= score]
    return max(steps, key=lambda step: step.since) if steps else tables.thresholds.get((name, label))


def own_figures(conn: Conn, keys: TenantKeys, models: Collection[str]) -> dict[tuple[str, str], ShippedFigure]:
    """Returns the precision, by model and label, that the tenant's own live heads among these models came with.

    A head whose row was altered has none.
    """
    figures: dict[tuple[str, str], ShippedFigure] = {}
    for row in fetch(conn, _Q["list_live_heads"], tenant=keys.tenant, names=[one.partition("@")[0] for one in models]):
        try:
            text = unseal_for_tenant(keys, "head", row["manifest"], keys.tenant, "manifest", row["sha256"])
        except SealBroken:
            continue  # workers leave it out and log it
        figures |= _head_figures(text.decode("utf-8"))
    return {key: figure for key, figure in figures.items() if key[0] in models}


def is_shipped(model: str) -> bool:
    """Tells whether a model's figures, if it has any, are among those that were shipped."""
    tables, name = _shipped(resource("models")), model.partition("@")[0]
    return model in tables.heads or name in tables.models


def measured_here(conn: Conn, tenant: str, labels: Collection[str]) -> dict[str, MeasuredHere]:
    """Returns how each label fared with this tenant's moderators; a label that nobody judged is left out."""
    values = {"labels": sorted(set(labels)), "within": MEASURED_FOR, "most": MOST_JUDGED}
    rows = fetch(conn, _Q["count_judged_labels"], tenant=tenant, **values)
    return {row["label"]: MeasuredHere(row["kept"], row["judged"]) for row in rows}


@dataclass(frozen=True, slots=True)
class _Shipped:
    """Figures by model and label: of heads by their id, of other models by name; and which there are."""

    precisions: Mapping[tuple[str, str], ShippedFigure]
    alarms: Mapping[tuple[str, str], tuple[ShippedFigure, ...]]
    thresholds: Mapping[tuple[str, str], ShippedFigure]
    heads: frozenset[str]
    models: frozenset[str]


@cache
def _shipped(folder: Path) -> _Shipped:
    heads = [_head_figures(path.read_text("utf-8")) for path in sorted((folder / "heads").glob("*.toml"))]
    files = [json.loads(path.read_text("utf-8")) for path in sorted((folder / "calibration").glob("*.json"))]
    precisions = {key: figure for head in heads for key, figure in head.items()}
    alarms = {
        (file["model"], label): _alarms(file, counts)
        for file in files
        for label, counts in file.get("flagged", {}).items()
    }
    thresholds = {
        (file["model"], label): ShippedFigure("threshold", value)
        for file in files
        for label, value in file.get("measured", {}).items()
    }
    names = frozenset(model for model, _ in (*alarms, *thresholds))
    return _Shipped(precisions, alarms, thresholds, frozenset(model for model, _ in precisions), names)


@lru_cache(_HEADS)
def _head_figures(manifest: str) -> dict[tuple[str, str], ShippedFigure]:
    """Returns the precision of each label of a head's manifest that was measured."""
    head = tomllib.loads(manifest)
    model = f"{head['name']}@{head['sha256'][:12]}"
    return {
        (model, label["name"]): ShippedFigure("precision", label["precision"], label.get("said", 0))
        for label in head["label"]
        if "precision" in label
    }


def _alarms(file: Mapping[str, Any], counts: Collection[int]) -> tuple[ShippedFigure, ...]:
    steps = zip(file["at"], counts, strict=True)
    return tuple(ShippedFigure("false-alarms", count, file["photos"], since) for since, count in steps)
