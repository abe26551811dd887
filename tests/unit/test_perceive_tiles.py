"""Wide pictures are looked at in parts as well, and what two parts show of one thing is said once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from assent.perceive import Models, perceive, safety
from assent.perceive.safety import Detection
from assent.perceive.tiles import GRID, LARGE, MOST, Tile, tiles, together
from assent.values import Frame, Pixels
from tests.unit.perceive_photos import models, photo, picture


@pytest.fixture
def opened(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(("width", "height"), [(1280, 886), (1080, 2400), (1, 1), (640, 640), (4032, 3024)])
def test_ordinary_pictures_are_left_whole(width: int, height: int) -> None:
    assert tiles([blank(width, height)]) == []


@pytest.mark.parametrize(("width", "height"), [(1200, 500), (500, 1200), (4096, 300), (300, 4096), (4000, 7), (3, 1)])
def test_tiles_cover_the_whole_frame_and_are_few(width: int, height: int) -> None:
    frame = blank(width, height)
    parts = tiles([blank(8, 8), frame])
    assert 2 <= len(parts) <= MOST
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


def panorama() -> tuple[Pixels, int]:
    """Two copies of the group photo, reduced, far apart on grey."""
    group = cv2.resize(photo("t1.jpg"), (640, 443))
    wide = np.full((443, 2400, 3), 90, np.uint8)
    wide[:, 100:740] = group
    wide[:, 1700:2340] = group
    return wide, 12


def test_faces_in_a_panorama_are_found_only_by_its_parts(opened: Models) -> None:
    wide, people = panorama()
    (seen,) = perceive(opened, [picture(wide)], embed=False)
    assert len(seen.faces) == people
    (whole,) = safety.detect(opened.safety, opened.labels, [wide])
    assert sum(one.name == "face" and one.score >= 0.25 for one in whole) < people / 2
    for face in seen.faces:
        x, _, width, _ = face.box
        assert 100 <= x + width / 2 <= 740 or 1700 <= x + width / 2 <= 2340


def crowd() -> Pixels:
    """Six copies of the group photo, far apart on grey; faces 95 to 127 pixels wide."""
    group, large = photo("t1.jpg"), np.full((3072, 4096, 3), 90, np.uint8)
    for x in (40, 1400, 2760):
        for y in (300, 1800):
            large[y : y + group.shape[0], x : x + group.shape[1]] = group
    return large


def test_the_small_faces_of_a_crowd_are_found_only_where_the_original_was_very_large(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(crowd(), scale=0.8)], embed=False)
    assert len(seen.faces) >= 30  # of 36
    assert max(face.box[2] for face in seen.faces) < 300
    places = {((face.box[0] * 0.8 - 40) // 1360, (face.box[1] * 0.8 - 300) // 1500) for face in seen.faces}
    assert places == {(column, row) for column in range(3) for row in range(2)}
    (whole,) = perceive(opened, [picture(crowd())], embed=False)
    assert len(whole.faces) < 6


def test_a_picture_beside_a_panorama_is_seen_as_if_alone(opened: Models) -> None:
    pictures = [picture(photo("t1.jpg")), picture(panorama()[0]), picture(photo("chelsea.png"))]
    alone = [perceive(opened, [one], embed=False)[0] for one in pictures]
    for single, together_ in zip(alone, perceive(opened, pictures, embed=False), strict=True):
        assert [face.box for face in together_.faces] == [face.box for face in single.faces]
        assert [tag.name for tag in together_.tags] == [tag.name for tag in single.tags]


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
    found = together((Detection("face", 0.1, (300.0, 0.0, 310.0, 10.0)),), [left, right])
    assert [(one.name, one.score, one.corners[0]) for one in found] == [
        ("face", 0.7, 91.0),
        ("body.covered.feet", 0.3, 91.0),
        ("face", 0.1, 300.0),
    ]
    assert together((), [(left[0], ())]) == ()


def test_what_is_large_in_a_part_of_a_large_picture_is_left_to_the_whole() -> None:
    tile = tiles([blank(4096, 3072, 0.8)])[0]
    small = Detection("nudity.explicit.breast", 0.9, (10.0, 10.0, 410.0, 310.0))
    close = Detection("nudity.explicit.breast", 0.9, (600.0, 10.0, 1200.0, 310.0))
    assert together((), [(tile, (close, small))]) == (small,)
    assert together((close,), [(tile, ())]) == (close,)
    row = tiles([blank(2400, 600)])[0]
    assert len(together((), [(row, (close, small))])) == 2
