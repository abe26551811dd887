"""Stage 4, perceive: what the models see in pictures. Values in, values out; `load` is the only part that reads files.

All frames of all pictures go through the safety network together, then all faces through the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dlib
import numpy as np

from assent.errors import ModelUnknown, Undecodable
from assent.perceive import embed as embedder
from assent.perceive import faces, safety
from assent.perceive.backbone import Backbone, backbone, with_features
from assent.perceive.calibration import Calibration, read_calibration
from assent.perceive.dlib_weights import converted
from assent.perceive.heads import Head, folders, load_heads, say
from assent.perceive.packs import ModelFile, locate, read_pack, read_verified
from assent.perceive.runtime import Net, open_net
from assent.resources import resource
from assent.taxonomy import BY_NAME, NUDENET
from assent.values import Face, Frame, Perception, Picture, Pixels, Tag, Vector

DEFAULT_PACK = "embedded"


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """A pack, open and verified. `safety_id` and `embedder_id` are how tags, templates and the log name its models."""

    safety: Net
    safety_id: str
    labels: tuple[str, ...]  # our label of each of the safety network's classes
    landmarks: Any  # dlib.shape_predictor; dlib ships no types
    embedder: Net
    embedder_id: str
    calibration: Calibration
    backbone: str  # what `heads` read
    heads: tuple[Head, ...]


def load(models_dir: Path, threads: int) -> Models:
    """Opens the default pack with that many threads a network; converts dlib's weights into `models_dir` once.

    Every file's sha256 is checked before it is used. Raises ModelMissing when a file is not installed or `models_dir`
    cannot be written, ModelUnknown when a file, manifest or calibration is not what it should be.
    """
    pack = read_pack(DEFAULT_PACK)
    eyes, points, embeds = pack.one("safety"), pack.one("landmarks"), pack.one("embedder")
    if embeds.calibration is None or embeds.onnx_sha256 is None:
        raise ModelUnknown(
            f"the manifest of pack {pack.name} names no calibration or no converted form of its embedder"
        )
    calibration = read_calibration(resource("models") / embeds.calibration)
    weights = converted(read_verified(embeds), models_dir, embeds.onnx_sha256)
    base = backbone(eyes)
    read_verified(points)  # dlib reads the file itself, by its path
    return Models(
        safety=open_net(eyes.name, with_features(eyes, read_verified(eyes)), threads, safety.BATCH),
        safety_id=eyes.id,
        labels=_labels(eyes),
        landmarks=dlib.shape_predictor(str(locate(points))),
        embedder=open_net(embeds.name, weights, threads, embedder.BATCH),
        embedder_id=embeds.id,
        calibration=calibration,
        backbone=base.id,
        heads=load_heads(folders(models_dir), base.id, threads),
    )


def open_backbone(threads: int) -> tuple[Backbone, Net]:
    """The network whose pooled features heads read, without the rest of the pack; its second output are the features.
    Raises as `load` does."""
    eyes = read_pack(DEFAULT_PACK).one("safety")
    return backbone(eyes), open_net(eyes.name, with_features(eyes, read_verified(eyes)), threads, safety.BATCH)


def _labels(file: ModelFile) -> tuple[str, ...]:
    unmapped = sorted(set(file.labels) - set(NUDENET))
    if unmapped or not file.labels:
        raise ModelUnknown(f"{file.name} has classes that the taxonomy does not map: {', '.join(unmapped) or 'none'}")
    return tuple(NUDENET[label] for label in file.labels)


def perceive(models: Models, pictures: Sequence[Picture], embed: bool = True) -> tuple[Perception, ...]:
    """What is seen in each picture: tags from score 0.05 up (faces are no tags), faces from score FACE_SCORE up.

    Every frame's faces are listed, with an embedding where they are at least 40 pixels wide in their frame.
    `embed=False` (nobody may be matched): no landmarks, no embedding, so that no biometric template ever comes to be.
    Raises Undecodable for a picture without a frame or without pixels: what nobody looked at is not harmless.
    """
    if not all(picture.frames and all(frame.pixels.size for frame in picture.frames) for picture in pictures):
        raise Undecodable("the picture has no frame, or a frame without pixels")
    frames = [(number, frame) for number, picture in enumerate(pictures) for frame in picture.frames]
    seen = safety.look(models.safety, models.labels, [frame.pixels for _, frame in frames])
    tags: list[list[Tag]] = [[] for _ in pictures]
    found: list[list[Face]] = [[] for _ in pictures]
    features: list[dict[int, Vector]] = [{} for _ in pictures]  # by frame
    chips: list[tuple[int, int, Pixels]] = []  # picture, place among its faces, chip
    for (number, frame), one in zip(frames, seen, strict=True):
        tags[number] += _tags(models, pictures[number], frame, one.detections)
        if one.features is not None:
            features[number][frame.index] = one.features
        for face, chip in _faces(models, pictures[number], frame, one.detections, embed):
            if chip is not None:
                chips.append((number, len(found[number]), chip))
            found[number].append(face)
    for number, rows in enumerate(features):
        tags[number] += say(models.heads, np.stack(list(rows.values())), list(rows)) if rows else ()
    vectors = embedder.embed(models.embedder, models.calibration.mean, [chip for _, _, chip in chips])
    for (number, place, _), vector in zip(chips, vectors, strict=True):
        found[number][place] = replace(found[number][place], embedding=vector)
    ran = (models.safety_id, *(head.file.id for head in models.heads), *((models.embedder_id,) if embed else ()))
    made_by = models.embedder_id if embed else ""
    every = zip(tags, found, features, strict=True)
    return tuple(Perception(tuple(t), tuple(f), ran, made_by, rows) for t, f, rows in every)


def _tags(models: Models, picture: Picture, frame: Frame, detections: Sequence[safety.Detection]) -> list[Tag]:
    return [
        Tag(
            name=one.name,
            category=BY_NAME[one.name].category,
            score=round(one.score, 4),
            box=faces.to_box(one.corners, frame.scale, picture.width, picture.height),
            frame=frame.index,
            model=models.safety_id,
        )
        for one in detections
        if one.name != "face"
    ]


def _faces(
    models: Models, picture: Picture, frame: Frame, detections: Sequence[safety.Detection], embed: bool
) -> list[tuple[Face, Pixels | None]]:
    """The frame's faces, still without embedding, each with the chip to embed."""
    out: list[tuple[Face, Pixels | None]] = []
    for one in faces.listed(detections):
        chip = faces.cut(models.landmarks, frame.pixels, one.corners) if embed else None
        sharp, pose = faces.sharpness(frame.pixels, one.corners), chip.pose if chip else 1.0
        face = Face(
            box=faces.to_box(one.corners, frame.scale, picture.width, picture.height),
            frame=frame.index,
            score=round(one.score, 4),
            quality=faces.quality(one.corners, sharp, pose),
            sharpness=sharp,
            pose=pose,
        )
        out.append((face, chip.pixels if chip else None))
    return out
