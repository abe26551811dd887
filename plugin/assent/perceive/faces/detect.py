"""Runs the networks of the chosen packs beside the safety network: faces, objects, and labels of whole frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Picture, Pixels, Tag
from assent.perceive.faces import align
from assent.perceive.faces import insightface as insight
from assent.perceive.faces import quality as faces
from assent.perceive.networks import backend
from assent.perceive.packs.model_set import Models
from assent.perceive.safety.nudenet import Detection


class DetectedFace(NamedTuple):
    """A face: its box in the safety network's form, and its five points where the detector gives them."""

    box: Detection
    points: NDArray[np.float32] | None


def detect_faces(
    models: Models, frames: Sequence[Pixels], seen: Sequence[Sequence[Detection]]
) -> list[tuple[DetectedFace, ...]]:
    """Returns the faces in each frame, best first; `seen`: the safety network's detections in it."""
    if models.finder is None:
        return [tuple(DetectedFace(one, None) for one in faces.listed(detections)) for detections in seen]
    if isinstance(models.finder, insight.InsightFaceApp):
        found, least = insight.insightface_detect(models.finder, frames), insight.DETECTOR_LEAST_SCORE
    else:
        found, least = backend.run_detector(models.finder, frames), models.finder.file.threshold
    return [_listed(boxes, least) for boxes in found]


def _listed(boxes: Sequence[backend.FloatBox], least: float) -> tuple[DetectedFace, ...]:
    points = {box.corners: box.points for box in boxes}
    detections = [Detection("face", box.score, box.corners) for box in boxes]
    return tuple(DetectedFace(one, points[one.corners]) for one in faces.listed(detections, least))


def chip_of(models: Models, pixels: Pixels, spot: DetectedFace) -> faces.Chip | None:
    """Returns the chip that the embedder takes, or None for a face that is too small or lacks the points it needs."""
    if models.aligned is None:
        return faces.cut(models.landmarks, pixels, spot.box.corners)
    if spot.points is None:
        return None
    return align.cut(models.aligned, pixels, spot.box.corners, spot.points)


def detect_objects(models: Models, places: Sequence[tuple[Picture, Frame]]) -> list[list[Tag]]:
    """Returns the tags of each frame by the networks in `watchers`: objects with boxes, labels of the whole frame."""
    pixels = [frame.pixels for _, frame in places]
    tags: list[list[Tag]] = [[] for _ in places]
    for net in models.watchers:
        if net.file.role == "objects":
            for (picture, frame), kept, boxes in zip(places, tags, backend.run_detector(net, pixels), strict=True):
                kept += _objects(net, picture, frame, boxes)
        else:
            for (_, frame), kept, scores in zip(places, tags, backend.classify(net, pixels), strict=True):
                named = backend.by_label(net, scores)
                kept += [_tag(name, score, None, frame.index, net.id) for name, score in named.items()]
    return tags


def merged(tags: Sequence[Tag]) -> tuple[Tag, ...]:
    """Keeps, of an animation's tags for whole frames, only the strongest of each label and model.

    Tags with boxes stay as they are."""
    best: dict[tuple[str, str], Tag] = {}
    for tag in tags:
        key = (tag.name, tag.model)
        if tag.box is None and (key not in best or tag.score > best[key].score):
            best[key] = tag
    return tuple(tag for tag in tags if tag.box is not None or best[tag.name, tag.model] is tag)


def _objects(net: backend.LoadedModel, picture: Picture, frame: Frame, boxes: Sequence[backend.FloatBox]) -> list[Tag]:
    said = [(net.names[box.kind], box) for box in boxes]
    return [
        _tag(
            name,
            box.score,
            faces.to_box(box.corners, frame.scale, picture.width, picture.height),
            frame.index,
            net.id,
        )
        for name, box in said
        if name is not None
    ]


def _tag(name: str, score: float, box: tuple[int, int, int, int] | None, frame: int, model: str) -> Tag:
    return Tag(name, BY_NAME[name].category, round(score, 4), box, frame, model)
