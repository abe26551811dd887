"""Leaves out what a classifier of whole frames calls people: none of its classes is a person. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from assent.core.boxes import Corners
from assent.core.values import Frame, Tag

# Chosen on half of 540 views of people alone (scales, mirrored) and of 500 everyday photos, which may flatter. On the
# other half (308 views) one had a wrong label from 0.5 up, 68 from 0.2 up; with the rule none. Of 220 everyday photos
# with a right label there 3 lose it (chosen on: 4 of 220, and 7 a finer one): most dogs' faces are less sure.
# A face under a mask is often not found, and then nothing is left out. No scene reached 0.2 on people alone.
# Where one of these is said of a face that fills the frame, the person is called it. Worn things may be said.
_NEVER_PEOPLE = ("animal", "food", "object", "product")
_WORN = "product.clothing"
_SURE_FACE = 0.65
_FILLS = 0.25  # of the frame's height
_SURE_LABEL = 0.70


def beside_people(tags: Sequence[Tag], faces: Sequence[tuple[Corners, float]], frame: Frame) -> list[Tag]:
    """Returns those tags of a frame, by classifiers of the whole of it, that may stay beside the faces in it.

    faces: corners in pixels of the frame, with scores. Where a sure face fills the frame, no animal, food, thing or
    product is said, except what is worn; beside any other face they stay from _SURE_LABEL up, each label by itself."""
    if not faces:
        return list(tags)
    height = frame.pixels.shape[0]
    filled = any(score >= _SURE_FACE and bottom - top >= _FILLS * height for (_, top, _, bottom), score in faces)
    return [tag for tag in tags if not is_of_things(tag.name) or (tag.score >= _SURE_LABEL and not filled)]


def is_of_things(label: str) -> bool:
    """Tells whether a label is of an animal, food or thing that is not worn: of what no person is."""
    worn = label == _WORN or label.startswith(f"{_WORN}.")
    return label.split(".")[0] in _NEVER_PEOPLE and not worn
