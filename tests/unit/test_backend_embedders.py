"""Embedders run by their manifests alone, on faces turned by five points, and tell people apart as was measured."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from insightface.utils import face_align

from assent.perceive import align, backend, embed
from assent.perceive.calibration import read_calibration
from assent.perceive.packs import Input
from tests.unit.perceive_photos import known_people, photo, read
from tests.unit.real_models import models_folder, real

YUNET = "yunet/face_detection_yunet_2023mar.onnx"
EMBEDDERS = {
    "face-reid-0095": "face-reid-0095/face-reidentification-retail-0095.onnx",
    "mobilefacenet": "mobilefacenet/MobileFaceNet.onnx",
}
ARCFACE = Input(size=(112, 112), fit="aligned", align="arcface")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("name", EMBEDDERS)
def test_photos_of_one_person_score_as_the_calibration_says(name: str, scratch: Path) -> None:
    opened, finder = real(EMBEDDERS[name], scratch), real(YUNET, scratch)
    path = models_folder().parent / "facts" / "calibration" / f"{name}.json"
    calibration, measured = read_calibration(path), json.loads(path.read_text())
    who, chips = [], []
    for person, photos in known_people().items():
        for pixels in map(read, photos):
            best = backend.detect(finder, [pixels])[0][0]
            assert best.points is not None
            chip = align.cut(opened.spec, pixels, best.corners, best.points)
            assert chip is not None
            who.append(person)
            chips.append(chip.pixels)
    vectors = embed.embed(backend.as_embedder(opened), calibration.mean, chips)
    pairs = list(combinations(zip(who, vectors, strict=True), 2))
    genuine = np.array([u @ v for (a, u), (b, v) in pairs if a == b])
    strangers = np.array([u @ v for (a, u), (b, v) in pairs if a != b])
    assert len(genuine) == measured["genuine_pairs"]
    for share in ("0.25", "0.5", "0.75"):
        assert np.quantile(genuine, float(share)) == pytest.approx(measured["genuine_quantiles"][share], abs=0.06)
    assert strangers.max() < calibration.impostor_max
    assert (genuine >= calibration.threshold(1)).mean() > 0.95


@pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")  # insightface's way of calling skimage
def test_a_face_is_turned_as_insightface_turns_it(scratch: Path) -> None:
    pixels = np.ascontiguousarray(photo("t1.jpg"))
    for box in backend.detect(real(YUNET, scratch), [pixels])[0][:6]:
        assert box.points is not None
        matrix = align.similarity(box.points, align.template(ARCFACE))
        assert np.allclose(matrix, face_align.estimate_norm(box.points, 112), atol=1e-3)
        chip = align.cut(ARCFACE, pixels, box.corners, box.points)
        assert chip is not None
        apart = np.abs(chip.pixels.astype(int) - face_align.norm_crop(pixels, box.points).astype(int))
        assert apart.mean() < 0.5


def test_a_turned_copy_of_a_photo_gives_nearly_the_same_chip() -> None:
    points = align.template(ARCFACE) * 2 + np.array([60, 40], np.float32)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]], np.float32)
    matrix = align.similarity(points @ turn.T, align.template(ARCFACE))
    back = np.concatenate([points @ turn.T, np.ones((5, 1), np.float32)], axis=1) @ matrix.T
    assert np.allclose(back, align.template(ARCFACE), atol=1e-3)


def test_a_narrow_face_gets_no_chip() -> None:
    pixels = photo("t1.jpg")
    assert align.cut(ARCFACE, pixels, (10, 10, 48, 60), align.template(ARCFACE)) is None
    assert align.cut(ARCFACE, pixels, (10, 10, 52, 60), align.template(ARCFACE)) is not None


def test_a_frontal_face_has_more_pose_than_a_turned_one() -> None:
    points = align.template(ARCFACE).copy()
    frontal = align.cut(ARCFACE, photo("t1.jpg"), (0, 0, 112, 112), points)
    points[2, 0] = points[1, 0]
    turned = align.cut(ARCFACE, photo("t1.jpg"), (0, 0, 112, 112), points)
    assert frontal is not None
    assert turned is not None
    assert frontal.pose > 0.95
    assert turned.pose < 0.55


@pytest.mark.parametrize(
    "name", ["minifasnet/2.7_80x80_MiniFASNetV2.onnx", "minifasnet/4_0_0_80x80_MiniFASNetV1SE.onnx"]
)
def test_a_liveness_network_takes_a_face_with_what_is_around_it(name: str, scratch: Path) -> None:
    opened = real(name, scratch)
    pixels = photo("t1.jpg")
    corners = [box.corners for box in backend.detect(real(YUNET, scratch), [pixels])[0][:6]]
    scores = backend.around_faces(opened, pixels, corners)
    assert np.allclose([one.sum() for one in scores], 1, atol=1e-3)
    assert np.median([one[1] for one in scores]) > 0.6  # index 1 is "live"; they are people, not prints
