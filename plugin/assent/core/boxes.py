"""Converts boxes between their two forms, and measures how much of them two boxes share. Pure.

A `Box` is `(x, y, width, height)` in whole pixels of the oriented image: the form that is stored and sent. `Corners`
are `(left, top, right, bottom)` in pixels of a frame, with fractions, the form that networks return. One box is a
tuple, many are an array (n, 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assent.core.values import Box

Corners = tuple[float, float, float, float]

# Intersection over union from which the weaker of two detections of one network is dropped. The usual value of the
# detectors' own code, with which their published figures and our thresholds were measured.
SUPPRESSION_IOU = 0.45
# Share of the smaller box from which two detections are one face. No IoU: one box may hold the whole head, the other
# only eyes and mouth, which lies inside it and is a small part of their union.
SAME_FACE_COVER = 0.6
# IoU from which a face found in another analysis is the one that was refused: the same face, not its neighbour. The two
# boxes may come from two models or copies, so it asks for less than a cover and more than a touch.
SAME_FACE_IOU = 0.5


def read_box(numbers: Iterable[int]) -> Box:
    """Returns the box that a JSON list holds. Raises ValueError where these are not four numbers."""
    x, y, width, height = numbers
    return x, y, width, height


def scaled_box(box: Box, scale: float) -> Box:
    """Converts a box of the oriented image into whole pixels of a frame."""
    return read_box(round(side * scale) for side in box)


def corners_of(box: Box, scale: float = 1.0) -> Corners:
    """Converts a box of the oriented image into corners in a frame; `scale`: the frame's."""
    left, top, width, height = (side * scale for side in box)
    return left, top, left + width, top + height


def box_of(corners: Corners, scale: float, width: int, height: int) -> Box:
    """Converts corners in a frame into a box of the oriented image, whose size is `width` × `height`.

    The box lies inside the image and is at least 1 × 1."""
    left, top, right, bottom = (round(value / scale) for value in corners)
    x, y = min(max(0, left), width - 1), min(max(0, top), height - 1)
    return x, y, max(1, min(right, width) - x), max(1, min(bottom, height) - y)


def shifted(corners: Corners, x: float, y: float) -> Corners:
    """Moves corners by that much."""
    left, top, right, bottom = corners
    return left + x, top + y, right + x, bottom + y


def joined(a: Corners, b: Corners) -> Corners:
    """Returns the corners of the smallest box around both."""
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def bounding_corners(points: NDArray[np.floating[Any]]) -> Corners:
    """Returns the corners of the smallest box around points (n, 2)."""
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def centre(box: Box) -> tuple[float, float]:
    x, y, width, height = box
    return x + width / 2, y + height / 2


def area(box: Box) -> int:
    return box[2] * box[3]


def longer_side(corners: Corners) -> float:
    left, top, right, bottom = corners
    return max(right - left, bottom - top)


def contains(outer: Corners, inner: Corners) -> bool:
    """Tells whether the inner box leaves the outer one nowhere."""
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def iou(a: Box, b: Box) -> float:
    """Returns the intersection over union of two boxes, 0 to 1."""
    shared = _intersection(corners_of(a), corners_of(b))
    return shared / max(1, area(a) + area(b) - shared)


def cover(a: Corners, b: Corners, share: float) -> bool:
    """Tells whether the boxes have at least that share of the smaller one in common."""
    smaller = min((right - left) * (bottom - top) for left, top, right, bottom in (a, b))
    return _intersection(a, b) >= share * smaller


def _intersection(a: Corners, b: Corners) -> float:
    left, top, right, bottom = zip(a, b, strict=True)
    return max(0.0, min(right) - max(left)) * max(0.0, min(bottom) - max(top))


# Many at once, as arrays (n, 4)


def corners_from_centres(boxes: NDArray[Any]) -> NDArray[Any]:
    """Converts boxes given as centre and size into corners."""
    half = boxes[:, 2:] / 2
    return np.asarray(np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], 1))


def with_sizes(corners: NDArray[Any]) -> NDArray[Any]:
    """Converts corners into left, top, width and height."""
    return np.asarray(np.concatenate([corners[:, :2], sizes_of(corners)], 1))


def sizes_of(corners: NDArray[Any]) -> NDArray[Any]:
    """Returns width and height of each box (n, 2)."""
    return np.asarray(corners[:, 2:] - corners[:, :2])


def clipped(corners: NDArray[Any], width: int, height: int) -> NDArray[np.float32]:
    """Cuts off what lies outside a frame of that size."""
    limit = np.array([width, height, width, height], np.float32)
    return np.asarray(np.clip(corners, 0, limit), np.float32)
