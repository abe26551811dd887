"""Runs the insightface library's code: its recogniser on a pack's file, its FaceAnalysis on an operator's own folder.

The library is never given a name it could download: only a folder that exists, or bytes that were verified. Of
FaceAnalysis only detection and recognition are kept, so that nobody's age or gender is ever guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assent.core.errors import LicenceNotAccepted, ModelMissing, ModelUnknown
from assent.core.values import Pixels
from assent.perceive.networks.backend import NetworkDetection, open_verified
from assent.perceive.networks.runtime import ONNX_ERRORS, Net, session_options
from assent.perceive.packs.manifest import Input, ModelFile

MODULES = ("detection", "recognition")
OWN_WORDS = ("own-weights", "insightface-non-commercial-research")  # either accepts a folder of one's own
DETECTOR_LEAST_SCORE = 0.5  # FaceAnalysis' own
_UNFIT: tuple[type[Exception], ...] = (*ONNX_ERRORS, AssertionError, ValueError, RuntimeError, TypeError, OSError)
_DETECTION_SIDE = (640, 640)


class _Recognised:
    """Wraps insightface's ArcFaceONNX as an embedder's session: chips (n, s, s, 3) RGB in, raw vectors out."""

    def __init__(self, recogniser: Any) -> None:
        self._recogniser = recogniser

    def get_inputs(self) -> Any:
        return self._recogniser.session.get_inputs()

    def run(self, names: None, feed: dict[str, Any]) -> list[NDArray[np.float32]]:  # noqa: ARG002 - a session's form
        (chips,) = feed.values()
        return [self._recogniser.get_feat([np.ascontiguousarray(chip[..., ::-1]) for chip in chips])]


@dataclass(frozen=True, slots=True, eq=False)
class InsightFaceApp:
    """An operator's own folder, opened by FaceAnalysis.

    `embedder` has the form that `embed.embed` takes; `spec` describes its chips."""

    detector: Any
    detector_id: str
    embedder: Net
    embedder_id: str
    spec: Input


def recogniser(file: ModelFile, data: bytes, threads: int) -> Net:
    """Opens insightface's ArcFaceONNX on a verified file, in a session that Assent opened. Raises ModelUnknown."""
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX  # half a second, for those who need it

    net = open_verified(file, data, threads)
    if len(net.session.get_outputs()) != 1:
        raise ModelUnknown(f"{file.path} has more than one output: no ArcFace network")
    return replace(net, session=_Recognised(ArcFaceONNX(BytesIO(data), session=net.session)))


def model_hashes(folder: Path) -> tuple[tuple[str, str], ...]:
    """Returns path and sha256 of each network and manifest in a folder.

    Raises ModelMissing where there is no network."""
    paths = sorted([*folder.glob("*.onnx"), *folder.glob("manifest.json")]) if folder.is_dir() else []
    if not any(path.suffix == ".onnx" for path in paths):
        raise ModelMissing(f"{folder} is no folder with .onnx files")
    return tuple((str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)


def open_folder(
    folder: Path, chosen: Sequence[tuple[str, str]], accepted: Sequence[str], threads: int, on: str
) -> InsightFaceApp:
    """Opens detection and recognition of a folder on provider `on`.

    `chosen`: the hashes that the folder had when it was chosen. Raises LicenceNotAccepted, ModelMissing, and
    ModelUnknown where a file has changed since, or the folder lacks one of the two networks."""
    if not set(OWN_WORDS) & set(accepted):
        raise LicenceNotAccepted(
            f"{folder}: whose weights these are only you can say. insightface's own are for non-commercial research: "
            f'set ASSENT_ACCEPT_LICENCE="{OWN_WORDS[1]}" for those, "{OWN_WORDS[0]}" for weights of your own'
        )
    hashes = model_hashes(folder)
    if set(hashes) != {(path, sha256) for path, sha256 in chosen if Path(path).parent == folder}:
        raise ModelUnknown(f"the files in {folder} are not those that were chosen; `assent models use` takes them anew")
    from insightface.app import FaceAnalysis

    try:
        app = FaceAnalysis(
            name=str(folder), allowed_modules=list(MODULES), providers=[on], sess_options=session_options(threads)
        )
        app.prepare(
            ctx_id=-1 if on == "CPUExecutionProvider" else 0, det_thresh=DETECTOR_LEAST_SCORE, det_size=_DETECTION_SIDE
        )
    except _UNFIT as error:
        raise ModelUnknown(f"insightface cannot open {folder}: {error or 'it finds no detector in it'}") from error
    if set(app.models) != set(MODULES):
        raise ModelUnknown(f"{folder} has no {', '.join(sorted(set(MODULES) - set(app.models)))} network")
    return _analysis(app, dict(hashes), on)


def _analysis(app: Any, digests: dict[str, str], on: str) -> InsightFaceApp:
    detector, recogniser = app.models["detection"], app.models["recognition"]
    for model in (detector, recogniser):
        if model.session.get_providers()[0] != on:
            raise ModelUnknown(f"{Path(model.model_file).name} does not run on {on}")
    names = {
        model: f"{Path(model.model_file).stem}@{digests[str(model.model_file)][:12]}"
        for model in (detector, recogniser)
    }
    fixed = recogniser.session.get_inputs()[0].shape[0]
    batch = fixed if isinstance(fixed, int) else 8
    side = int(recogniser.input_size[0])
    return InsightFaceApp(
        detector=detector,
        detector_id=names[detector],
        embedder=Net(names[recogniser], _Recognised(recogniser), on, batch),
        embedder_id=names[recogniser],
        spec=Input(size=(side, side), fit="aligned", align="arcface"),
    )


def insightface_detect(analysis: InsightFaceApp, frames: Sequence[Pixels]) -> list[list[NetworkDetection]]:
    """Returns the faces in each frame, by FaceAnalysis' own detector, best first."""
    faces = []
    for pixels in frames:
        boxes, points = analysis.detector.detect(np.ascontiguousarray(pixels[..., ::-1]))
        faces.append(
            [
                NetworkDetection(0, min(1.0, float(box[4])), tuple(box[:4].tolist()), np.asarray(five, np.float32))
                for box, five in zip(boxes, points, strict=True)
            ]
        )
    return faces
