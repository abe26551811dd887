"""How often an opted-in person is missed, by how many templates are searched: FNIR at FPIR 1 % (ISO/IEC 19795-1).

Genuine scores come from photos of known people (ASSENT_TEST_DATA/faces/<person>/): each still is a probe, each other
still of that person once the template. The rest of the gallery is drawn from the calibration's impostor scores.
"""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assent.core.values import Frame, Picture
from assent.gallery.search import MARGIN
from assent.perceive import Models, perceive
from assent.perceive.faces.calibration import Calibration

FPIR = 0.01
GALLERIES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
DRAWS = 500


def measure(models: Models) -> dict[int, float]:
    """FNIR (0–1) by gallery size, up to what the calibration supports; empty without the photos."""
    root = Path(os.environ.get("ASSENT_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "faces"
    genuine = [score for folder in sorted(root.glob("*/")) for score in _scores(models, folder)]
    if not genuine:
        return {}
    sizes = [size for size in GALLERIES if size <= models.calibration.templates_supported(FPIR)]
    return {size: fnir(np.array(genuine), models.calibration, size) for size in sizes}


def fnir(genuine: NDArray[np.float64], calibration: Calibration, templates: int) -> float:
    """The share of searches that miss the person: below the threshold, or with a stranger within the margin."""
    best = np.full((DRAWS, 1), -1.0)
    if templates > 1:
        highest = np.random.default_rng(0).random((DRAWS, 1)) ** (1 / (templates - 1))  # the best stranger's quantile
        best = _impostors(calibration, highest)
    missed = (genuine < calibration.threshold(templates, FPIR)) | (genuine - best < MARGIN)
    return float(missed.mean())


def _impostors(calibration: Calibration, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores below which those shares of impostor scores lie, interpolated as `Calibration.threshold` does."""
    below, scores = np.array(calibration.quantiles).T
    rarest = np.append(-np.log10(1 - below), np.log10(calibration.impostor_pairs))
    wanted = -np.log10(np.maximum(1 - shares, 1 / calibration.impostor_pairs))
    return np.asarray(np.interp(wanted, rarest, np.append(scores, calibration.impostor_max)))


def _scores(models: Models, folder: Path) -> list[float]:
    """The cosines of all pairs of a person's stills in which a face was found."""
    pictures = [_picture(path) for path in sorted(folder.iterdir())]
    faces = [max(seen.faces, key=lambda face: face.score, default=None) for seen in perceive(models, pictures)]
    found = [face.embedding for face in faces if face is not None and face.embedding is not None]
    return [float(probe @ template) for probe, template in permutations(found, 2)]


def picture_of(image: Image.Image) -> Picture:
    pixels = np.array(image.convert("RGB"))
    return Picture("0" * 64, "png", pixels.shape[1], pixels.shape[0], 1, (Frame(0, pixels, 1.0),))


def _picture(path: Path) -> Picture:
    with Image.open(path) as image:
        return picture_of(image)
