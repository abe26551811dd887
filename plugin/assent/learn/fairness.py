"""Compares the figures of groups of people or images, and measures how far apart they lie.

Groups are what the operator wrote into a column of the CSV; nothing here, or anywhere in Assent, infers one. Each
figure is a ratio of sums over units (photos, or people), so that its uncertainty can be had by drawing the units again
with replacement (percentile bootstrap, 95 %; for pairs of people: both ends are drawn, Bolle et al., CVIU 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assent.learn.measure import Floats
from assent.learn.report import Table

BOOTSTRAP_DRAWS = 1000
LEAST_UNITS = 30  # fewer photos or people are shown, with a warning, and are no ground for a comparison
_SEED = 20


class Ratio(NamedTuple):
    """A figure: Σ part / Σ whole over units. part, whole: (n,), or (n, n) where pairs of units are counted."""

    name: str
    part: Floats
    whole: Floats


class Interval(NamedTuple):
    """A figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def by_group(ratios: Sequence[Ratio], groups: Sequence[str], unit: str) -> tuple[Table, Table]:
    """Returns a table with each figure and group and its interval, and a table of the largest gap of each figure.

    groups: the group of each unit, "" for none. `unit`: what is counted, for the reader."""
    names = sorted({group for group in groups if group})
    members = {name: np.flatnonzero([group == name for group in groups]) for name in names}
    rows: list[tuple[str | float | int | None, ...]] = []
    gaps: list[tuple[str | float | int | None, ...]] = []
    for ratio in ratios:
        drawn = {name: _draws(ratio, members[name]) for name in names}
        intervals = {name: _interval(ratio, members[name], drawn[name]) for name in names}
        for name, interval in intervals.items():
            warning = "too few to compare" if len(members[name]) < LEAST_UNITS else ""
            rows.append((ratio.name, name, len(members[name]), *(interval or (None, None, None)), warning))
        large = {name: i for name, i in intervals.items() if i and len(members[name]) >= LEAST_UNITS}
        gaps.append(_gap(ratio.name, large, drawn))
    columns = ("figure", "group", unit, "value", "95 % from", "to", "warning")
    wide = ("figure", "highest", "lowest", "gap", "95 % from", "to", "")
    return (
        Table("by-group", "By group, with bootstrap 95 % intervals", columns, tuple(rows)),
        Table("gaps", f"Largest gap between groups of at least {LEAST_UNITS} {unit}", wide, tuple(gaps)),
    )


def _value(ratio: Ratio, weights: Floats, members: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float | None:
    if ratio.part.ndim == 1:
        part, whole = weights @ ratio.part[members], weights @ ratio.whole[members]
    else:
        square = np.ix_(members, members)
        part, whole = weights @ ratio.part[square] @ weights, weights @ ratio.whole[square] @ weights
    return float(part / whole) if whole > 0 else None


def _interval(ratio: Ratio, members: np.ndarray[tuple[int], np.dtype[np.intp]], drawn: Floats) -> Interval | None:
    value = _value(ratio, np.ones(len(members)), members)
    if value is None:
        return None
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _draws(ratio: Ratio, members: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
    """Returns the figure over as many units, drawn again; NaN where a draw has nothing to count."""
    random = np.random.default_rng(_SEED)
    even = np.full(len(members), 1 / len(members))
    weights = random.multinomial(len(members), even, BOOTSTRAP_DRAWS).astype(np.float64)
    values = [_value(ratio, drawn, members) for drawn in weights]
    return np.array([np.nan if value is None else value for value in values])


def _gap(figure: str, intervals: dict[str, Interval], drawn: dict[str, Floats]) -> tuple[str | float | int | None, ...]:
    if len(intervals) < 2:
        return (figure, None, None, None, None, None, "fewer than two groups are large enough")
    highest = max(intervals, key=lambda name: intervals[name].value)
    lowest = min(intervals, key=lambda name: intervals[name].value)
    # The groups' draws share a seed; in another order they are independent of each other.
    differences = drawn[highest] - np.roll(drawn[lowest], 1)
    low, high = np.nanquantile(differences, (0.025, 0.975))
    gap = intervals[highest].value - intervals[lowest].value
    return (figure, highest, lowest, gap, float(low), float(high), "" if low > 0 else "may be chance")
