"""Wide pictures are looked at in parts as well, and what two parts show of one thing is said once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from assent.perceive import Models, perceive, safety
from assent.perceive.safety import Detection
from assent.perceive.tiles import MOST, Tile, tiles, together
from assent.values import Pixels
from tests.unit.perceive_photos import models, photo, picture


@pytest.fixture
def opened(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize(("width", "height"), [(1280, 886), (2340, 1080), (1080, 2400), (1, 1), (640, 640)])
def test_ordinary_pictures_are_left_whole(width: int, height: int) -> None:
    assert tiles([np.zeros((height, width, 3), np.uint8)]) == []


@pytest.mark.parametrize(("width", "height"), [(1200, 500), (500, 1200), (4096, 300), (300, 4096), (4000, 7), (3, 1)])
def test_tiles_cover_the_whole_frame_and_are_few(width: int, height: int) -> None:
    frame = np.zeros((height, width, 3), np.uint8)
    seen = np.zeros((height, width), bool)
    parts = tiles([np.zeros((8, 8, 3), np.uint8), frame])
    assert 2 <= len(parts) <= MOST
    for tile in parts:
        assert tile.frame == 1
        down, across = tile.pixels.shape[:2]
        assert tile.pixels.base is frame
        seen[tile.top : tile.top + down, tile.left : tile.left + across] = True
    assert seen.all()


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
