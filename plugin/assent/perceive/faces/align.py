"""Aligns faces for an embedder, by five points that a detector found."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import Corners
from assent.core.errors import ModelUnknown
from assent.core.values import Pixels
from assent.perceive.faces.quality import Chip, frontal, is_comparable
from assent.perceive.packs.manifest import Input

Points = NDArray[np.float32]  # (5, 2): the eyes, the nose, the corners of the mouth; left in the image first

# Where the five points lie in a chip. arcface: insightface's, for 112 × 112 (its utils/face_align.py); at 128 it leaves
# 8 pixels more at the left and right, as there. openmodelzoo: what Open Model Zoo names for
# face-reidentification-retail-0095, as shares of the side.
_ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
_OPENMODELZOO = np.array(
    [
        [0.31556875, 0.46157411],
        [0.68262292, 0.46157411],
        [0.5002625, 0.64050536],
        [0.34947187, 0.82469196],
        [0.65343646, 0.82469196],
    ],
    np.float32,
)

# Detectors point at the tip of the nose, dlib at its base, which moves this much of the tip's way when a head turns:
# least squares over 52 faces of 41 photos (YuNet), so that one measure of pose serves both.
_BASE = 0.7


def template(spec: Input) -> Points:
    """Returns the target positions of the five points (5, 2), in pixels of the chip.

    Raises ModelUnknown where there is no template of the manifest's name and size."""
    if spec.align == "openmodelzoo":
        return _scaled(_OPENMODELZOO, np.array(spec.size, np.float32))
    if spec.align == "arcface" and spec.size[0] % 112 == 0:
        return _scaled(_ARCFACE, spec.size[0] / 112)
    if spec.align == "arcface" and spec.size[0] % 128 == 0:
        return _scaled(_ARCFACE + np.array([8, 0], np.float32), spec.size[0] / 128)
    raise ModelUnknown(f"there is no template {spec.align} of {spec.size[0]} pixels")


def _scaled(points: Points, by: float | Points) -> Points:
    return np.asarray(points * by, np.float32)


def similarity(points: Points, target: Points) -> NDArray[np.float64]:
    """Returns the rotation, scale and shift (2, 3) that bring `points` closest to `target`, by least squares.

    Umeyama 1991, without mirroring; in the plane it is one complex factor."""
    a = points[:, 0].astype(np.float64) + 1j * points[:, 1]
    b = target[:, 0].astype(np.float64) + 1j * target[:, 1]
    spread = float((abs(a - a.mean()) ** 2).sum())
    factor = complex(np.vdot(a - a.mean(), b - b.mean())) / spread if spread > 0 else 1 + 0j
    shift = complex(b.mean() - factor * a.mean())
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def chip_by_points(spec: Input, pixels: Pixels, corners: Corners, points: Points) -> Chip | None:
    """Returns the aligned chip of a face, None where its box is not comparable."""
    if not is_comparable(corners):
        return None
    matrix = similarity(points, template(spec))
    chip: Any = cv2.warpAffine(np.ascontiguousarray(pixels), matrix, spec.size, flags=cv2.INTER_LINEAR)
    between = (points[0] + points[1]) / 2
    base = between + _BASE * (points[2] - between)
    return Chip(np.asarray(chip, np.uint8), frontal(points[0], points[1], base))
