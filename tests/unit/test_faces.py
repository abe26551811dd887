"""Boxes of faces: each face once, inside the picture, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from assent.core.boxes import box_of
from assent.perceive.faces import quality as faces
from assent.perceive.safety.detect import Detection


def test_two_boxes_over_one_face_are_one_face() -> None:
    strong = Detection("face", 0.8, (100, 100, 200, 220))
    inside = Detection("face", 0.6, (120, 130, 180, 200))
    beside = Detection("face", 0.5, (190, 100, 290, 220))
    weak = Detection("face", 0.2, (400, 400, 500, 500))
    other = Detection("nudity.partial.feet", 0.9, (400, 400, 500, 500))
    assert faces.select_faces([inside, other, strong, weak, beside], 0.25) == (strong, beside)


@pytest.mark.parametrize("corners", [(0.0, 0.0, 0.2, 0.2), (5.0, 5.0, 5.0, 5.0), (90.0, 90.0, 140.0, 140.0)])
def test_quality_of_a_box_of_nothing_is_nothing(corners: tuple[float, float, float, float]) -> None:
    assert faces.sharpness(np.full((100, 100, 3), 7, np.uint8), corners) == 0.0


def test_boxes_stay_inside_the_oriented_picture() -> None:
    assert box_of((-3.0, 10.0, 55.0, 99.0), 0.5, 100, 150) == (0, 20, 100, 130)
    assert box_of((49.9, 74.9, 50.0, 75.0), 0.5, 100, 150) == (99, 149, 1, 1)
