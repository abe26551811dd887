"""NudeNet's output becomes boxes of our labels, and tells no gender."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assent.core.taxonomy import NUDENET
from assent.perceive.packs.manifest import read_pack
from assent.perceive.safety.nudenet import Detection, decode_boxes, prepare_frames

CLASSES = read_pack("embedded").one("safety").labels


NAMES = tuple(NUDENET[name] for name in CLASSES)


def test_padding_is_black_and_lies_at_the_bottom_or_right() -> None:
    wide, high = prepare_frames([np.full((300, 600, 3), 255, np.uint8), np.full((600, 300, 3), 255, np.uint8)])
    assert wide[:, :160].min() == 1
    assert wide[:, 160:].max() == 0
    assert high[:, :, :160].min() == 1
    assert high[:, :, 160:].max() == 0


def output(*boxes: tuple[str, float, tuple[float, float, float, float]]) -> NDArray[np.float32]:
    """What the network would say: class, score, and centre and size in its 320 pixels."""
    made = np.zeros((4 + len(CLASSES), 2100), np.float32)
    for place, (name, score, box) in enumerate(boxes):
        made[:4, place] = box
        made[4 + CLASSES.index(name), place] = score
    return made


def test_the_gender_of_a_face_does_not_come_through() -> None:
    box = (100.0, 100.0, 50.0, 60.0)
    woman, man = (decode_boxes(output((name, 0.9, box)), NAMES, 320, 320) for name in ("FACE_FEMALE", "FACE_MALE"))
    assert woman == man == (Detection("face", float(np.float32(0.9)), (75, 70, 125, 130)),)


def test_of_two_boxes_over_one_thing_the_stronger_stays_whatever_the_class() -> None:
    found = decode_boxes(
        output(
            ("BUTTOCKS_EXPOSED", 0.6, (100, 100, 50, 50)),
            ("BUTTOCKS_COVERED", 0.7, (102, 100, 50, 50)),
            ("BUTTOCKS_EXPOSED", 0.4, (200, 200, 50, 50)),
        ),
        NAMES,
        640,
        640,
    )
    assert [(d.name, d.corners) for d in found] == [
        ("body.covered.buttocks", (154, 150, 254, 250)),
        ("nudity.explicit.buttocks", (350, 350, 450, 450)),
    ]


def test_a_box_over_the_edge_is_cut_and_one_in_the_padding_goes() -> None:
    found = decode_boxes(
        output(("FEET_EXPOSED", 0.6, (0, 20, 60, 60)), ("FEET_EXPOSED", 0.6, (200, 300, 20, 20))), NAMES, 320, 160
    )
    assert [d.corners for d in found] == [(0, 0, 30, 50)]


def test_weak_boxes_are_kept_from_five_percent() -> None:
    found = decode_boxes(
        output(("FEET_EXPOSED", 0.06, (50, 50, 20, 20)), ("FEET_EXPOSED", 0.04, (200, 200, 20, 20))), NAMES, 320, 320
    )
    assert [round(d.score, 2) for d in found] == [0.06]
