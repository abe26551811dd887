"""Face detectors run by their manifests alone, and find the faces where they are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from assent.core.values import Pixels
from assent.perceive.networks import backend
from assent.perceive.networks.backend import NetworkDetection
from tests.photos import FACES
from tests.unit.perceive_photos import known_people, photo, read
from tests.unit.real_models import models_folder, real

YUNET = "yunet/face_detection_yunet_2023mar.onnx"
DETECTORS = (YUNET, "yunet/yunet_s_dynamic.onnx", "scrfd_500m/det_500m.onnx")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def found(name: str, scratch: Path, *frames: Pixels) -> list[list[NetworkDetection]]:
    opened = real(name, scratch)
    return [
        [box for box in boxes if box.score >= opened.file.threshold] for boxes in backend.run_detector(opened, frames)
    ]


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes by their corners."""
    sides = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    shared = sides[0] * sides[1]
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared / (sum(area) - shared)


@pytest.mark.parametrize("name", DETECTORS)
def test_all_six_people_of_the_group_photo_are_found(name: str, scratch: Path) -> None:
    (boxes,) = found(name, scratch, photo("t1.jpg"))
    assert len(boxes) == 6
    for x, y, width, height in FACES.values():
        best = max(boxes, key=lambda box: overlap(box.corners, (x, y, x + width, y + height)))
        assert overlap(best.corners, (x, y, x + width, y + height)) > 0.5


@pytest.mark.parametrize("name", DETECTORS)
def test_the_five_points_lie_in_the_box_as_in_a_face(name: str, scratch: Path) -> None:
    boxes = found(name, scratch, photo("t1.jpg"))[0]
    assert boxes
    for box in boxes:
        assert box.points is not None
        left_eye, right_eye, nose, left_mouth, right_mouth = box.points
        left, top, right, bottom = box.corners
        assert ((box.points > (left, top)) & (box.points < (right, bottom))).all()
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("name", DETECTORS)
def test_no_face_is_found_where_there_is_none(name: str, scratch: Path) -> None:
    assert found(name, scratch, photo("chelsea.png"), photo("coffee.png"), photo("page.png")) == [[], [], []]


@pytest.mark.parametrize("name", DETECTORS)
def test_every_still_of_eight_people_shows_one_face(name: str, scratch: Path) -> None:
    stills = [read(path) for paths in known_people().values() for path in paths]
    assert [len(boxes) for boxes in found(name, scratch, *stills)] == [1] * len(stills)


def test_opencvs_own_reader_of_yunet_finds_the_same(scratch: Path) -> None:
    pixels = np.ascontiguousarray(photo("t1.jpg")[:640, :640, ::-1])
    theirs = cv2.FaceDetectorYN.create(str(models_folder() / YUNET), "", (640, 640), 0.6)
    _, rows = theirs.detect(pixels)
    (ours,) = found(YUNET, scratch, np.ascontiguousarray(pixels[..., ::-1]))
    assert len(rows) == len(ours) > 0
    for row, box in zip(sorted(rows.tolist()), sorted(ours, key=lambda box: box.corners), strict=True):
        x, y, width, height = row[:4]
        assert np.allclose(np.clip([x, y, x + width, y + height], 0, 640), box.corners, atol=0.5)
        assert box.points is not None
        assert np.allclose(np.reshape(row[4:14], (5, 2)), box.points, atol=0.5)
        assert row[14] == pytest.approx(box.score, abs=1e-3)


def test_frames_of_several_sizes_go_through_together(scratch: Path) -> None:
    frames = (photo("t1.jpg"), photo("t1.jpg"), photo("astronaut.png"), photo("t1.jpg")[:, :400])
    name = "yunet/yunet_s_dynamic.onnx"
    together = found(name, scratch, *frames)
    for alone, boxes in zip((found(name, scratch, frame)[0] for frame in frames), together, strict=True):
        assert len(boxes) == len(alone) > 0
        assert np.allclose([box.corners for box in boxes], [box.corners for box in alone], atol=0.1)
