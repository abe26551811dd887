"""Chips in, templates out: the numbers by which two faces are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assent.perceive.runtime import Net, run
from assent.values import Pixels, Vector

BATCH = {"CPUExecutionProvider": 8, "CUDAExecutionProvider": 32}  # CPU: 32 is no faster a face, and 61 for 10 MB


def embed(net: Net, mean: Vector, chips: Sequence[Pixels]) -> NDArray[np.float32]:
    """Embeddings (n, d) float32 of chips (150, 150, 3) RGB: centred by the calibration's mean (d,), of unit length.

    Without centring two strangers have a cosine of 0.84 with dlib's network."""
    if not chips:
        return np.empty((0, len(mean)), np.float32)
    centred = run(net, np.stack(chips)) - mean
    unit: NDArray[np.float32] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return unit
