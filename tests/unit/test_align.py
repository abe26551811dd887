"""A face is turned upright by its five points, and a narrow one is left."""

from __future__ import annotations

import numpy as np

from assent.perceive.faces import align
from assent.perceive.packs.manifest import Input
from tests.unit.perceive_photos import photo

ARCFACE = Input(size=(112, 112), fit="aligned", align="arcface")


def test_a_turned_copy_of_a_photo_gives_nearly_the_same_chip() -> None:
    points = align.template(ARCFACE) * 2 + np.array([60, 40], np.float32)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]], np.float32)
    matrix = align.similarity(points @ turn.T, align.template(ARCFACE))
    back = np.concatenate([points @ turn.T, np.ones((5, 1), np.float32)], axis=1) @ matrix.T
    assert np.allclose(back, align.template(ARCFACE), atol=1e-3)


def test_a_narrow_face_gets_no_chip() -> None:
    pixels = photo("t1.jpg")
    assert align.chip_by_points(ARCFACE, pixels, (10, 10, 48, 60), align.template(ARCFACE)) is None
    assert align.chip_by_points(ARCFACE, pixels, (10, 10, 52, 60), align.template(ARCFACE)) is not None


def test_a_frontal_face_has_more_pose_than_a_turned_one() -> None:
    points = align.template(ARCFACE).copy()
    frontal = align.chip_by_points(ARCFACE, photo("t1.jpg"), (0, 0, 112, 112), points)
    points[2, 0] = points[1, 0]
    turned = align.chip_by_points(ARCFACE, photo("t1.jpg"), (0, 0, 112, 112), points)
    assert frontal is not None
    assert turned is not None
    assert frontal.pose > 0.95
    assert turned.pose < 0.55
