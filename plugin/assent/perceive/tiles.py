"""Wide pictures are looked at in parts as well: shrunk to 320 pixels as a whole, what is small in them is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from assent.perceive.safety import Detection
from assent.values import Pixels

# The longer side over the shorter one from which a frame is cut. No telephone's screen is as long: screenshots are
# many, and parts cost four times as much.
WIDE = 2.4
MOST = 6  # tiles of one frame
_SHARED = 0.25  # share of a tile that it has in common with its neighbour
_OVERLAP = 0.45  # as in one frame


class Tile(NamedTuple):
    frame: int  # place of its frame
    left: int
    top: int
    pixels: Pixels


def tiles(frames: Sequence[Pixels]) -> list[Tile]:
    """The tiles of those frames that are at least WIDE times as long as wide; none of the others."""
    return [Tile(number, *tile) for number, pixels in enumerate(frames) for tile in _cut(pixels)]


def _cut(pixels: Pixels) -> list[tuple[int, int, Pixels]]:
    """Left, top and pixels of each part; squares, or longer ones where six squares do not cover the frame."""
    height, width = pixels.shape[:2]
    short, long = min(height, width), max(height, width)
    if long < WIDE * short:
        return []
    step = 1 - _SHARED
    count = min(MOST, math.ceil((long - short) / (short * step)) + 1)
    side = max(short, math.ceil(long / (1 + (count - 1) * step)))
    starts = np.linspace(0, long - side, count).round().astype(int).tolist()
    if width >= height:
        return [(start, 0, pixels[:, start : start + side]) for start in starts]
    return [(0, start, pixels[start : start + side]) for start in starts]


def together(whole: Sequence[Detection], parts: Sequence[tuple[Tile, Sequence[Detection]]]) -> tuple[Detection, ...]:
    """What was seen in a frame and in its tiles, as one list, best score first; of two boxes of one label that overlap
    the weaker goes."""
    moved = [_moved(one, tile) for tile, seen in parts for one in seen]
    every = sorted([*whole, *moved], key=lambda one: -one.score)
    names = sorted({one.name for one in every})
    boxes = [(left, top, right - left, bottom - top) for left, top, right, bottom in (one.corners for one in every)]
    kinds = [names.index(one.name) for one in every]
    kept = cv2.dnn.NMSBoxesBatched(boxes, [one.score for one in every], kinds, 0.0, _OVERLAP) if every else ()
    return tuple(every[i] for i in sorted(np.ravel(kept).astype(int)))


def _moved(one: Detection, tile: Tile) -> Detection:
    left, top, right, bottom = one.corners
    return replace(one, corners=(left + tile.left, top + tile.top, right + tile.left, bottom + tile.top))
