"""Leaves out what a classifier of whole frames calls people: none of its classes is a person. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from assent.core.boxes import Corners
from assent.core.values import Frame, Tag

# `python -m tests.bench.alone`: of 816 views of people alone 90 had a wrong label from 0.2 up, none from 0.5; with the
# rule none. With masks laid over the faces 271 and 9 of 756; with the rule 33 and none (54 and 3 where only faces from
# 0.25 up counted). Of 420 everyday photos with a right label from 0.6 up 10 lose one: most dogs' faces are less sure.
# No scene reached 0.2 on people alone. Where one of these is said of a face that fills the frame, the person is called
# it. Worn things may be said.
_NEVER_PEOPLE = ("animal", "food", "object", "product")
_WORN = "product.clothing"
_UNSURE_FACE = 0.15
_SURE_FACE = 0.65
_FILLS = 0.25  # of the frame's height
_SURE_LABEL = 0.70


def beside_people(tags: Sequence[Tag], faces: Sequence[tuple[Corners, float]], frame: Frame) -> list[Tag]:
    """Returns those tags by classifiers and heads of a whole frame that may stay beside the faces in it.

    faces: corners in pixels of the frame, with scores. Where a sure face fills the frame, no animal, food, thing or
    product is said, except what is worn; beside any other from _UNSURE_FACE up they stay from _SURE_LABEL up, each
    label by itself."""
    if not any(score >= _UNSURE_FACE for _, score in faces):
        return list(tags)
    height = frame.pixels.shape[0]
    filled = any(score >= _SURE_FACE and bottom - top >= _FILLS * height for (_, top, _, bottom), score in faces)
    return [tag for tag in tags if not is_of_things(tag.name) or (tag.score >= _SURE_LABEL and not filled)]


def is_of_things(label: str) -> bool:
    """Tells whether a label is of an animal, food or thing that is not worn: of what no person is."""
    worn = label == _WORN or label.startswith(f"{_WORN}.")
    return label.split(".")[0] in _NEVER_PEOPLE and not worn
