"""Opens and verifies the networks of the chosen packs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assent.core.errors import ModelUnknown
from assent.perceive.faces import embed as embedder
from assent.perceive.faces import insightface as insight
from assent.perceive.faces.calibration import Calibration, read_calibration, uncalibrated
from assent.perceive.faces.dlib_library import load_dlib
from assent.perceive.labels.backbone import Backbone, backbone
from assent.perceive.labels.heads import Head, folders, load_heads
from assent.perceive.networks.backend import LoadedModel, as_embedder, open_file, open_verified
from assent.perceive.networks.runtime import CHIP_BATCH, Net, open_net
from assent.perceive.packs.active import DEFAULT_PACK, PackChoice, ResolvedRole, fill, folder_of
from assent.perceive.packs.converted import read_network
from assent.perceive.packs.manifest import (
    Input,
    ModelFile,
    Pack,
    Role,
    classes,
    input_of,
    locate,
    read_pack,
    read_verified,
)


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The networks in use, with the ids by which tags, templates and the log name them.

    `finder` detects faces; None: the safety network does. `aligned`: how the embedder takes a face turned; None: as
    dlib does it, by `landmarks`. `nsfw` is the second opinion on nudity; None: it is not asked. `watchers` detect
    objects and label whole frames, violence among that; `heads` give the labels that they were trained on, from the
    features of `backbone`, the default pack's network of role labels, whichever labels frames. `liveness` runs on
    enrolment photos alone; `choice` and `files` record the origin of all of them."""

    safety: LoadedModel  # its `names` have a label for each class
    landmarks: Any  # dlib.shape_predictor; dlib ships no types
    embedder: Net
    embedder_id: str
    calibration: Calibration
    backbone: LoadedModel  # often one of `watchers`
    finder: LoadedModel | insight.InsightFaceApp | None = None
    aligned: Input | None = None
    nsfw: LoadedModel | None = None
    watchers: tuple[LoadedModel, ...] = ()
    heads: tuple[Head, ...] = ()
    liveness: tuple[LoadedModel, ...] = ()
    choice: PackChoice = field(default_factory=PackChoice)
    files: tuple[ResolvedRole, ...] = ()

    @property
    def safety_id(self) -> str:
        """Returns the id of the safety network."""
        return self.safety.id

    @property
    def backbone_id(self) -> str:
        """Returns the id that heads name their backbone by."""
        return backbone(self.backbone.file).id

    @property
    def finder_id(self) -> str:
        """Returns the id of the model that detects faces."""
        if self.finder is None:
            return self.safety_id
        return self.finder.detector_id if isinstance(self.finder, insight.InsightFaceApp) else self.finder.id


def open_choice(
    choice: PackChoice, models_dir: Path, threads: int, accepted: Sequence[str], second_opinion: bool = True
) -> Models:
    """Opens all networks that a choice names, as `assent.perceive.load_models` describes."""
    roles = fill(choice, models_dir, accepted)
    if not second_opinion:
        roles.pop("nsfw", None)
    chosen = _one(roles, "safety")
    safety = _load_safety_net(chosen.pack, chosen.file, models_dir, threads)
    watchers = tuple(
        open_file(one.pack, one.file, models_dir, threads)
        for role in ("violence", "objects", "labels")
        for one in roles.get(role, ())
    )
    base = default_backbone()
    provider = safety.net.provider
    face = _own_folder(choice, models_dir, accepted, threads, provider) or _faces(roles, models_dir, threads)
    return Models(
        safety=safety,
        nsfw=next((open_file(one.pack, one.file, models_dir, threads) for one in roles.get("nsfw", ())), None),
        watchers=watchers,
        backbone=next((model for model in watchers if model.file == base.file), None)
        or open_file(base.pack, base.file, models_dir, threads),
        heads=load_heads(folders(models_dir), backbone(base.file).id, threads),
        liveness=_liveness(roles, models_dir, threads),
        choice=choice,
        files=tuple(dict.fromkeys((*(one for role in sorted(roles) for one in roles[role]), base))),
        **face,
    )


