"""Labels frames as a whole, and gives the features that heads take: one pass of each network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Tag, Vector
from assent.perceive.networks import backend
from assent.perceive.packs.model_set import Models


class FrameLabels(NamedTuple):
    """A frame's labels from score 0.05 up, and its features (width of the backbone,)."""

    tags: tuple[Tag, ...]
    features: Vector


def label_frames(models: Models, frames: Sequence[Frame]) -> tuple[FrameLabels, ...]:
    """Returns the labels of each frame by the `watchers` of role labels, and its features by the backbone."""
    labellers = [model for model in models.watchers if model.file.role != "objects"]
    pixels = [frame.pixels for frame in frames]
    tags: list[list[Tag]] = [[] for _ in frames]
    features: list[Vector] = []
    for model in dict.fromkeys((*labellers, models.backbone)):
        for frame, rows, seen in zip(frames, tags, backend.classify_with_features(model, pixels), strict=True):
            if model in labellers:
                named = backend.by_label(model, seen.scores)
                rows += [_tag(name, score, frame.index, model.id) for name, score in named.items()]
            if model is models.backbone and seen.features is not None:
                features.append(seen.features)
    return tuple(FrameLabels(tuple(rows), vector) for rows, vector in zip(tags, features, strict=True))


def _tag(name: str, score: float, frame: int, model: str) -> Tag:
    return Tag(name, BY_NAME[name].category, round(score, 4), None, frame, model)
