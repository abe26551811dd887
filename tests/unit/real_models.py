"""Real networks that are not part of the project, each with the manifest's entry by which the backend runs it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from assent.core.resources import resource
from assent.perceive.networks.backend import LoadedModel, open_file
from assent.perceive.packs.manifest import DecoderName, Input, ModelFile, Pack, Role
from tests.installed import need


def models_folder() -> Path:
    """The developers' folder of model files; skips where it is not at hand."""
    folder = os.environ.get("ASSENT_TEST_MODELS") or Path(__file__).resolve().parents[3] / "shared" / "models"
    if not Path(folder).is_dir():
        need("needs the model files in ASSENT_TEST_MODELS")
    return Path(folder)


def entry(role: Role, name: str, decoder: DecoderName, spec: Input, **said: Any) -> ModelFile:
    return ModelFile(
        role=role,
        name=name,
        path=f"{name}.onnx",
        size=1,
        sha256="0" * 64,
        licence="",
        commercial_use="allowed",
        training_data="",
        decoder=decoder,
        card="",
        input=spec,
        **said,
    )


_FACES = Input(size=(640, 640), colour="bgr", enlarge=False)
_FAS = Input(size=(80, 80), colour="bgr", fit="around-face", crop=2.7)
_LIVE = ("print", "live", "screen")
_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# Folder and file → its entry; everything that is needed to run it.
ENTRIES: dict[str, ModelFile] = {
    "yunet/face_detection_yunet_2023mar.onnx": entry("faces", "yunet", "yunet", _FACES, threshold=0.6),
    "yunet/yunet_s_dynamic.onnx": entry("faces", "yunet-s", "yunet", replace(_FACES, dynamic=True), threshold=0.6),
    "scrfd_500m/det_500m.onnx": entry(
        "faces",
        "scrfd-500m",
        "scrfd",
        Input(size=(640, 640), mean=(127.5,) * 3, std=(128.0,) * 3, enlarge=False),
        threshold=0.5,
    ),
    "face-reid-0095/face-reidentification-retail-0095.onnx": entry(
        "embedder",
        "face-reid-0095",
        "embedding",
        Input(size=(128, 128), colour="bgr", fit="aligned", align="openmodelzoo"),
    ),
    "mobilefacenet/MobileFaceNet.onnx": entry(
        "embedder",
        "mobilefacenet",
        "embedding",
        Input(size=(112, 112), scale=1 / 255, fit="aligned", align="arcface", **_IMAGENET),
    ),
    "minifasnet/2.7_80x80_MiniFASNetV2.onnx": entry("liveness", "minifasnet-v2", "softmax", _FAS, labels=_LIVE),
    "minifasnet/4_0_0_80x80_MiniFASNetV1SE.onnx": entry(
        "liveness", "minifasnet-v1se", "softmax", replace(_FAS, crop=4.0), labels=_LIVE
    ),
    "mobilenet_v2/mobilenet_v2_1.0_224_from_quant.onnx": entry(
        "labels",
        "mobilenetv2",
        "probabilities",
        Input(size=(224, 224), layout="nhwc", fit="stretch"),
        table="tables/imagenet.tsv",
        background=True,
    ),
    "yolox_nano/yolox_nano.onnx": entry(
        "objects", "yolox-nano", "yolox", Input(size=(416, 416), colour="bgr", pad=114), table="tables/coco.tsv"
    ),
}


def described(path: Path, file: ModelFile) -> ModelFile:
    """The entry with the size and sha256 of the file."""
    data = path.read_bytes()
    return replace(file, path=path.name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def opened_from(path: Path, file: ModelFile, scratch: Path, folder: Path | None = None) -> LoadedModel:
    """Opens any ONNX file by an entry, as if it had been pulled into `scratch`; `folder` is where its tables lie."""
    file = described(path, file)
    place = scratch / "files" / file.stored
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(path)
    return open_file(Pack("test", "", (file,), folder or resource("models")), file, scratch, threads=2)


@cache
def real(name: str, scratch: Path) -> LoadedModel:
    """One of the real files, opened by the generic backend."""
    return opened_from(models_folder() / name, ENTRIES[name], scratch)
