"""Computes the PDQ hash of each frame, stage 3; the file's sha256 came with the decoded image. Pure.

PDQ is Meta's perceptual hash for finding copies of known images (ThreatExchange, hashing/hashing.pdf): luma is
smoothed by two passes of a box filter (Jarosz), sampled at 64 × 64 points and transformed; of the 16 × 16 lowest
frequencies each gives one bit, whether it is above their median. Both passes and the sampling are linear and apart by
axis, so they are one matrix an axis here. Compared with the bits of Meta's own C++ in tests/unit/test_fingerprint.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from assent.core.values import Picture, Pixels

# Frames with less detail than that get no hash: flat images resemble each other. Quality is 0–100, as the paper has
# it; 50 is what ThreatExchange's own tools ask for.
LEAST_QUALITY = 50
_LEAST_SIDE = 5  # pixels, as in the reference
_NOISE = 1e-9  # the least weight there is, of a side of 4,096 pixels, is a millionth
_SAMPLES, _FREQUENCIES = 64, 16
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def fingerprinted(picture: Picture) -> Picture:
    """Returns the image with the PDQ hashes of each frame that has enough detail for one."""
    frames, over_black = (
        tuple(replace(frame, pdqs=pdqs(frame.pixels)) for frame in part)
        for part in (picture.frames, picture.over_black)
    )
    return replace(picture, frames=frames, over_black=over_black)


def pdqs(pixels: Pixels) -> tuple[bytes, ...]:
    """Returns the PDQ hashes (32 bytes, as their hex is written) of a frame (h, w, 3) and of its seven turns and
    mirrorings, the frame itself first; none below quality 50."""
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return ()
    small = _samples(pixels)
    if _quality(small) < LEAST_QUALITY:
        return ()
    return _turned(np.asarray(_cosines() @ small @ _cosines().T, np.float32))


def pdq_quality(pixels: Pixels) -> int:
    """Measures how much the smoothed frame changes from sample to sample: 0–100."""
    return _quality(_samples(pixels)) if min(pixels.shape[:2]) >= _LEAST_SIDE else 0


def _samples(pixels: Pixels) -> NDArray[np.float32]:
    """Smooths luma to (64, 64). A sample's weights end where its neighbour's middle is, so each takes few rows."""
    weights = _smoothing(pixels.shape[0])
    rows = np.empty((_SAMPLES, pixels.shape[1] * 3), np.float32)
    for sample, row in zip(weights, rows, strict=True):
        (few,) = np.nonzero(sample)
        part = pixels[few[0] : few[-1] + 1].reshape(few.size, -1)
        np.dot(sample[few], part.astype(np.float32), out=row)
    luma = rows.reshape(_SAMPLES, -1, 3) @ _LUMA
    return luma @ _smoothing(pixels.shape[1]).T


@lru_cache(maxsize=16)
def _smoothing(side: int) -> NDArray[np.float32]:
    """Returns the matrix (64, side): the box filter twice, sampled at the middle of 64 equal parts.

    The window is a 128th of the side, rounded up; at the edges its mean is over what there is of it."""
    window = -(-side // (2 * _SAMPLES))
    ahead = window // 2
    columns = np.arange(side)
    first, last = np.maximum(columns - (window - 1 - ahead), 0), np.minimum(columns + ahead, side - 1)
    share = 1 / (last - first + 1)
    weights = np.zeros((_SAMPLES, side + 1))
    for row, middle in zip(weights, ((np.arange(_SAMPLES) + 0.5) * side / _SAMPLES).astype(int), strict=True):
        inner = slice(first[middle], last[middle] + 1)  # the second pass reads these, each of which the first made
        np.add.at(row, first[inner], share[middle] * share[inner])
        np.add.at(row, last[inner] + 1, -share[middle] * share[inner])
    weights = np.cumsum(weights, axis=1)[:, :side]
    return np.where(weights > _NOISE, weights, 0).astype(np.float32)


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """Returns the DCT's rows 1–16 (16, 64); the constant row 0 carries nothing of the image."""
    row, column = np.arange(1, _FREQUENCIES + 1)[:, None], np.arange(_SAMPLES)
    return np.asarray(np.sqrt(2 / _SAMPLES) * np.cos(np.pi / (2 * _SAMPLES) * row * (2 * column + 1)), np.float32)


def _turned(spectrum: NDArray[np.float32]) -> tuple[bytes, ...]:
    """Hashes the image as it is, mirrored left to right, upside down and both; then the same four mirrored diagonally.

    Mirroring an axis turns the sign of its odd waves, rows 0, 2, 4 … here; the diagonal swaps the axes."""
    odd = np.resize(np.array([-1, 1], np.float32), _FREQUENCIES)
    turned = (spectrum, spectrum * odd, spectrum * odd[:, None], spectrum * odd * odd[:, None])
    return tuple(_bits(waves) for waves in (*turned, *(waves.T for waves in turned)))


def _bits(spectrum: NDArray[np.float32]) -> bytes:
    """Packs bits, highest frequency first. The median of an even number is the lower of the two in the middle."""
    flat = spectrum.ravel()
    median = np.partition(flat, flat.size // 2 - 1)[flat.size // 2 - 1]
    return np.packbits(flat[::-1] > median).tobytes()


def _quality(small: NDArray[np.float32]) -> int:
    steps = sum(int(np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum()) for axis in (0, 1))
    return min(100, steps // 90)
