"""Computes figures from scores: pure, over arrays. A figure that nothing was counted for is None, never 0 or 1."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_SAID = 10  # pictures on which a threshold must have been right often enough; with fewer, luck does it


class Counts(NamedTuple):
    """The number of times a label was given, was given rightly, and would have been right."""

    said: int
    right: int
    there: int

    @property
    def precision(self) -> float | None:
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        return self.right / self.there if self.there else None


def counts(said: Bools, there: Bools) -> Counts:
    return Counts(int(said.sum()), int((said & there).sum()), int(there.sum()))


def in_any(columns: Bools) -> Bools:
    """Returns (n,): whether any of a row's columns (n, k) is true."""
    return np.asarray(columns.any(axis=1))


def share(part: Bools) -> float | None:
    """Returns the share that is true; None for an empty array."""
    return float(part.mean()) if len(part) else None


def lowest_threshold(
    scores: Floats, there: Bools, precision: float, floor: float = 0.0, least: int = LEAST_SAID
) -> float | None:
    """Returns the lowest score, not below `floor`, from which up the precision is reached on at least `least` images.

    The precision is the share of given labels that are right. The threshold lies midway to the next lower image's
    score, which it excludes.

    scores, there: (n,), scores with four decimals. None where no score reaches it."""
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], np.cumsum(there[order])
    said = np.arange(1, len(scores) + 1)
    last_of_its_score = np.append(ranked[1:] != ranked[:-1], True)  # equal scores are said together or not at all
    good = np.flatnonzero((right >= precision * said) & (said >= least) & (ranked >= floor) & last_of_its_score)
    if not len(good):
        return None
    lowest, below = float(ranked[good[-1]]), float(np.append(ranked, 0.0)[good[-1] + 1])
    return max(floor, ceil((lowest + below) / 2 * 1e4 - 1e-6) / 1e4)


class Bin(NamedTuple):
    """The images whose score lies in a tenth: their mean score, the share that is right, and their number."""

    score: float
    right: float
    pictures: int


def reliability(scores: Floats, right: Bools, bins: int = 10) -> tuple[Bin, ...]:
    """Returns the reliability diagram's points, empty bins left out (Niculescu-Mizil & Caruana, ICML 2005)."""
    places = np.minimum((scores * bins).astype(int), bins - 1)
    inside = [places == number for number in range(bins)]
    return tuple(
        Bin(float(scores[those].mean()), float(right[those].mean()), int(those.sum()))
        for those in inside
        if those.any()
    )


def calibration_error(found: tuple[Bin, ...]) -> float | None:
    """Returns the expected calibration error (Guo et al., ICML 2017): the mean gap of score and share, by images."""
    total = sum(one.pictures for one in found)
    return sum(one.pictures * abs(one.score - one.right) for one in found) / total if total else None
