"""Chooses which of a file's images are looked at: those that differ most, within a budget. Pure.

One pass over the images in their order, since an animation's frame is drawn over those before it. Of each image 1,536
bytes are remembered; pixels are kept of the chosen ones alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from assent.core.values import Pixels

MAX_LOOKED_AT = 16
MAX_PIXELS_KEPT = 3 * 4_096 * 4_096  # of all chosen frames together, after they were shrunk
# What is decoded to choose from: of 1 megapixel 200 frames. The rest counts as not looked at.
MAX_SCANNED = 10_000
MAX_PIXELS_SCANNED = 200_000_000
SIDE = 16  # of the small copies that are compared
# In grey levels of 255. An image is not looked at where none of its 16 × 16 cells' mean colours is farther than _SAME
# from one that is looked at. One with a cell of 4 × 4 farther than _PARTIAL from all of them makes the look a partial
# one. Of 300 pairs of two everyday photos none is nearer than 44, 95 % than 54; the frame farthest from those looked at
# of a camera that pans, zooms or shakes over such photos is at most 34 away, of a swing from one scene to the next 60.
_SAME = 8.0
_PARTIAL = 40.0
_COARSE = 4


_Frame = TypeVar("_Frame")


class FrameCandidate(NamedTuple, Generic[_Frame]):
    """An image that may be looked at: its number, small copies over white and over black (2, 16, 16, 3), and its
    pixels' number once it is looked at over both, where they differ."""

    number: int
    small: Pixels
    pixels: int
    frame: Callable[[], _Frame]


@dataclass(frozen=True, slots=True, eq=False)
class FrameChoice(Generic[_Frame]):
    """The frames that are looked at, in order; how many images they were chosen from; whether one of the others differs
    from all of them."""

    frames: tuple[_Frame, ...]
    passed: int
    partial: bool


def choose(candidates: Iterable[FrameCandidate[_Frame]]) -> FrameChoice[_Frame]:
    """Chooses the first image and up to 15 that differ; where more do, those that differ most from each other."""
    chosen: list[tuple[FrameCandidate[_Frame], _Frame]] = []
    apart = np.zeros((0, 0))  # of the chosen from each other
    passed: list[tuple[int, Pixels]] = []
    for candidate in candidates:
        passed.append((candidate.number, candidate.small))
        far = distances(candidate.small, [one.small for one, _ in chosen])
        if far.min(initial=np.inf) <= _SAME:
            continue
        while not _fits(candidate, chosen):
            place, least = _closest(apart)
            if least >= far.min():
                break
            del chosen[place]
            apart, far = np.delete(np.delete(apart, place, 0), place, 1), np.delete(far, place)
        else:
            chosen.append((candidate, candidate.frame()))
            apart = np.block([[apart, far[:, None]], [far[None], np.zeros((1, 1))]])
    partial = _is_partial(passed, [one for one, _ in chosen])
    return FrameChoice(tuple(frame for _, frame in chosen), len(passed), partial)


def distances(small: Pixels, others: Sequence[Pixels], cell: int = 1) -> NDArray[np.float64]:
    """Returns how far an image's small copies are from each of others, 0–255: the farthest of their cells of `cell`
    pixels a side, over either backdrop."""
    apart = np.abs(np.array(others, np.int16).reshape(-1, 2, SIDE, SIDE, 3) - small).sum(axis=4) / 3
    if cell > 1:
        apart = apart.reshape(-1, 2, SIDE // cell, cell, SIDE // cell, cell).mean(axis=(3, 5))
    return np.asarray(apart.max(axis=(1, 2, 3)), np.float64)


def _fits(candidate: FrameCandidate[_Frame], chosen: Sequence[tuple[FrameCandidate[_Frame], _Frame]]) -> bool:
    if not chosen:
        return True
    pixels = candidate.pixels + sum(one.pixels for one, _ in chosen)
    return len(chosen) < MAX_LOOKED_AT and pixels <= MAX_PIXELS_KEPT


def _closest(apart: NDArray[np.float64]) -> tuple[int, float]:
    """Returns the place of the later of the two chosen images that are closest, and their distance.

    The first is never the later one: it stays, as viewers show it still."""
    pairs = np.where(np.tri(len(apart), k=-1, dtype=bool), apart, np.inf)
    place = int(pairs.min(axis=1).argmin())
    return place, float(pairs[place].min())


def _is_partial(passed: Sequence[tuple[int, Pixels]], chosen: Sequence[FrameCandidate[_Frame]]) -> bool:
    looked_at, kept = {one.number for one in chosen}, [one.small for one in chosen]
    others = (small for index, small in passed if index not in looked_at)
    return any(distances(small, kept, _COARSE).min() > _PARTIAL for small in others)
