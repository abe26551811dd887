"""Smooths small, noisy frames before the networks run; large ones lose their noise when they are shrunk.

Measured on copies of 40 stills of 150 pixels (docs/models.md has the figures and the command). The better-known
methods, noise reduction by non-local means and exposure normalisation (CLAHE), did less or harm, at 1,000 times the
time.
"""

from __future__ import annotations

from math import pi, sqrt

import cv2
import numpy as np

from assent.core.values import Pixels

LARGEST = 400  # pixels of the longer side: larger frames are shrunk for the safety network anyway
# Noise over contrast from which a frame is smoothed. 40 sound stills lie at 0.14 at most, 1 of 100 photos of goods lies
# over it; dark copies of the stills at 0.23 and more, noisy ones at 0.20.
NOISY = 0.2
_RADIUS = 1.8  # standard deviation of the Gaussian, pixels
# Immerkær 1996: this kernel cancels flat areas and slopes, so that what is left is noise.
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def cleaned(pixels: Pixels) -> Pixels:
    """Returns the frame (h, w, 3), smoothed where it is small and noisy; else the same array."""
    if max(pixels.shape[:2]) > LARGEST or noise(pixels) < NOISY:
        return pixels
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), _RADIUS), np.uint8)


def noise(pixels: Pixels) -> float:
    """Measures the noise of a frame: its standard deviation over that of the grey values; 0 for a flat frame.

    The noise is estimated by Immerkær's method."""
    grey = pixels.mean(axis=2, dtype=np.float32)
    contrast = float(grey.std())
    spread = float(np.abs(cv2.filter2D(grey, -1, _KERNEL)).mean()) * sqrt(pi / 2) / 6
    return spread / contrast if contrast > 1 else 0.0
