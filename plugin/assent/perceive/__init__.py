"""Runs the models on images: stage 4, perceive. Takes and returns values; only `load_models` reads files.

All frames of all images go through the safety network together, then all faces through the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from assent.core.boxes import Corners, box_of
from assent.core.errors import Undecodable
from assent.core.taxonomy import BY_NAME
from assent.core.values import Face, Frame, Perception, Picture, Pixels, Tag, Vector
from assent.perceive.colour import COLOURS_ID, colour_tags
from assent.perceive.faces import embed as embedder
from assent.perceive.faces.detect import DetectedFace, chip_of, detect_faces, detect_objects, merge_tags
from assent.perceive.faces.quality import face_quality, sharpness
from assent.perceive.frames.noise import cleaned
from assent.perceive.frames.tiles import merge_detections, tiles
from assent.perceive.labels.heads import predict_tags
from assent.perceive.labels.people import beside_people
from assent.perceive.labels.whole_frames import label_frames
from assent.perceive.packs.active import DEFAULT_PACK as DEFAULT_PACK
from assent.perceive.packs.active import read_choice
from assent.perceive.packs.model_set import Models as Models
from assent.perceive.packs.model_set import open_backbone as open_backbone
from assent.perceive.packs.model_set import open_choice
from assent.perceive.safety import detect as safety
from assent.perceive.safety.second_opinion import ask_about_frames
from assent.perceive.views import every_view, joined_views


def load_models(models_dir: Path, threads: int, accepted: Sequence[str] = (), second_opinion: bool = True) -> Models:
    """Opens the models that `assent models use` chose, by default the pack `embedded`, with `threads` threads each.

    `accepted`: the words by which licences that forbid commercial use were accepted. `second_opinion`: whether a
    network is asked about nudity in the whole picture too. Every file's sha256 is checked before it is used; dlib's
    weights are converted into `models_dir` once. Raises ModelMissing when a file is not installed or `models_dir`
    cannot be written, PackUnknown when a pack of the choice is unknown, ModelUnknown when a file, manifest or
    calibration is not what it should be, LicenceNotAccepted.
    """
    return open_choice(read_choice(models_dir), models_dir, threads, accepted, second_opinion)


def perceive(models: Models, pictures: Sequence[Picture], embed: bool = True) -> tuple[Perception, ...]:
    """Returns the perception of each image: tags from score 0.05 up, faces from their detector's threshold up.

    Faces are no tags. Every frame's faces are listed, with an embedding where they are at least 40 pixels wide in their
    frame. Very wide or large frames are also processed in tiles; small, noisy ones are smoothed. An image that some
    viewers turn, or that looks otherwise over black, is processed in every view, and what any shows counts.
    `embed=False` (nobody may be matched): no landmarks and no embedding are computed, so that no biometric template
    exists. Raises Undecodable for an image without a frame or without pixels: an image that no model processed is not
    harmless.
    """
    if not all(picture.frames and all(frame.pixels.size for frame in picture.frames) for picture in pictures):
        raise Undecodable("the picture has no frame, or a frame without pixels")
    return joined_views(pictures, _perceive(models, every_view(pictures), embed))


def _perceive(models: Models, pictures: Sequence[Picture], embed: bool) -> tuple[Perception, ...]:
    frames = [
        (number, replace(frame, pixels=cleaned(frame.pixels)))
        for number, picture in enumerate(pictures)
        for frame in picture.frames
    ]
    pixels = [frame.pixels for _, frame in frames]
    results = _detect_in_frames(models, [frame for _, frame in frames])
    detected_faces = detect_faces(models, pixels, results)
    object_tags = detect_objects(models, [(pictures[number], frame) for number, frame in frames])
    opinions = ask_about_frames(models.nsfw, [frame for _, frame in frames])
    labelled = label_frames(models, [frame for _, frame in frames])
    tags: list[list[Tag]] = [[] for _ in pictures]
    faces: list[list[Face]] = [[] for _ in pictures]
    features: list[dict[int, Vector]] = [{} for _ in pictures]  # by frame
    people: list[dict[int, tuple[list[tuple[Corners, float]], Frame]]] = [{} for _ in pictures]  # their faces, by frame
    chips: list[tuple[int, int, Pixels]] = []  # the image's index, the face's index in it, the chip
    for (number, frame), parts, detected, objects, labels, opinion in zip(
        frames, results, detected_faces, object_tags, labelled, opinions, strict=True
    ):
        unsure = (part for part in parts if part.name == "face")  # one under a mask among them
        around = [(box.corners, box.score) for box in (*(face.box for face in detected), *unsure)]
        people[number][frame.index] = (around, frame)
        said = beside_people(labels.tags, around, frame)
        tags[number] += [*_tags(models, pictures[number], frame, parts), *objects, *said, *opinion]
        features[number][frame.index] = labels.features
        for face, chip in _faces(models, pictures[number], frame, detected, embed):
            if chip is not None:
                chips.append((number, len(faces[number]), chip))
            faces[number].append(face)
    for number, rows in enumerate(features):
        of_heads = predict_tags(models.heads, np.stack(list(rows.values())), list(rows))
        for index, beside in people[number].items():
            tags[number] += beside_people([tag for tag in of_heads if tag.frame == index], *beside)
    for (number, frame), parts in zip(frames, results, strict=True):
        tags[number] += colour_tags(frame, parts, tags[number], faces[number])
    vectors = embedder.embed(models.embedder, models.calibration.mean, [chip for _, _, chip in chips])
    for (number, index, _), vector in zip(chips, vectors, strict=True):
        faces[number][index] = replace(faces[number][index], embedding=vector)
    embedded_by = models.embedder_id if embed else ""
    ran = (*_ran(models), COLOURS_ID, *((embedded_by,) if embed else ()))
    return tuple(
        Perception(merge_tags(of_image), tuple(in_image), ran, embedded_by, rows)
        for of_image, in_image, rows in zip(tags, faces, features, strict=True)
    )


def _ran(models: Models) -> tuple[str, ...]:
    """Returns the ids of all networks that ran, except the embedder."""
    asked = (models.nsfw,) if models.nsfw else ()
    watchers = (model.id for model in (*asked, *models.watchers, models.backbone))
    heads = (head.file.id for head in models.heads)
    return tuple(dict.fromkeys([models.safety_id, models.finder_id, *watchers, *heads]))


def _detect_in_frames(models: Models, frames: Sequence[Frame]) -> list[tuple[safety.Detection, ...]]:
    """Returns the safety network's detections in each frame and in its tiles."""
    parts = tiles(frames)
    results = safety.detect(models.safety, [*(frame.pixels for frame in frames), *(tile.pixels for tile in parts)])
    of_tiles = list(zip(parts, results[len(frames) :], strict=True))
    return [
        merge_detections(whole, own) if (own := [pair for pair in of_tiles if pair[0].frame == number]) else whole
        for number, whole in enumerate(results[: len(frames)])
    ]


