"""Runs the networks of the chosen packs beside the safety network that find faces and objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import box_of
from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Picture, Pixels, Tag
from assent.perceive.faces import align
from assent.perceive.faces import insightface as insight
from assent.perceive.faces import quality as faces
from assent.perceive.networks import backend
from assent.perceive.packs.model_set import Models
from assent.perceive.safety.detect import Detection


class DetectedFace(NamedTuple):
    """A face: its box in the safety network's form, and its five points where the detector gives them."""

    box: Detection
    points: NDArray[np.float32] | None


def detect_faces(
    models: Models, frames: Sequence[Pixels], detections: Sequence[Sequence[Detection]]
) -> list[tuple[DetectedFace, ...]]:
    """Returns the faces in each frame, best first; `detections`: the safety network's in it."""
    if models.finder is None:
        least = models.safety.file.threshold
        return [tuple(DetectedFace(face, None) for face in faces.select_faces(found, least)) for found in detections]
    if isinstance(models.finder, insight.InsightFaceApp):
        raw, least = insight.insightface_detect(models.finder, frames), insight.DETECTOR_LEAST_SCORE
    else:
        raw, least = backend.run_detector(models.finder, frames), models.finder.file.threshold
    return [_with_points(boxes, least) for boxes in raw]


def _with_points(boxes: Sequence[backend.NetworkDetection], least: float) -> tuple[DetectedFace, ...]:
    points = {box.corners: box.points for box in boxes}
    detections = [Detection("face", box.score, box.corners) for box in boxes]
    return tuple(DetectedFace(face, points[face.corners]) for face in faces.select_faces(detections, least))


def chip_of(models: Models, pixels: Pixels, face: DetectedFace) -> faces.Chip | None:
    """Returns the chip that the embedder takes, or None for a face that is too small or lacks the points it needs."""
    if models.aligned is None:
        return faces.chip_by_landmarks(models.landmarks, pixels, face.box.corners)
    if face.points is None:
        return None
    return align.chip_by_points(models.aligned, pixels, face.box.corners, face.points)


def detect_objects(models: Models, frames: Sequence[tuple[Picture, Frame]]) -> list[list[Tag]]:
    """Returns the tags of each frame by the networks in `watchers` that detect objects, with boxes."""
    pixels = [frame.pixels for _, frame in frames]
    tags: list[list[Tag]] = [[] for _ in frames]
    for model in models.watchers:
        if model.file.role != "objects":
            continue
        for (picture, frame), rows, boxes in zip(frames, tags, backend.run_detector(model, pixels), strict=True):
            rows += _objects(model, picture, frame, boxes)
    return tags


def merge_tags(tags: Sequence[Tag]) -> tuple[Tag, ...]:
    """Keeps, of an animation's tags for whole frames, only the strongest of each label and model.

    Tags with boxes stay as they are."""
    best: dict[tuple[str, str], Tag] = {}
    for tag in tags:
        key = (tag.name, tag.model)
        if tag.box is None and (key not in best or tag.score > best[key].score):
            best[key] = tag
    return tuple(tag for tag in tags if tag.box is not None or best[tag.name, tag.model] is tag)


def _objects(
    model: backend.LoadedModel, picture: Picture, frame: Frame, boxes: Sequence[backend.NetworkDetection]
) -> list[Tag]:
    return [
        Tag(
            name=name,
            category=BY_NAME[name].category,
            score=round(box.score, 4),
            box=box_of(box.corners, frame.scale, picture.width, picture.height),
            frame=frame.index,
            model=model.id,
        )
        for box in boxes
        if (name := model.names[box.kind]) is not None
    ]
