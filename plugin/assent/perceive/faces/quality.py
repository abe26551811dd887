"""Selects the boxes that are faces, rates how well a face can be compared, and cuts the chip for the embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import SAME_FACE_COVER, Corners, cover
from assent.core.values import Pixels
from assent.perceive.faces.dlib_library import load_dlib
from assent.perceive.safety.detect import Detection

# Narrower faces (pixels of the frame) get no embedding: the chip would be enlarged more than twice. Quality spares
# nobody else. `python -m tests.bench.bystanders`: of 54 faces in 500 everyday photos 0 lie below the sharpness, or size
# × sharpness, of the worst of 590 matched faces; a pose of 0 would spare 31, and lose 42 of those (tilted heads).
LEAST_WIDTH = 40
# The landmarks are found three times, the box moved by this share of its width. Where they move more than MOST_SPREAD
# of the eyes' distance (root mean square), they were not found. Measured on copies of 40 stills: turned over a model of
# a head by 30° 1 of 22 is over it, by 40° 2, by 50° 11, by 60° 11 of the 16 that still show a face; turned by 30° the
# embedding keeps a cosine of 0.81 (median) to the frontal one, by 50° 0.63.
_SHIFTS = ((0.0, 0.0), (0.08, 0.0), (-0.08, 0.0))
MOST_SPREAD = 0.05
# Where they move more than this, the face is tried in the other quarter turns too, and the steadiest counts. Measured
# on 40 stills in all four turns: in the right one they move 0.007 (median), at most 0.040, in the steadiest wrong one
# 0.10 (median), at least 0.013; the right one is the steadiest of all four 160 of 160 times. So of 40 copies tilted by
# 40° 3 are over MOST_SPREAD, by 45° 1, by 50, 60, 75 and 90° none (without other turns 5, -, 20, 35, 39 and 40 were);
# the embedding keeps a cosine of 0.95 (median) to the upright one by 40 to 50°, of 0.97 by 60°.
STEADY = 0.02
_CHIP, _MARGIN = 150, 0.25
_AROUND = 0.5  # of the box's longer side, cut out beside it to turn a face in
_SHARP_SIDE = 96


class Chip(NamedTuple):
    pixels: Pixels  # (150, 150, 3) RGB, eyes level
    pose: float  # 0–1, 1 = frontal; 0 also where the landmarks were not found


def select_faces(detections: Sequence[Detection], least: float) -> tuple[Detection, ...]:
    """Returns the detections that count as faces, best score first, one for each face.

    `least`: the detector's threshold, as its manifest states it."""
    faces: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        if detection.name == "face" and detection.score >= least and not _is_among(detection, faces):
            faces.append(detection)
    return tuple(faces)


def _is_among(detection: Detection, faces: Sequence[Detection]) -> bool:
    return any(cover(detection.corners, face.corners, SAME_FACE_COVER) for face in faces)


def is_comparable(corners: Corners) -> bool:
    """Tells whether the box is at least LEAST_WIDTH pixels wide."""
    return round(corners[2]) - round(corners[0]) >= LEAST_WIDTH


def chip_by_landmarks(predictor: Any, pixels: Pixels, corners: Corners) -> Chip | None:
    """Returns the aligned chip of the face in that box (pixels of the frame), None where it is not comparable.

    Five points (the corners of the eyes, the bottom of the nose) from `predictor`, a dlib.shape_predictor, turn and
    scale the face; Kazemi & Sullivan, CVPR 2014. They are found on faces that stand upright: where they are unsteady,
    the face is tried lying on either side and upside down."""
    if not is_comparable(corners):
        return None
    chip, spread = _aligned(predictor, pixels, corners)
    if spread <= STEADY:
        return chip
    turned = (_aligned(predictor, *_turned(pixels, corners, quarters)) for quarters in (1, 2, 3))
    return min(((chip, spread), *turned), key=lambda tried: tried[1])[0]


