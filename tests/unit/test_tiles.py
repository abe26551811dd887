"""Wide and very large pictures are cut into parts, and what two parts show of one thing is said once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from assent.core.values import Frame
from assent.perceive.frames.tiles import GRID, LARGE, MOST_TILES, Tile, merge_detections, tiles
from assent.perceive.safety.detect import Detection


@pytest.mark.parametrize(("width", "height"), [(1280, 886), (1080, 2400), (1, 1), (640, 640), (4032, 3024)])
def test_ordinary_pictures_are_left_whole(width: int, height: int) -> None:
    assert tiles([blank(width, height)]) == []


@pytest.mark.parametrize(("width", "height"), [(1200, 500), (500, 1200), (4096, 300), (300, 4096), (4000, 7), (3, 1)])
def test_tiles_cover_the_whole_frame_and_are_few(width: int, height: int) -> None:
    frame = blank(width, height)
    parts = tiles([blank(8, 8), frame])
    assert 2 <= len(parts) <= MOST_TILES
    assert covered(parts, frame).all()


@pytest.mark.parametrize(("width", "height", "scale"), [(4096, 3072, 0.8), (3072, 4096, 0.5), (4001, 4001, 1.0)])
def test_very_large_pictures_are_cut_into_a_grid_of_their_shape(width: int, height: int, scale: float) -> None:
    frame = blank(width, height, scale)
    parts = tiles([blank(8, 8), frame])
    assert len(parts) == GRID**2
    assert len({tile.pixels.shape for tile in parts}) == 1
    times = covered(parts, frame)
    assert times.min() == 1
    middle = times[height // 2]
    assert 0.15 < (middle > 1).mean() < 0.3  # what lies on a border is whole in one of them


def test_the_size_of_the_original_counts_and_not_the_frames() -> None:
    scale = (3000 * 2000 / LARGE) ** 0.5
    assert tiles([blank(3000, 2000, scale * 1.01)]) == []
    assert len(tiles([blank(3000, 2000, scale * 0.99)])) == GRID**2


def blank(width: int, height: int, scale: float = 1.0) -> Frame:
    return Frame(0, np.zeros((height, width, 3), np.uint8), scale)


def covered(parts: list[Tile], frame: Frame) -> NDArray[np.uint8]:
    """How many parts show each pixel of the frame, the second of those that were cut."""
    seen = np.zeros(frame.pixels.shape[:2], np.uint8)
    for tile in parts:
        assert tile.frame == 1
        assert tile.pixels.base is frame.pixels
        down, across = tile.pixels.shape[:2]
        seen[tile.top : tile.top + down, tile.left : tile.left + across] += 1
    return seen


def test_what_two_tiles_show_is_one_and_the_stronger_wins() -> None:
    pixels = np.zeros((9, 9, 3), np.uint8)
    left = Tile(0, 0, 0, pixels), (Detection("face", 0.6, (90.0, 10.0, 120.0, 40.0)),)
    right = (
        Tile(0, 80, 0, pixels),
        (
            Detection("face", 0.7, (11.0, 10.0, 41.0, 40.0)),
            Detection("body.covered.feet", 0.3, (11.0, 10.0, 41.0, 40.0)),
        ),
    )
    found = merge_detections((Detection("face", 0.1, (300.0, 0.0, 310.0, 10.0)),), [left, right])
    assert [(one.name, one.score, one.corners[0]) for one in found] == [
        ("face", 0.7, 91.0),
        ("body.covered.feet", 0.3, 91.0),
        ("face", 0.1, 300.0),
    ]
    assert merge_detections((), [(left[0], ())]) == ()


def test_what_is_large_in_a_part_of_a_large_picture_is_left_to_the_whole() -> None:
    tile = tiles([blank(4096, 3072, 0.8)])[0]
    small = Detection("nudity.explicit.breast", 0.9, (10.0, 10.0, 410.0, 310.0))
    close = Detection("nudity.explicit.breast", 0.9, (600.0, 10.0, 1200.0, 310.0))
    assert merge_detections((), [(tile, (close, small))]) == (small,)
    assert merge_detections((close,), [(tile, ())]) == (close,)
    row = tiles([blank(2400, 600)])[0]
    assert len(merge_detections((), [(row, (close, small))])) == 2
