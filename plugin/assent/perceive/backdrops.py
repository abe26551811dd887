"""Joins what the models return for an image over white and over black: the stricter of both. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from assent.core.boxes import SUPPRESSION_IOU, iou
from assent.core.values import Face, Perception, Picture, Tag
from assent.perceive.faces.detect import merge_tags

_Detected = TypeVar("_Detected", Face, Tag)


def with_backdrops(pictures: Sequence[Picture]) -> list[Picture]:
    """Returns each image, and after one that looks otherwise over black that view of it."""
    views: list[Picture] = []
    for picture in pictures:
        views.append(replace(picture, over_black=()))
        if picture.over_black:
            views.append(replace(picture, frames=picture.over_black, over_black=()))
    return views


def joined_backdrops(pictures: Sequence[Picture], perceptions: Sequence[Perception]) -> Iterator[Perception]:
    """Yields one perception for each image, from those of `with_backdrops`."""
    left = iter(perceptions)
    for picture in pictures:
        over_white = next(left)
        yield _union(over_white, next(left)) if picture.over_black else over_white


def _union(over_white: Perception, over_black: Perception) -> Perception:
    """Returns what either shows; of a face or thing that both show, the better detection."""
    faces, tags = list(over_white.faces), list(over_white.tags)
    for face in over_black.faces:
        _add(faces, face, next((n for n, other in enumerate(faces) if _is_same_face(face, other)), None))
    for tag in over_black.tags:
        _add(tags, tag, next((n for n, other in enumerate(tags) if _is_same_tag(tag, other)), None))
    features = {**over_white.features, **{~frame: vector for frame, vector in over_black.features.items()}}
    return replace(over_white, tags=merge_tags(tags), faces=tuple(faces), features=features)


def _add(listed: list[_Detected], item: _Detected, same: int | None) -> None:
    if same is None:
        listed.append(item)
    elif item.score > listed[same].score:
        listed[same] = item


def _is_same_face(face: Face, other: Face) -> bool:
    return face.frame == other.frame and iou(face.box, other.box) >= SUPPRESSION_IOU


def _is_same_tag(tag: Tag, other: Tag) -> bool:
    if (
        tag.box is None
        or other.box is None
        or (tag.name, tag.model, tag.frame) != (other.name, other.model, other.frame)
    ):
        return False
    return iou(tag.box, other.box) >= SUPPRESSION_IOU