def _aligned(predictor: Any, pixels: Pixels, corners: Corners) -> tuple[Chip, float]:
    """Returns the chip of a face as if it stood upright, and how far the landmarks move."""
    pixels = np.ascontiguousarray(pixels)  # a no-op for decoded frames; dlib reads nothing else
    shapes = [predictor(pixels, _rectangle(corners, *shift)) for shift in _SHIFTS]
    points = np.array([[(point.x, point.y) for point in shape.parts()] for shape in shapes], np.float64)
    spread = _spread(points)
    pose = 0.0 if spread > MOST_SPREAD else _frontal(points[0])
    return Chip(load_dlib().get_face_chip(pixels, shapes[0], _CHIP, _MARGIN), pose), spread


def _turned(pixels: Pixels, corners: Corners, quarters: int) -> tuple[Pixels, Corners]:
    """Returns a part of the frame around the box, turned by that many quarters against the clock, and the box in it."""
    left, top, right, bottom = (round(value) for value in corners)
    around = round(_AROUND * max(right - left, bottom - top))
    x, y = max(0, left - around), max(0, top - around)
    part = pixels[y : bottom + around, x : right + around]
    height, width = part.shape[:2]
    box = (left - x, top - y, right - x, bottom - y)
    for _ in range(quarters):
        box, width, height = (box[1], width - box[2], box[3], width - box[0]), height, width
    return np.rot90(part, quarters), box


def _rectangle(corners: Corners, x: float, y: float) -> Any:
    """Returns the box as dlib takes it, moved by shares of its width."""
    width = corners[2] - corners[0]
    left, top, right, bottom = (
        round(value + share * width) for value, share in zip(corners, (x, y, x, y), strict=True)
    )
    return load_dlib().rectangle(left, top, right - 1, bottom - 1)


def _spread(tries: NDArray[np.float64]) -> float:
    """Returns how far the points of several tries (tries, 5, 2) lie apart, in distances of the first try's eyes."""
    moved = np.sqrt(((tries - tries.mean(axis=0)) ** 2).sum(axis=2).mean())
    eyes = np.hypot(*(tries[0, 0:2].mean(axis=0) - tries[0, 2:4].mean(axis=0)))
    return float(moved / eyes) if eyes > 0 else float("inf")


def _frontal(points: NDArray[np.float64]) -> float:
    return frontal(points[0:2].mean(axis=0), points[2:4].mean(axis=0), points[4])


def frontal(first: NDArray[Any], second: NDArray[Any], nose: NDArray[Any]) -> float:
    """Rates the pose from the positions (2,) of the eyes and the nose: 1 − (2 × offset / distance)², at least 0.

    It is 1 where the nose lies midway between the eyes, 0 where it lies under an eye."""
    across = first - second
    distance = float(np.hypot(*across))
    if distance < 1:
        return 0.0
    offset = float((nose - (first + second) / 2) @ across) / distance**2
    return max(0.0, 1 - (2 * offset) ** 2)


def sharpness(pixels: Pixels, corners: Corners) -> float:
    """Rates how sharp the face in that box is, 0–1: the deviation of the Laplacian over that of the grey values.

    The box is scaled to 96 × 96; 0.04 counts as 0 and 0.20 as 1.

    Measured on 48 faces: sharp ones lie at 0.18–0.75 (median 0.42); blurred by 1.5 % of their width, at 0.12, the
    embedding keeps a cosine of 0.90 to the sharp one, by 3 %, at 0.065, 0.69, by 6 %, at 0.05, 0.23."""
    left, top, right, bottom = (round(value) for value in corners)
    box = pixels[max(0, top) : max(bottom, top + 1), max(0, left) : max(right, left + 1)]
    if box.size == 0:
        return 0.0
    grey = cv2.cvtColor(np.ascontiguousarray(box), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SHARP_SIDE, _SHARP_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = float(small.std())
    edges = float(cv2.Laplacian(small, cv2.CV_32F).std()) / contrast if contrast > 1 else 0.0
    return min(1.0, max(0.0, (edges - 0.04) / 0.16))


def face_quality(corners: Corners, sharp: float, pose: float) -> float:
    """Rates how well a face can be compared, 0–1: size × sharpness × pose.

    size: width of the box over 100 pixels (about what the chip shows of it), at most 1. sharpness and pose: as
    `sharpness` and the chip give them; 1 for the pose where no landmarks were computed."""
    left, _, right, _ = (round(value) for value in corners)
    return round(min(1.0, (right - left) / 100) * sharp * pose, 3)