def _tags(models: Models, picture: Picture, frame: Frame, detections: Sequence[safety.Detection]) -> list[Tag]:
    return [
        Tag(
            name=detection.name,
            category=BY_NAME[detection.name].category,
            score=round(detection.score, 4),
            box=box_of(detection.corners, frame.scale, picture.width, picture.height),
            frame=frame.index,
            model=models.safety_id,
        )
        for detection in detections
        if detection.name != "face"
    ]


def _faces(
    models: Models, picture: Picture, frame: Frame, detected: Sequence[DetectedFace], embed: bool
) -> list[tuple[Face, Pixels | None]]:
    """Returns the frame's faces, still without embedding, each with the chip to embed."""
    faces: list[tuple[Face, Pixels | None]] = []
    for detection in detected:
        chip = chip_of(models, frame.pixels, detection) if embed else None
        corners = detection.box.corners
        sharp, pose = sharpness(frame.pixels, corners), chip.pose if chip else 1.0
        face = Face(
            box=box_of(corners, frame.scale, picture.width, picture.height),
            frame=frame.index,
            score=round(detection.box.score, 4),
            quality=face_quality(corners, sharp, pose),
            sharpness=sharp,
            pose=pose,
        )
        faces.append((face, chip.pixels if chip else None))
    return faces
