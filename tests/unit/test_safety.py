"""The safety network's output becomes boxes of our labels, and tells no gender."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assent.core.resources import resource
from assent.perceive.networks.decoders import yolov8
from assent.perceive.packs.manifest import Input, read_table
from assent.perceive.safety.detect import Detection, prepare_frames, to_detections

ROWS = read_table(resource("models") / "tables/nudenet.tsv")
CLASSES, NAMES = [name for name, _, _ in ROWS], [label for _, label, _ in ROWS]
SPEC = Input(size=(320, 320), colour="bgr", scale=1 / 255)


def test_padding_is_black_and_lies_at_the_bottom_or_right() -> None:
    wide, high = prepare_frames([np.full((300, 600, 3), 255, np.uint8), np.full((600, 300, 3), 255, np.uint8)], SPEC)
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


def detected(raw: NDArray[np.float32], width: int, height: int, spec: Input = SPEC) -> tuple[Detection, ...]:
    return to_detections(yolov8({"output": raw}, spec.size), NAMES, spec, width, height)


def test_the_gender_of_a_face_does_not_come_through() -> None:
    box = (100.0, 100.0, 50.0, 60.0)
    woman, man = (detected(output((name, 0.9, box)), 320, 320) for name in ("FACE_FEMALE", "FACE_MALE"))
    assert woman == man == (Detection("face", float(np.float32(0.9)), (75, 70, 125, 130)),)


def test_of_two_boxes_over_one_thing_the_stronger_stays_whatever_the_class() -> None:
    found = detected(
        output(
            ("BUTTOCKS_EXPOSED", 0.6, (100, 100, 50, 50)),
            ("BUTTOCKS_COVERED", 0.7, (102, 100, 50, 50)),
            ("BUTTOCKS_EXPOSED", 0.4, (200, 200, 50, 50)),
        ),
        640,
        640,
    )
    assert [(d.name, d.corners) for d in found] == [
        ("body.covered.buttocks", (154, 150, 254, 250)),
        ("nudity.explicit.buttocks", (350, 350, 450, 450)),
    ]


def test_a_box_over_the_edge_is_cut_and_one_in_the_padding_goes() -> None:
    found = detected(
        output(("FEET_EXPOSED", 0.6, (0, 20, 60, 60)), ("FEET_EXPOSED", 0.6, (200, 300, 20, 20))), 320, 160
    )
    assert [d.corners for d in found] == [(0, 0, 30, 50)]


def test_weak_boxes_are_kept_from_five_percent() -> None:
    found = detected(
        output(("FEET_EXPOSED", 0.06, (50, 50, 20, 20)), ("FEET_EXPOSED", 0.04, (200, 200, 20, 20))), 320, 320
    )
    assert [round(d.score, 2) for d in found] == [0.06]


def test_size_colours_and_padding_are_the_manifests() -> None:
    spec = Input(size=(64, 32), mean=(1.0, 2.0, 3.0), std=(2.0, 2.0, 2.0), pad=7)
    (prepared,) = prepare_frames([np.full((32, 32, 3), (11, 22, 33), np.uint8)], spec)
    assert prepared.shape == (3, 32, 64)
    assert prepared[:, 0, 0].tolist() == [5.0, 10.0, 15.0]
    assert prepared[:, 0, -1].tolist() == [3.0, 2.5, 2.0]
    (small,) = prepare_frames([np.full((16, 16, 3), 11, np.uint8)], spec)
    assert small[0, 0, 0] == 5.0
    assert small[0, 0, -1] == 3.0


def test_boxes_are_scaled_by_the_manifests_size() -> None:
    raw = output(("FACE_MALE", 0.9, (100, 100, 50, 50)))
    assert [one.corners for one in detected(raw, 640, 640)] == [(150, 150, 250, 250)]
    wide = np.zeros((4 + len(CLASSES), 80 * 40 + 40 * 20 + 20 * 10), np.float32)
    wide[:, 0] = raw[:, 0]
    assert [one.corners for one in detected(wide, 1280, 640, Input(size=(640, 320)))] == [(150, 150, 250, 250)]
