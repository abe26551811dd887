"""Opens and verifies the networks of the chosen packs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlib

from assent.core.errors import ModelUnknown
from assent.perceive.faces import embed as embedder
from assent.perceive.faces import insightface as insight
from assent.perceive.faces.calibration import Calibration, read_calibration, uncalibrated
from assent.perceive.faces.dlib_weights import converted
from assent.perceive.labels.backbone import POOLED, Backbone, backbone, with_features
from assent.perceive.labels.heads import Head, folders, load_heads
from assent.perceive.networks.backend import LoadedModel, as_embedder, open_file
from assent.perceive.networks.runtime import Net, open_net
from assent.perceive.packs.active import DEFAULT_PACK, PackChoice, ResolvedRole, fill, folder_of
from assent.perceive.packs.manifest import Input, ModelFile, Role, classes, locate, read_pack, read_verified
from assent.perceive.safety import nudenet as safety


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The networks in use, with the ids by which tags, templates and the log name them.

    `finder` detects faces; None: the safety network does. `aligned`: how the embedder takes a face turned; None: as
    dlib does it, by `landmarks`. `watchers` detect objects and label whole frames; `heads` give the labels that they
    were trained on, from the safety network's features, those of `backbone`. `liveness` runs on enrolment photos
    alone; `choice` and `files` record the origin of all of them."""

    safety: Net
    safety_id: str
    labels: tuple[str, ...]  # our label of each of the safety network's classes
    landmarks: Any  # dlib.shape_predictor; dlib ships no types
    embedder: Net
    embedder_id: str
    calibration: Calibration
    finder: LoadedModel | insight.InsightFaceApp | None = None
    aligned: Input | None = None
    watchers: tuple[LoadedModel, ...] = ()
    backbone: str = ""  # empty: the safety network gives no features
    heads: tuple[Head, ...] = ()
    liveness: tuple[LoadedModel, ...] = ()
    choice: PackChoice = field(default_factory=PackChoice)
    files: tuple[ResolvedRole, ...] = ()

    @property
    def finder_id(self) -> str:
        """Returns the id of the model that detects faces."""
        if self.finder is None:
            return self.safety_id
        return self.finder.detector_id if isinstance(self.finder, insight.InsightFaceApp) else self.finder.id


def open_choice(choice: PackChoice, models_dir: Path, threads: int, accepted: Sequence[str]) -> Models:
    """Opens all networks that a choice names, as `assent.perceive.load_models` describes."""
    roles = fill(choice, models_dir, accepted)
    eyes = _one(roles, "safety")
    labels = classes(eyes.pack, eyes.file)
    if not all(labels):
        raise ModelUnknown(f"{eyes.file.name} has classes of which nothing would be said; safety leaves none out")
    base = backbone(eyes.file).id if eyes.file.name in POOLED else ""
    net = _load_safety_net(eyes.file, models_dir, threads)
    face = _own_folder(choice, models_dir, accepted, threads, net.provider) or _faces(roles, models_dir, threads)
    return Models(
        safety=net,
        safety_id=eyes.file.id,
        labels=tuple(label for label in labels if label),
        watchers=tuple(
            open_file(one.pack, one.file, models_dir, threads)
            for role in ("objects", "labels")
            for one in roles.get(role, ())
        ),
        backbone=base,
        heads=load_heads(folders(models_dir), base, threads) if base else (),
        liveness=_liveness(roles, models_dir, threads),
        choice=choice,
        files=tuple(one for role in sorted(roles) for one in roles[role]),
        **face,
    )


def open_backbone(threads: int) -> tuple[Backbone, Net]:
    """Opens the network whose pooled features heads take, without the rest of the pack.

    Its second output are the features. Raises as `assent.perceive.load_models` does."""
    eyes = read_pack(DEFAULT_PACK).one("safety")
    return backbone(eyes), _load_safety_net(eyes, None, threads)


def _load_safety_net(file: ModelFile, models_dir: Path | None, threads: int) -> Net:
    """Opens the safety network, with its features as second output where heads may take them."""
    model = read_verified(file, models_dir)
    if file.name in POOLED:
        model = with_features(file, model)
    return open_net(file.name, model, threads, safety.FRAME_BATCH)


