"""Embedders run by their manifests alone, on faces turned by five points, and tell people apart as was measured."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from insightface.utils import face_align

from assent.core.values import Pixels
from assent.perceive.faces import align, embed
from assent.perceive.faces.calibration import read_calibration
from assent.perceive.networks import backend
from assent.perceive.packs.manifest import Input
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


@cache
def people_faces(scratch: Path) -> list[tuple[str, Pixels, backend.NetworkDetection]]:
    """The strongest face in each photo of somebody known."""
    photos = [(person, read(path)) for person, paths in known_people().items() for path in paths]
    return [(person, pixels, backend.run_detector(real(YUNET, scratch), [pixels])[0][0]) for person, pixels in photos]


@pytest.mark.parametrize("name", EMBEDDERS)
def test_photos_of_one_person_score_as_the_calibration_says(name: str, scratch: Path) -> None:
    opened = real(EMBEDDERS[name], scratch)
    path = models_folder().parent / "facts" / "calibration" / f"{name}.json"
    calibration, measured = read_calibration(path), json.loads(path.read_text())
    who, chips = [], []
    for person, pixels, best in people_faces(scratch):
        assert best.points is not None
        chip = align.chip_by_points(opened.spec, pixels, best.corners, best.points)
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
    boxes = backend.run_detector(real(YUNET, scratch), [pixels])[0][:6]
    assert len(boxes) == 6
    for box in boxes:
        assert box.points is not None
        matrix = align.similarity(box.points, align.template(ARCFACE))
        assert np.allclose(matrix, face_align.estimate_norm(box.points, 112), atol=1e-3)
        chip = align.chip_by_points(ARCFACE, pixels, box.corners, box.points)
        assert chip is not None
        apart = np.abs(chip.pixels.astype(int) - face_align.norm_crop(pixels, box.points).astype(int))
        assert apart.mean() < 0.5


@pytest.mark.parametrize(
    "name", ["minifasnet/2.7_80x80_MiniFASNetV2.onnx", "minifasnet/4_0_0_80x80_MiniFASNetV1SE.onnx"]
)
def test_a_liveness_network_takes_a_face_with_what_is_around_it(name: str, scratch: Path) -> None:
    opened = real(name, scratch)
    pixels = photo("t1.jpg")
    corners = [box.corners for box in backend.run_detector(real(YUNET, scratch), [pixels])[0][:6]]
    scores = backend.around_faces(opened, pixels, corners)
    assert np.allclose([one.sum() for one in scores], 1, atol=1e-3)
    assert np.median([one[1] for one in scores]) > 0.6  # index 1 is "live"; they are people, not prints
