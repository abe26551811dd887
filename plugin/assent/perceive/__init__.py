"""Runs the models on images: stage 4, perceive. Takes and returns values; only `load_models` reads files.

All frames of all images go through the safety network together, then all faces through the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assent.core.errors import Undecodable
from assent.core.taxonomy import BY_NAME
from assent.core.values import Face, Frame, Perception, Picture, Pixels, Tag, Vector
from assent.perceive.faces import embed as embedder
from assent.perceive.faces import quality as faces
from assent.perceive.faces.detect import DetectedFace, chip_of, detect_faces, detect_objects, merged
from assent.perceive.frames.noise import cleaned
from assent.perceive.frames.tiles import tiles, together
from assent.perceive.labels.heads import predict_tags
from assent.perceive.packs.active import DEFAULT_PACK as DEFAULT_PACK
from assent.perceive.packs.active import read_choice
from assent.perceive.packs.model_set import Models as Models
from assent.perceive.packs.model_set import open_backbone as open_backbone
from assent.perceive.packs.model_set import open_choice
from assent.perceive.safety import nudenet as safety


def load_models(models_dir: Path, threads: int, accepted: Sequence[str] = ()) -> Models:
    """Opens the models that `assent models use` chose, by default the pack `embedded`, with `threads` threads each.

    `accepted`: the words by which licences that forbid commercial use were accepted. Every file's sha256 is checked
    before it is used; dlib's weights are converted into `models_dir` once. Raises ModelMissing when a file is not
    installed or `models_dir` cannot be written, ModelUnknown when a file, manifest or calibration is not what it should
    be, LicenceNotAccepted.
    """
    return open_choice(read_choice(models_dir), models_dir, threads, accepted)


def perceive(models: Models, pictures: Sequence[Picture], embed: bool = True) -> tuple[Perception, ...]:
    """Returns the perception of each image: tags from score 0.05 up, faces from score FACE_SCORE up. Faces are no tags.

    Every frame's faces are listed, with an embedding where they are at least 40 pixels wide in their frame. Very wide
    or large frames are also processed in tiles; small, noisy ones are smoothed. `embed=False` (nobody may be matched):
    no landmarks and no embedding are computed, so that no biometric template exists. Raises Undecodable for an image
    without a frame or without pixels: an image that no model processed is not harmless.
    """
    if not all(picture.frames and all(frame.pixels.size for frame in picture.frames) for picture in pictures):
        raise Undecodable("the picture has no frame, or a frame without pixels")
    frames = [
        (number, replace(frame, pixels=cleaned(frame.pixels)))
        for number, picture in enumerate(pictures)
        for frame in picture.frames
    ]
    pixels = [frame.pixels for _, frame in frames]
    seen = _seen(models, [frame for _, frame in frames])
    spots = detect_faces(models, pixels, [one.detections for one in seen])
    noted = detect_objects(models, [(pictures[number], frame) for number, frame in frames])
    tags: list[list[Tag]] = [[] for _ in pictures]
    found: list[list[Face]] = [[] for _ in pictures]
    features: list[dict[int, Vector]] = [{} for _ in pictures]  # by frame
    chips: list[tuple[int, int, Pixels]] = []  # picture, place among its faces, chip
    for (number, frame), one, spot, more in zip(frames, seen, spots, noted, strict=True):
        tags[number] += [*_tags(models, pictures[number], frame, one.detections), *more]
        if one.features is not None:
            features[number][frame.index] = one.features
        for face, chip in _faces(models, pictures[number], frame, spot, embed):
            if chip is not None:
                chips.append((number, len(found[number]), chip))
            found[number].append(face)
    for number, rows in enumerate(features):
        tags[number] += predict_tags(models.heads, np.stack(list(rows.values())), list(rows)) if rows else ()
    vectors = embedder.embed(models.embedder, models.calibration.mean, [chip for _, _, chip in chips])
    for (number, place, _), vector in zip(chips, vectors, strict=True):
        found[number][place] = replace(found[number][place], embedding=vector)
    every = zip(tags, found, features, strict=True)
    made_by = models.embedder_id if embed else ""
    ran = _ran(models) + ((made_by,) if embed else ())
    return tuple(Perception(merged(t), tuple(f), ran, made_by, rows) for t, f, rows in every)


def _ran(models: Models) -> tuple[str, ...]:
    """Returns the ids of all networks that ran, except the embedder."""
    watchers, heads = (net.id for net in models.watchers), (head.file.id for head in models.heads)
    return tuple(dict.fromkeys([models.safety_id, models.finder_id, *watchers, *heads]))


def _seen(models: Models, frames: Sequence[Frame]) -> list[safety.FrameDetections]:
    """Returns the safety network's detections in each frame and in its tiles; the features are the frame's own."""
    parts = tiles(frames)
    found = safety.detect_body_parts(
        models.safety, models.labels, [*(one.pixels for one in frames), *(one.pixels for one in parts)]
    )
    pairs = list(zip(parts, (one.detections for one in found[len(frames) :]), strict=True))
    return [
        one._replace(detections=together(one.detections, mine))
        if (mine := [pair for pair in pairs if pair[0].frame == number])
        else one
        for number, one in enumerate(found[: len(frames)])
    ]


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
    models: Models, picture: Picture, frame: Frame, spots: Sequence[DetectedFace], embed: bool
) -> list[tuple[Face, Pixels | None]]:
    """Returns the frame's faces, still without embedding, each with the chip to embed."""
    out: list[tuple[Face, Pixels | None]] = []
    for spot in spots:
        chip = chip_of(models, frame.pixels, spot) if embed else None
        corners = spot.box.corners
        sharp, pose = faces.sharpness(frame.pixels, corners), chip.pose if chip else 1.0
        face = Face(
            box=faces.to_box(corners, frame.scale, picture.width, picture.height),
            frame=frame.index,
            score=round(spot.box.score, 4),
            quality=faces.face_quality(corners, sharp, pose),
            sharpness=sharp,
            pose=pose,
        )
        out.append((face, chip.pixels if chip else None))
    return out
