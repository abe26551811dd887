"""Noise reduction for small, noisy frames, where it was measured to help; large ones lose their noise when shrunk.

Measured on copies of 40 stills of 150 pixels (`python -m tests.bench.preprocessing`; docs/models.md has all figures):
with noise of 25 grey levels the default pack finds no face in 40 of 40, after noise reduction in 24; pairs of one
person that reach the threshold rise from 0 to 39 %. With the pack `compact` they rise from 92.5 to 97.5 %. Exposure
normalisation (CLAHE) lowered every figure on dark and noisy copies, and is not done.
"""

from __future__ import annotations

from math import pi, sqrt

import cv2
import numpy as np

from assent.values import Pixels

LARGEST = 400  # pixels of the longer side: the safety network shrinks larger frames, which averages the noise away
NOISY = 12.0  # grey levels; sound stills lie at 0.9 to 6 (median 2.3), copies with noise of 25 at 18 and more
_STRENGTH, _PATCH, _SEARCH = 7, 7, 15
# Immerkær 1996: this kernel cancels flat areas and slopes, so that what is left is noise.
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def cleaned(pixels: Pixels) -> Pixels:
    """The frame (h, w, 3), with less noise where it is small and has much of it; else the same array."""
    if max(pixels.shape[:2]) > LARGEST or min(pixels.shape[:2]) < _SEARCH or spread(pixels) < NOISY:
        return pixels
    made = cv2.fastNlMeansDenoisingColored(np.ascontiguousarray(pixels), None, _STRENGTH, _STRENGTH, _PATCH, _SEARCH)
    return np.asarray(made, np.uint8)


def spread(pixels: Pixels) -> float:
    """The standard deviation of the noise in grey levels, by Immerkær's method."""
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(cv2.filter2D(grey, -1, _KERNEL)).mean()) * sqrt(pi / 2) / 6
