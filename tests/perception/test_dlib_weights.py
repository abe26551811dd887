"""dlib's face network as ONNX: the same numbers as dlib's own, converted once, never half a file."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import dlib
import numpy as np
import pytest

from assent.core.errors import ModelMissing, ModelUnknown
from assent.core.values import Pixels
from assent.perceive.faces import quality as faces
from assent.perceive.faces.dlib_weights import dlib_to_onnx
from assent.perceive.networks.runtime import open_net, run_network
from assent.perceive.packs.converted import convert_once
from assent.perceive.packs.manifest import locate, read_pack, read_verified
from tests.unit.perceive_photos import photo

PACK = read_pack("embedded")
EMBEDDER = PACK.one("embedder")
KNOWN = EMBEDDER.onnx_sha256 or ""
NAME = f"dlib-resnet-{EMBEDDER.sha256[:12]}.onnx"
FACES = {  # where faces lie, as a person would draw the boxes
    "t1.jpg": [(57, 286, 177, 401), (1122, 296, 1230, 398), (739, 378, 848, 474), (901, 80, 1027, 200)],
    "astronaut.png": [(173, 82, 275, 180)],
}


@pytest.fixture(scope="module")
def source() -> bytes:
    return read_verified(EMBEDDER)


def converted(source: bytes, folder: Path) -> bytes:
    return convert_once("dlib-resnet", source, folder, KNOWN, dlib_to_onnx)


def chips() -> list[Pixels]:
    predictor = dlib.shape_predictor(str(locate(PACK.one("landmarks"))))
    cut = [faces.chip_by_landmarks(predictor, photo(name), box) for name, boxes in FACES.items() for box in boxes]
    return [chip.pixels for chip in cut if chip]


def test_descriptors_equal_dlibs_own(source: bytes) -> None:
    seen = chips()
    assert len(seen) == 5
    net = open_net("dlib-resnet", dlib_to_onnx(source), 2, {"CPUExecutionProvider": 2, "CUDAExecutionProvider": 2})
    ours = run_network(net, np.stack(seen))
    dlibs = dlib.face_recognition_model_v1(str(locate(EMBEDDER)))
    theirs = np.array([dlibs.compute_face_descriptor(chip) for chip in seen])
    assert ours.shape == (5, 128)
    assert np.abs(ours - theirs).max() < 1e-4


def test_it_is_converted_once_and_is_the_known_file(source: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "models"
    first = converted(source, folder)
    written = folder / NAME
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert hashlib.sha256(first).hexdigest() == KNOWN
    stamp = written.stat().st_mtime_ns, written.stat().st_ino
    assert converted(source, folder) == first
    assert (written.stat().st_mtime_ns, written.stat().st_ino) == stamp


def test_a_damaged_file_is_made_again(source: bytes, tmp_path: Path) -> None:
    good = converted(source, tmp_path)
    (tmp_path / NAME).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert converted(source, tmp_path) == good
    assert (tmp_path / NAME).read_bytes() == good


def test_processes_that_start_together_all_get_the_whole_file(tmp_path: Path) -> None:
    code = (
        "import hashlib, sys; from pathlib import Path\n"
        "from assent.perceive.packs.converted import read_network\n"
        "from assent.perceive.packs.manifest import read_pack\n"
        "file = read_pack('embedded').one('embedder')\n"
        "print(hashlib.sha256(read_network(file, Path(sys.argv[1]))).hexdigest())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[0].strip() for process in running]
    assert said == [KNOWN] * 3
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_that_cannot_be_written_is_told(source: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelMissing, match="cannot be written"):
        converted(source, tmp_path / "file")


@pytest.mark.parametrize("cut", [0, 300, 20_000, 5_000_000, 22_400_000])
def test_a_file_that_ends_early_is_refused(source: bytes, cut: int) -> None:
    with pytest.raises(ModelUnknown):
        dlib_to_onnx(source[:cut])


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelUnknown):
        dlib_to_onnx(read_verified(PACK.one("landmarks")))
