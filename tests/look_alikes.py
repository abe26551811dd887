"""Enough people for a calibration from few: photos of some, and the same photos pinched until networks take them for
others (cosines to the original of 0.1 to 0.2, at most 0.55). They show that a calibration works, not how good one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from assent.core.values import Pixels
from tests.unit.perceive_photos import photo_path, read

PINCHES = {"": (1.0, 1.0), "-broad": (1.6, 0.6), "-narrow": (0.6, 1.7)}


def pinched(pixels: Pixels, across: float, down: float) -> Pixels:
    """The middle enlarged (exponent over 1) or reduced along each axis, the edges where they were."""
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = _bent(columns / width, across) * width, _bent(rows / height, down) * height
    return np.asarray(cv2.remap(pixels, x, y, cv2.INTER_LINEAR), np.uint8)


def _bent(place: np.ndarray, power: float) -> np.ndarray:
    away = (place - 0.5) * 2
    return np.asarray(0.5 + np.sign(away) * np.abs(away) ** power / 2, np.float32)


def crowd(people: Mapping[str, Sequence[Path]], folder: Path) -> Path:
    """A folder of class folders: three for each of the people, and one of somebody else."""
    for person, path, pixels in _photos(people):
        (folder / person).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / person / f"{path.stem}.png")
    return folder


def _photos(people: Mapping[str, Sequence[Path]]) -> Iterator[tuple[str, Path, Pixels]]:
    for name, paths in people.items():
        for path in paths:
            for suffix, powers in PINCHES.items():
                yield name + suffix, path, pinched(read(path), *powers)
    yield "astronaut", photo_path("astronaut.png"), read(photo_path("astronaut.png"))
