"""A picture that viewers turn differently is looked at both ways; a face on its side is compared like one upright."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from assent.core.boxes import SAME_FACE_IOU, iou
from assent.core.values import Face, Pixels
from assent.media.turns import box_before, inverse, turned
from assent.perceive import Models, perceive
from tests.photos import FACES
from tests.unit.perceive_photos import photo, picture


def faces(models: Models, pixels: Pixels, other_turn: int = 1) -> tuple[Face, ...]:
    (seen,) = perceive(models, [replace(picture(pixels), other_turn=other_turn)])
    return seen.faces


def alone(name: str) -> Pixels:
    x, y, width, height = FACES[name]
    return photo("t1.jpg")[max(0, y - height // 2) : y + height * 3 // 2, max(0, x - width // 2) : x + width * 3 // 2]


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_a_face_on_its_side_or_upside_down_is_the_same_person(models: Models, turn: int) -> None:
    (upright,) = faces(models, alone("third"))
    (lying,) = faces(models, np.ascontiguousarray(turned(alone("third"), turn)))
    assert upright.embedding is not None
    assert lying.embedding is not None
    assert float(upright.embedding @ lying.embedding) > 0.95
    assert lying.pose > 0.8


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_both_turns_are_looked_at_and_boxes_are_those_of_the_picture_as_it_is_stored(models: Models, turn: int) -> None:
    group = photo("t1.jpg")
    height, width = group.shape[:2]
    upright = faces(models, group)
    stored = np.ascontiguousarray(turned(group, inverse(turn)))
    both = faces(models, stored, other_turn=turn)
    assert len(both) == len(upright) == len(FACES)
    size = (height, width) if turn in (6, 8) else (width, height)
    wanted = [box_before(face.box, turn, *size) for face in upright]
    assert all(max(iou(face.box, box) for box in wanted) > SAME_FACE_IOU for face in both)