def _one(roles: dict[Role, tuple[ResolvedRole, ...]], role: Role) -> ResolvedRole:
    if role not in roles:
        raise ModelUnknown(f"no pack in use has a file of role {role}")
    return roles[role][0]


def _own_folder(
    choice: PackChoice, models_dir: Path, accepted: Sequence[str], threads: int, provider: str
) -> dict[str, Any] | None:
    folder = next(filter(None, map(folder_of, choice.packs)), None)
    if folder is None:
        return None
    found = insight.open_folder(folder, choice.files, accepted, threads, provider)
    size = embedder.dimension(found.embedder, found.spec)
    return {
        "landmarks": None,
        "finder": found,
        "embedder": found.embedder,
        "embedder_id": found.embedder_id,
        "aligned": found.spec,
        "calibration": _calibration(found.embedder_id, found.detector_id, None, models_dir, size),
    }


def _faces(roles: dict[Role, tuple[ResolvedRole, ...]], models_dir: Path, threads: int) -> dict[str, Any]:
    """Opens the networks for faces: detector, landmarks or alignment, and embedder with its calibration."""
    finder = next((open_file(one.pack, one.file, models_dir, threads) for one in roles.get("faces", ())), None)
    chosen = _one(roles, "embedder")
    file, spec = chosen.file, chosen.file.input
    if spec is None:
        raise ModelUnknown(f"the manifest of pack {chosen.pack.name} does not say what {file.name} takes")
    made: dict[str, Any] = {"finder": finder, "embedder_id": file.id, "landmarks": None, "aligned": spec}
    if file.decoder == "dlib-resnet":
        points = _one(roles, "landmarks").file
        read_verified(points, models_dir)  # dlib reads the file itself, by its path
        made |= {"landmarks": dlib.shape_predictor(str(locate(points, models_dir))), "aligned": None}
        made["embedder"] = _dlib(chosen, models_dir, threads)
    elif finder is None:
        raise ModelUnknown(f"{file.name} needs a pack with a file of role faces: its chips are cut by five points")
    elif file.decoder == "insightface":
        made["embedder"] = insight.recogniser(file, read_verified(file, models_dir), threads)
    else:
        made["embedder"] = as_embedder(open_file(chosen.pack, file, models_dir, threads))
    shipped = chosen.pack.folder / file.calibration if file.calibration else None
    found_by = (finder or _one(roles, "safety").file).id
    size = embedder.dimension(made["embedder"], spec)
    return made | {"calibration": _calibration(file.id, found_by, shipped, models_dir, size)}


def _liveness(roles: dict[Role, tuple[ResolvedRole, ...]], models_dir: Path, threads: int) -> tuple[LoadedModel, ...]:
    chosen = roles.get("liveness", ())
    if len({one.file.threshold for one in chosen}) > 1:
        raise ModelUnknown(f"the liveness networks of pack {chosen[0].pack.name} are asked together: one threshold")
    return tuple(open_file(one.pack, one.file, models_dir, threads) for one in chosen)


def _dlib(chosen: ResolvedRole, models_dir: Path, threads: int) -> Net:
    file = chosen.file
    if file.onnx_sha256 is None:
        raise ModelUnknown(f"the manifest of pack {chosen.pack.name} names no converted form of its embedder")
    return open_net(
        file.name,
        converted(read_verified(file, models_dir), models_dir, file.onnx_sha256),
        threads,
        embedder.CHIP_BATCH,
    )


def own_calibration(models_dir: Path, model: str) -> Path:
    """Returns the path of an operator's own calibration of an embedder; it counts before the pack's."""
    return models_dir / "calibration" / f"{model.replace('@', '-')}.json"


def _calibration(model: str, detector: str, shipped: Path | None, models_dir: Path, size: int) -> Calibration:
    """Returns the operator's own calibration, else the pack's, else one that supports no claim.

    With the last nobody is ever matched. It also counts where the calibration was measured on faces that another
    detector found."""
    own = own_calibration(models_dir, model)
    path = own if own.is_file() else shipped
    if path is None:
        return uncalibrated(model, size)
    found = read_calibration(path)
    if len(found.mean) != size:
        raise ModelUnknown(f"the calibration of {model} has {len(found.mean)} numbers, the network {size}")
    return found if found.detector in ("", detector) else uncalibrated(model, size)
