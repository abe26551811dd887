"""insightface's own code: FaceAnalysis on a folder of one's own, and its recogniser on a pack's file; no network."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from insightface.app import FaceAnalysis
from insightface.model_zoo.attribute import Attribute

from assent.core.errors import LicenceNotAccepted, ModelMissing, ModelUnknown
from assent.perceive import load_models, perceive
from assent.perceive.colour import COLOURS_ID
from assent.perceive.faces import align
from assent.perceive.faces import insightface as insight
from assent.perceive.networks import backend
from assent.perceive.networks.runtime import run_network
from assent.perceive.packs.active import PackChoice, write_choice
from assent.perceive.packs.manifest import Input
from tests.photos import FACES
from tests.unit.perceive_photos import photo, picture
from tests.unit.real_models import described, entry, models_folder, real
from tests.unit.small_nets import arcface_shaped, net

RESEARCH = ("insightface-non-commercial-research",)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the library tried the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """SCRFD-500M, an ArcFace-shaped network, and a manifest of version 2."""
    made = tmp_path / "own"
    made.mkdir()
    shutil.copy(models_folder() / "scrfd_500m/det_500m.onnx", made)
    (made / "recognition.onnx").write_bytes(arcface_shaped())
    tasks = {"detection": {"file": "det_500m.onnx"}, "recognition": {"file": "recognition.onnx"}}
    manifest = {"manifest_version": 2, "model_id": "own", "license": "MODEL.LICENSE", "tasks": tasks}
    (made / "manifest.json").write_text(json.dumps(manifest))
    return made


@pytest.fixture
def chosen_dir(tmp_path: Path, folder: Path) -> Path:
    write_choice(tmp_path / "models", PackChoice((f"insightface@{folder}",), insight.model_hashes(folder)))
    return tmp_path / "models"


@pytest.mark.parametrize("manifest", [True, False], ids=["manifest", "by shapes"])
def test_a_folder_of_ones_own_finds_and_embeds_faces(chosen_dir: Path, folder: Path, manifest: bool) -> None:
    if not manifest:
        (folder / "manifest.json").unlink()
        write_choice(chosen_dir, PackChoice((f"insightface@{folder}",), insight.model_hashes(folder)))
    opened = load_models(chosen_dir, 2, RESEARCH)
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))])
    assert len(seen.faces) == len(FACES)
    assert seen.embedder.startswith("recognition@")
    heads = [head.file.id for head in opened.heads]
    assert seen.models == (
        opened.safety_id,
        "det_500m@5e4447f50245",
        "open-nsfw@864bb37bf886",
        opened.backbone.id,
        *heads,
        COLOURS_ID,
        seen.embedder,
    )
    vectors = [face.embedding for face in seen.faces if face.embedding is not None]
    assert len(vectors) == 6
    assert all(len(vector) == 512 and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5) for vector in vectors)


def test_where_nobody_is_compared_nothing_is_embedded(chosen_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = load_models(chosen_dir, 2, RESEARCH)
    monkeypatch.setattr(opened.embedder.session, "run", lambda *_: pytest.fail("a face was embedded"))
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))], embed=False)
    assert [face.embedding for face in seen.faces] == [None] * 6
    assert seen.embedder == ""


def test_nobody_is_matched_by_a_network_that_was_never_measured(chosen_dir: Path) -> None:
    assert load_models(chosen_dir, 2, RESEARCH).calibration.templates_supported() == 0


def test_whose_weights_they_are_has_to_be_said(chosen_dir: Path) -> None:
    with pytest.raises(LicenceNotAccepted, match="own-weights"):
        load_models(chosen_dir, 1)
    assert load_models(chosen_dir, 1, ("own-weights",)).finder_id.startswith("det_500m@")


def test_a_folder_that_is_gone_is_missing_and_nothing_is_downloaded(chosen_dir: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(ModelMissing, match="no folder"):
        load_models(chosen_dir, 1, RESEARCH)


@pytest.mark.parametrize("change", ["other bytes", "one more", "one less"])
def test_a_folder_that_changed_since_it_was_chosen_is_refused(chosen_dir: Path, folder: Path, change: str) -> None:
    if change == "other bytes":
        (folder / "recognition.onnx").write_bytes(arcface_shaped(dimension=256))
    elif change == "one more":
        (folder / "another.onnx").write_bytes(arcface_shaped())
    else:
        (folder / "manifest.json").unlink()
    with pytest.raises(ModelUnknown, match="not those that were chosen"):
        load_models(chosen_dir, 1, RESEARCH)


@pytest.mark.parametrize("left", ["det_500m.onnx", "recognition.onnx", "neither is a network"])
def test_a_folder_without_both_networks_is_refused(tmp_path: Path, folder: Path, left: str) -> None:
    (folder / "manifest.json").unlink()
    for path in folder.glob("*.onnx"):
        if left == "neither is a network":
            path.write_bytes(b"no network at all")
        elif path.name != left:
            path.unlink()
    with pytest.raises(ModelUnknown):
        insight.open_folder(folder, insight.model_hashes(folder), RESEARCH, 1, "CPUExecutionProvider")


def test_nobodys_age_or_gender_is_guessed_though_the_folder_could(
    chosen_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "manifest.json").unlink()
    (folder / "genderage.onnx").write_bytes(net(["n", 3, 96, 96], 3))
    assert FaceAnalysis(str(folder), providers=["CPUExecutionProvider"]).models.keys() >= {"genderage", "recognition"}
    write_choice(chosen_dir, PackChoice((f"insightface@{folder}",), insight.model_hashes(folder)))
    monkeypatch.setattr(Attribute, "get", lambda *_: pytest.fail("somebody's gender was guessed"))
    (seen,) = perceive(load_models(chosen_dir, 2, RESEARCH), [picture(photo("t1.jpg"))])
    assert len(seen.faces) == 6
    assert not any("genderage" in model for model in seen.models)


def test_insightfaces_recogniser_runs_with_the_real_mobilefacenet(tmp_path: Path) -> None:
    path = models_folder() / "mobilefacenet/MobileFaceNet.onnx"
    spec = Input(size=(112, 112), fit="aligned", align="arcface", mean=(127.5,) * 3, std=(127.5,) * 3)
    file = described(path, entry("embedder", "mobilefacenet", "insightface", spec))
    opened = insight.recogniser(file, path.read_bytes(), 2)
    assert opened.batch == 1
    pixels = photo("t1.jpg")
    chips = []
    for box in backend.run_detector(real("yunet/face_detection_yunet_2023mar.onnx", tmp_path), [pixels])[0][:6]:
        assert box.points is not None
        chip = align.chip_by_points(spec, pixels, box.corners, box.points)
        assert chip is not None
        chips.append(chip.pixels)
    theirs = run_network(opened, np.stack(chips))
    assert theirs.shape == (6, 128)
    generic = backend.vectors(
        backend.LoadedModel(file, backend.open_verified(file, path.read_bytes(), 2), spec, ()), chips
    )
    assert np.allclose(theirs, generic, atol=1e-3)


def test_a_network_with_several_outputs_is_no_recogniser() -> None:
    path = models_folder() / "scrfd_500m/det_500m.onnx"
    file = described(
        path, entry("embedder", "scrfd", "insightface", Input(size=(640, 640), fit="aligned", align="arcface"))
    )
    with pytest.raises(ModelUnknown, match="no ArcFace"):
        insight.recogniser(file, path.read_bytes(), 1)
