"""Computes figures from scores: pure, over arrays. A figure that nothing was counted for is None, never 0 or 1."""

from __future__ import annotations

from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_PREDICTED = 10  # images on which a threshold must have been right often enough; with fewer, luck does it
MOST_POINTS = 200  # of a curve, in its CSV


class Counts(NamedTuple):
    """The number of times a label was given, was given rightly, and would have been right."""

    predicted: int
    correct: int
    actual: int

    @property
    def precision(self) -> float | None:
        return self.correct / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.correct / self.actual if self.actual else None


def count_correct(predicted: Bools, actual: Bools) -> Counts:
    """Counts given, rightly given and actual labels; arrays of one shape."""
    return Counts(int(predicted.sum()), int((predicted & actual).sum()), int(actual.sum()))


def in_any(columns: Bools) -> Bools:
    """Returns (n,): whether any of a row's columns (n, k) is true."""
    return np.asarray(columns.any(axis=1))


def proportion(part: Bools) -> float | None:
    """Returns the proportion that is true; None for an empty array."""
    return float(part.mean()) if len(part) else None


def wilson(hits: int, of: int) -> tuple[float, float] | None:
    """Returns the 95 % interval of a proportion (Wilson 1927); None of nothing."""
    if not of:
        return None
    z, share = 1.959964, hits / of
    middle, spread = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    least, most = ((middle + way * spread) / (1 + z * z / of) for way in (-1, 1))
    return max(0.0, least), min(1.0, most)


def evenly_spaced(count: int) -> NDArray[np.intp]:
    """Returns at most MOST_POINTS indexes below `count`, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(np.intp))


def lowest_threshold(
    scores: Floats, actual: Bools, precision: float, floor: float = 0.0, least: int = LEAST_PREDICTED
) -> float | None:
    """Returns the lowest score, not below `floor`, from which up the precision is reached on at least `least` images.

    The precision is the share of given labels that are right. The threshold lies midway to the next lower image's
    score, which it excludes.

    scores, actual: (n,), scores with four decimals. None where no score reaches it."""
    order = np.argsort(-scores, kind="stable")
    ranked, correct = scores[order], np.cumsum(actual[order])
    predicted = np.arange(1, len(scores) + 1)
    last_of_its_score = np.append(ranked[1:] != ranked[:-1], True)  # equal scores are given together or not at all
    enough = (predicted >= least) & (ranked >= floor) & last_of_its_score
    good = np.flatnonzero((correct >= precision * predicted) & enough)
    if not len(good):
        return None
    lowest, below = float(ranked[good[-1]]), float(np.append(ranked, 0.0)[good[-1] + 1])
    return max(floor, ceil((lowest + below) / 2 * 1e4 - 1e-6) / 1e4)


class Bin(NamedTuple):
    """The images whose score lies in a tenth: their mean score, the share that is right, and their number."""

    score: float
    correct: float
    images: int


def reliability(scores: Floats, correct: Bools, bins: int = 10) -> tuple[Bin, ...]:
    """Returns the reliability diagram's points, empty bins left out (Niculescu-Mizil & Caruana, ICML 2005)."""
    numbers = np.minimum((scores * bins).astype(int), bins - 1)
    members = [numbers == number for number in range(bins)]
    return tuple(
        Bin(float(scores[inside].mean()), float(correct[inside].mean()), int(inside.sum()))
        for inside in members
        if inside.any()
    )


def calibration_error(bins: tuple[Bin, ...]) -> float | None:
    """Returns the expected calibration error (Guo et al., ICML 2017): the mean gap of score and share, by images."""
    total = sum(each.images for each in bins)
    return sum(each.images * abs(each.score - each.correct) for each in bins) / total if total else None
