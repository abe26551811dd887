"""Joins what the models return for an image in the two turns that viewers show it in. Pure.

Boxes are those of the turn that it is stored in. Of a face found in both turns the one counts that compares better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from assent.core.boxes import SAME_FACE_COVER, SUPPRESSION_IOU, corners_of, cover, iou
from assent.core.values import Face, Frame, Perception, Picture, Tag
from assent.media.turns import box_before, oriented_size, turned
from assent.perceive.faces.detect import merge_tags


def with_turns(pictures: Sequence[Picture]) -> list[Picture]:
    """Returns each image, and after one that some viewers turn that view of it."""
    return [view for picture in pictures for view in (picture, *other_turns(picture))]


def other_turns(picture: Picture) -> tuple[Picture, ...]:
    """Returns the image as some viewers turn it, nothing where none does."""
    if picture.other_turn == 1:
        return ()
    width, height = oriented_size((picture.width, picture.height), picture.other_turn)
    frames, over_black = (
        tuple(_turned(frame, picture.other_turn) for frame in part) for part in (picture.frames, picture.over_black)
    )
    return (replace(picture, width=width, height=height, frames=frames, over_black=over_black, other_turn=1),)


def joined_turns(pictures: Sequence[Picture], perceptions: Sequence[Perception]) -> Iterator[Perception]:
    """Yields one perception for each image, from those of `with_turns`."""
    left = iter(perceptions)
    for picture in pictures:
        shown = next(left)
        yield shown if picture.other_turn == 1 else _joined(shown, boxes_turned_back(next(left), picture))


def boxes_turned_back(perception: Perception, picture: Picture) -> Perception:
    """Returns a perception of the image's other turn with its boxes in `picture`."""
    turn = (picture.other_turn, picture.width, picture.height)
    faces = tuple(replace(face, box=box_before(face.box, *turn)) for face in perception.faces)
    tags = tuple(replace(tag, box=tag.box and box_before(tag.box, *turn)) for tag in perception.tags)
    return replace(perception, faces=faces, tags=tags)


def _turned(frame: Frame, orientation: int) -> Frame:
    """Returns the frame turned, without the hashes and codes of all its turns, which it has already."""
    codes = None if frame.codes is None else ()
    return replace(frame, pixels=np.ascontiguousarray(turned(frame.pixels, orientation)), pdqs=(), codes=codes)


def _joined(shown: Perception, other: Perception) -> Perception:
    faces = list(shown.faces)
    for face in other.faces:
        same = next((n for n, one in enumerate(faces) if _is_same_face(one, face)), None)
        if same is None:
            faces.append(face)
        elif (face.quality, face.score) > (faces[same].quality, faces[same].score):
            faces[same] = face
    more = [tag for tag in other.tags if not any(_is_weaker(tag, one) for one in shown.tags)]
    kept = [tag for tag in shown.tags if not any(_is_weaker(tag, one) for one in more)]
    return replace(shown, faces=tuple(faces), tags=merge_tags([*kept, *more]))


def _is_same_face(face: Face, other: Face) -> bool:
    return face.frame == other.frame and cover(corners_of(face.box), corners_of(other.box), SAME_FACE_COVER)


def _is_weaker(tag: Tag, other: Tag) -> bool:
    """Tells whether a tag says no more than another, with at least its score, of the same thing."""
    same = (tag.name, tag.model, tag.frame) == (other.name, other.model, other.frame)
    if tag.box is None or other.box is None or not same or tag.score > other.score:
        return False
    return bool(iou(tag.box, other.box) >= SUPPRESSION_IOU)
