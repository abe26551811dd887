"""Wide pictures are looked at in parts as well, and what two parts show of one thing is said once."""

from __future__ import annotations

import cv2
import numpy as np

from assent.core.values import Pixels
from assent.perceive import Models, perceive
from assent.perceive.safety import detect as safety
from tests.unit.perceive_photos import photo, picture


def panorama() -> tuple[Pixels, int]:
    """Two copies of the group photo, reduced, far apart on grey."""
    group = cv2.resize(photo("t1.jpg"), (640, 443))
    wide = np.full((443, 2400, 3), 90, np.uint8)
    wide[:, 100:740] = group
    wide[:, 1700:2340] = group
    return wide, 12


def test_faces_in_a_panorama_are_found_only_by_its_parts(models: Models) -> None:
    wide, people = panorama()
    (seen,) = perceive(models, [picture(wide)], embed=False)
    assert len(seen.faces) == people
    (whole,) = safety.detect(models.safety, [wide])
    assert sum(one.name == "face" and one.score >= 0.25 for one in whole) < people / 2
    for face in seen.faces:
        x, _, width, _ = face.box
        assert 100 <= x + width / 2 <= 740 or 1700 <= x + width / 2 <= 2340


def test_things_at_the_ends_of_a_wide_picture_are_named_too(models: Models) -> None:
    names = ("chelsea.png", "coffee.png", "motorcycle_left.png")
    row = np.concatenate([cv2.resize(photo(name), (400, 300)) for name in names], axis=1)
    things = {"animal.cat", "food.drink.other", "object.vehicle.motorcycle"}
    for wide in (row, np.rot90(row)):
        (seen,) = perceive(models, [picture(wide)], embed=False)
        named = [tag for tag in seen.tags if tag.model == models.backbone.id]
        assert len({tag.name for tag in named}) == len(named)
        assert {tag.box for tag in named} == {None}
        assert seen.features[0].shape == (3840,)
        assert wide is not row or things <= {tag.name for tag in named if tag.score > 0.4}


def crowd() -> Pixels:
    """Six copies of the group photo, far apart on grey; faces 95 to 127 pixels wide."""
    group, large = photo("t1.jpg"), np.full((3072, 4096, 3), 90, np.uint8)
    for x in (40, 1400, 2760):
        for y in (300, 1800):
            large[y : y + group.shape[0], x : x + group.shape[1]] = group
    return large


def test_the_small_faces_of_a_crowd_are_found_only_where_the_original_was_very_large(models: Models) -> None:
    (seen,) = perceive(models, [picture(crowd(), scale=0.8)], embed=False)
    assert len(seen.faces) >= 30  # of 36
    assert max(face.box[2] for face in seen.faces) < 300
    places = {((face.box[0] * 0.8 - 40) // 1360, (face.box[1] * 0.8 - 300) // 1500) for face in seen.faces}
    assert places == {(column, row) for column in range(3) for row in range(2)}
    (whole,) = perceive(models, [picture(crowd())], embed=False)
    assert len(whole.faces) < 6


def test_a_picture_beside_a_panorama_is_seen_as_if_alone(models: Models) -> None:
    pictures = [picture(photo("t1.jpg")), picture(panorama()[0]), picture(photo("chelsea.png"))]
    alone = [perceive(models, [one], embed=False)[0] for one in pictures]
    for single, together_ in zip(alone, perceive(models, pictures, embed=False), strict=True):
        assert [face.box for face in together_.faces] == [face.box for face in single.faces]
        assert [tag.name for tag in together_.tags] == [tag.name for tag in single.tags]