def open_backbone(threads: int, models_dir: Path | None = None) -> tuple[Backbone, LoadedModel]:
    """Opens the network whose features heads take, without the rest of the pack.

    `networks.backend.classify_with_features` gives them; a network that is converted is kept in `models_dir`. Raises as
    `assent.perceive.load_models` does."""
    base = default_backbone()
    return backbone(base.file), open_file(base.pack, base.file, models_dir, threads)


def default_backbone() -> ResolvedRole:
    """Returns the default pack's network of role labels, whose features heads take, whatever packs are chosen: a choice
    of another network for labels leaves no head behind. Raises as `read_pack` does."""
    pack = read_pack(DEFAULT_PACK)
    return ResolvedRole(pack, pack.one("labels"))


def _load_safety_net(pack: Pack, file: ModelFile, models_dir: Path | None, threads: int) -> LoadedModel:
    names, spec = classes(pack, file), input_of(pack, file)
    if not all(names):
        raise ModelUnknown(f"{file.name} has classes of which nothing would be said; safety leaves none out")
    return LoadedModel(file, open_verified(file, read_verified(file, models_dir), threads), spec, names)


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
    app = insight.open_folder(folder, choice.files, accepted, threads, provider)
    size = embedder.dimension(app.embedder, app.spec)
    return {
        "landmarks": None,
        "finder": app,
        "embedder": app.embedder,
        "embedder_id": app.embedder_id,
        "aligned": app.spec,
        "calibration": _calibration(app.embedder_id, app.detector_id, None, models_dir, size),
    }


def _faces(roles: dict[Role, tuple[ResolvedRole, ...]], models_dir: Path, threads: int) -> dict[str, Any]:
    """Opens the networks for faces: detector, landmarks or alignment, and embedder with its calibration."""
    finder = next((open_file(one.pack, one.file, models_dir, threads) for one in roles.get("faces", ())), None)
    chosen = _one(roles, "embedder")
    file, spec = chosen.file, input_of(chosen.pack, chosen.file)
    parts: dict[str, Any] = {"finder": finder, "embedder_id": file.id, "landmarks": None, "aligned": spec}
    if file.decoder == "dlib-resnet":
        points = _one(roles, "landmarks").file
        read_verified(points, models_dir)  # dlib reads the file itself, by its path
        parts |= {"landmarks": load_dlib().shape_predictor(str(locate(points, models_dir))), "aligned": None}
        parts["embedder"] = open_net(file.name, read_network(file, models_dir), threads, CHIP_BATCH)
    elif finder is None:
        raise ModelUnknown(f"{file.name} needs a pack with a file of role faces: its chips are cut by five points")
    elif file.decoder == "insightface":
        parts["embedder"] = insight.recogniser(file, read_verified(file, models_dir), threads)
    else:
        parts["embedder"] = as_embedder(open_file(chosen.pack, file, models_dir, threads))
    shipped = chosen.pack.folder / file.calibration if file.calibration else None
    found_by = (finder or _one(roles, "safety").file).id
    size = embedder.dimension(parts["embedder"], spec)
    return parts | {"calibration": _calibration(file.id, found_by, shipped, models_dir, size)}


def _liveness(roles: dict[Role, tuple[ResolvedRole, ...]], models_dir: Path, threads: int) -> tuple[LoadedModel, ...]:
    chosen = roles.get("liveness", ())
    if len({one.file.threshold for one in chosen}) > 1:
        raise ModelUnknown(f"the liveness networks of pack {chosen[0].pack.name} are asked together: one threshold")
    return tuple(open_file(one.pack, one.file, models_dir, threads) for one in chosen)


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
    calibration = read_calibration(path)
    if len(calibration.mean) != size:
        raise ModelUnknown(f"the calibration of {model} has {len(calibration.mean)} numbers, the network {size}")
    return calibration if calibration.detector in ("", detector) else uncalibrated(model, size)
