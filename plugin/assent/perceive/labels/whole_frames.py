"""Labels frames as a whole, and gives the features that heads take: one pass of each network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Tag, Vector
from assent.perceive.frames.tiles import tiles_of_wide
from assent.perceive.labels.drawn import without_drawings
from assent.perceive.networks import backend
from assent.perceive.packs.model_set import Models

# From which score up a label of a part counts: more parts are more chances to be wrong. Handwriting is a building at
# 0.64 in one of its parts; at 0.70 `tests.bench.wide` was measured.
_PART_LEAST = 0.70


class FrameLabels(NamedTuple):
    """A frame's labels from score 0.05 up, and its features (width of the backbone,)."""

    tags: tuple[Tag, ...]
    features: Vector


def label_frames(models: Models, frames: Sequence[Frame]) -> tuple[FrameLabels, ...]:
    """Returns the labels of each frame by the `watchers` of role labels, and its features by the backbone.

    A wide frame is looked at in parts as well, and the strongest of each label counts: of 66 things in rows of three
    photos, 13 are named from 0.7 up by the rows' middle alone, with parts 55 (`tests.bench.wide`)."""
    labellers = [model for model in models.watchers if model.file.role != "objects"]
    parts = tiles_of_wide(frames)
    pixels = [*(frame.pixels for frame in frames), *(part.pixels for part in parts)]
    shown = [*range(len(frames)), *(part.frame for part in parts)]  # the frame that each of `pixels` is, or lies in
    tags: list[list[Tag]] = [[] for _ in frames]
    features: list[Vector] = []
    for model in dict.fromkeys((*labellers, models.backbone)):
        seen = backend.classify_with_features(model, pixels if model in labellers else pixels[: len(frames)])
        if model in labellers:
            for frame, rows, named in zip(frames, tags, _strongest(model, seen, shown, len(frames)), strict=True):
                rows += [_tag(name, score, frame.index, model.id) for name, score in named.items()]
        if model is models.backbone:
            features += [one.features for one in seen[: len(frames)] if one.features is not None]
    said = [without_drawings(rows, frame.pixels) for rows, frame in zip(tags, frames, strict=True)]
    return tuple(FrameLabels(tuple(rows), vector) for rows, vector in zip(said, features, strict=True))


def _strongest(
    model: backend.LoadedModel, seen: Sequence[backend.Classified], shown: Sequence[int], frames: int
) -> list[dict[str, float]]:
    """Returns the highest score of each label in each frame and, from _PART_LEAST up, its parts, strongest first."""
    named: list[dict[str, float]] = [{} for _ in range(frames)]
    for n, (frame, one) in enumerate(zip(shown, seen, strict=True)):
        least = 0.0 if n < frames else _PART_LEAST
        for name, score in backend.by_label(model, one.scores).items():
            if score >= least:
                named[frame][name] = max(score, named[frame].get(name, 0.0))
    return [dict(sorted(row.items(), key=lambda pair: -pair[1])) for row in named]


def _tag(name: str, score: float, frame: int, model: str) -> Tag:
    return Tag(name, BY_NAME[name].category, round(score, 4), None, frame, model)
