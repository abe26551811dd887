"""Cuts wide and very large frames into tiles, and merges the detections.

Shrunk to the safety network's input as a whole, such a frame loses what is small in it. The figures were measured with
an input of 320 pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from assent.core.boxes import longer_side, shifted
from assent.core.values import Frame, Pixels
from assent.perceive.networks.suppression import suppress
from assent.perceive.safety.detect import Detection

# The longer side over the shorter one from which a frame is cut. No telephone's screen is as long: screenshots are
# many, and parts cost four times as much.
WIDE = 2.4
MOST_TILES = 6  # tiles of one wide frame
# Pixels of the original above which a frame is cut into GRID tiles across and down. Frames hold at most 4,096 pixels a
# side, so their own size does not tell a telephone's 12 megapixels from 50; parts cost up to nine times as much,
# and what platforms hand out (Mastodon: 8.3 megapixels) and a telephone's 12 should not. Of 216 people of a crowd in
# 4096 × 3072 none is found as a whole, 57 with 2 × 2 parts, 158 with 3 × 3 (`tests.bench.preprocessing --large`).
LARGE = 16_000_000
GRID = 3
# Boxes longer than this share of a part of a large frame are left to the frame as a whole, where they are 38 of 320
# pixels. Of 60 harmless photos that fill 4096 × 3072, 6 have an explicit box from 0.25 up as a whole and 1 from 0.60;
# with parts 21 and 4, with parts and this limit 7 and 1 (the same command).
_SMALL = 0.3
_SHARED = 0.25  # share of a tile that it has in common with its neighbour


class Tile(NamedTuple):
    frame: int  # index of its frame among those given
    left: int
    top: int
    pixels: Pixels
    most: float = math.inf  # pixels; longer boxes do not count


def tiles(frames: Sequence[Frame]) -> list[Tile]:
    """Returns the tiles of the wide and the large frames, none of the others.

    Wide: at least WIDE times as long as wide. Large: its original has more than LARGE pixels."""
    return [tile for number, frame in enumerate(frames) for tile in _cut(number, frame)]


def tiles_of_wide(frames: Sequence[Frame]) -> list[Tile]:
    """Returns the tiles of the wide frames alone."""
    return [Tile(number, *part) for number, frame in enumerate(frames) if _wide(frame) for part in _row(frame.pixels)]


def _wide(frame: Frame) -> bool:
    height, width = frame.pixels.shape[:2]
    return max(height, width) >= WIDE * min(height, width)


def _cut(number: int, frame: Frame) -> list[Tile]:
    height, width = frame.pixels.shape[:2]
    if _wide(frame):
        return [Tile(number, *part) for part in _row(frame.pixels)]
    return grid(number, frame.pixels, GRID) if height * width > LARGE * frame.scale**2 else []


def grid(number: int, pixels: Pixels, across: int) -> list[Tile]:
    """Cuts a frame into `across` × `across` overlapping tiles of the frame's shape."""
    height, width = pixels.shape[:2]
    down, right = (math.ceil(side / (1 + (across - 1) * (1 - _SHARED))) for side in (height, width))
    tops = np.linspace(0, height - down, across).round().astype(int).tolist()
    lefts = np.linspace(0, width - right, across).round().astype(int).tolist()
    most = _SMALL * max(down, right)
    return [
        Tile(number, left, top, pixels[top : top + down, left : left + right], most) for top in tops for left in lefts
    ]


def _row(pixels: Pixels) -> list[tuple[int, int, Pixels]]:
    """Returns left, top and pixels of each part; squares, or longer ones where six squares do not cover the frame."""
    height, width = pixels.shape[:2]
    short, long = min(height, width), max(height, width)
    step = 1 - _SHARED
    count = min(MOST_TILES, math.ceil((long - short) / (short * step)) + 1)
    side = max(short, math.ceil(long / (1 + (count - 1) * step)))
    starts = np.linspace(0, long - side, count).round().astype(int).tolist()
    if width >= height:
        return [(start, 0, pixels[:, start : start + side]) for start in starts]
    return [(0, start, pixels[start : start + side]) for start in starts]


def merge_detections(
    whole: Sequence[Detection], parts: Sequence[tuple[Tile, Sequence[Detection]]]
) -> tuple[Detection, ...]:
    """Merges the detections of a frame and of its tiles into one list, best score first.

    Of two boxes of one label that overlap the weaker is dropped."""
    of_tiles = [
        replace(detection, corners=shifted(detection.corners, tile.left, tile.top))
        for tile, detections in parts
        for detection in detections
        if longer_side(detection.corners) <= tile.most
    ]
    every = sorted([*whole, *of_tiles], key=lambda detection: -detection.score)
    names = sorted({detection.name for detection in every})
    corners = np.array([detection.corners for detection in every], np.float64).reshape(-1, 4)
    scores = np.array([detection.score for detection in every], np.float64)
    kinds = np.array([names.index(detection.name) for detection in every], np.intp)
    return tuple(every[i] for i in sorted(suppress(corners, scores, 0.0, kinds)))
