"""Computes a calibration from the scores of known people, and writes its file.

The file gives the score that a match needs. It carries the evaluation that justifies it: how many people and pairs,
their quantiles, the equal error rate, a hash of the photos, the date. It holds no score of a pair and no name.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from assent.core.clock import rfc3339_in_seconds
from assent.core.errors import DatasetUnusable
from assent.core.files import replace_file
from assent.core.values import Vector
from assent.learn.dataset import Example
from assent.learn.faces import FaceScores, Pairs, all_pairs, equal_error_rate, pairs_of_people
from assent.learn.measure import Floats
from assent.learn.report import Cell, Table
from assent.media.files import read_file
from assent.perceive.faces.calibration import LIKELY_FPIR, STRONG_FPIR, Calibration

# As many pairs of people have to lie above a quantile for it to be one (ISO/IEC 19795-1, rule of 30); where a threshold
# is needed beyond the last such quantile, it is the highest score that two different people ever had.
LEAST_ABOVE = 30
_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999)
_GENUINE_QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75)


def calibration_of(faces: FaceScores, mean: Vector, model: str, detector: str) -> Calibration:
    """Returns the calibration that those people's scores support.

    Every two people count alike, however many photos they have. Raises DatasetUnusable where they do not support a
    single template at FPIR 1 %."""
    pairs, count = all_pairs(faces), pairs_of_people(faces)
    if count < 3 / LIKELY_FPIR:
        raise DatasetUnusable(
            f"{len(faces.people)} people make {count} pairs of different people. To promise FPIR {LIKELY_FPIR:.0%} one "
            f"template needs 300, which are 25 people; 500 templates need 547 people"
        )
    impostors = pairs.scores[~pairs.same]
    below = [quantile for quantile in _QUANTILES if count * (1 - quantile) > LEAST_ABOVE - 1e-6]
    scores = _weighted_quantiles(impostors, _weights(faces, pairs)[~pairs.same], below)
    highest = min(1.0, float(impostors.max()))
    return Calibration(model, mean, tuple(zip(below, scores, strict=True)), highest, count, detector)


def _weights(faces: FaceScores, pairs: Pairs) -> Floats:
    """Returns the weight of each pair of photos: 1 over how many such pairs the two people have."""
    photos = np.bincount(faces.person_of, minlength=len(faces.people))
    return np.asarray(1 / (photos[pairs.first] * photos[pairs.second]), np.float64)


def _weighted_quantiles(scores: Floats, weights: Floats, quantiles: Sequence[float]) -> list[float]:
    """Returns the lowest score at which each of those shares of all weight is reached."""
    order = np.argsort(scores)
    reached = np.cumsum(weights[order]) / weights.sum()
    return [float(scores[order[np.searchsorted(reached, quantile)]]) for quantile in quantiles]


def calibration_table(calibration: Calibration) -> Table:
    """Returns the templates that the calibration supports, and the thresholds by the number that is searched."""
    most = calibration.templates_supported()
    most_strong = calibration.templates_supported(STRONG_FPIR)
    rows: list[tuple[Cell, ...]] = [("templates supported", most, most_strong or None)]
    for size in sorted({1, *(size for size in (10, 100, 1000) if size < most), most}):
        strong = calibration.threshold(size, STRONG_FPIR) if size <= most_strong else None
        rows.append((f"threshold among {size}", calibration.threshold(size), strong))
    return Table("calibration", "What these people support", ("figure", "FPIR 1 %", "FPIR 0.1 %"), tuple(rows))


def write_calibration(
    path: Path,
    calibration: Calibration,
    faces: FaceScores,
    examples: Sequence[Example],
    command: str,
    measured_at: datetime,
) -> None:
    """Writes the calibration with the evaluation that justifies it, at once or not at all.

    `examples`: each face's photo. Raises NotFound where one of these is gone, and OSError."""
    pairs = all_pairs(faces)
    genuine = pairs.scores[pairs.same]
    content = {
        "model": calibration.model,
        "detector": calibration.detector,
        "dimension": len(calibration.mean),
        "metric": "cosine after subtracting the mean and normalising",
        "mean": calibration.mean.tolist(),
        "impostor_pairs": calibration.impostor_pairs,
        "impostor_quantiles": {str(quantile): score for quantile, score in calibration.quantiles},
        "impostor_max": calibration.impostor_max,
        "genuine_pairs": len(genuine),
        "genuine_quantiles": {str(each): float(np.quantile(genuine, each)) for each in _GENUINE_QUANTILES},
        "equal_error_rate": equal_error_rate(pairs),
        "templates_supported": calibration.templates_supported(),
        "people": len(faces.people),
        "faces": len(faces.person_of),
        "photos_sha256": _digest(examples),
        "measured_at": rfc3339_in_seconds(measured_at),
        "command": command,
    }
    data = json.dumps(content, indent=1).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)


def _digest(examples: Sequence[Example]) -> str:
    """Returns one hash of all photos and of their grouping by person, whatever they are called."""
    photos: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        photos[example.label].append(hashlib.sha256(read_file(example.path)).hexdigest())
    people = sorted(" ".join(sorted(hashes)) for hashes in photos.values())
    return hashlib.sha256("\n".join(people).encode()).hexdigest()
