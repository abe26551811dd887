"""Computes a calibration from the scores of known people, and writes its file.

The file gives the score that a match needs. It carries the evaluation that justifies it: how many people and pairs,
their quantiles, the equal error rate, a hash of the photos, the date. It holds no score of a pair and no name.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from assent.core.errors import DatasetUnusable
from assent.core.values import Vector
from assent.learn.dataset import Example
from assent.learn.faces import Measured, Pairs, equal_error_rate, pairs, pairs_of_people
from assent.learn.measure import Floats
from assent.learn.report import Cell, Table
from assent.media.files import read_file
from assent.perceive.faces.calibration import LIKELY_FPIR, STRONG_FPIR, Calibration

# As many pairs of people have to lie above a quantile for it to be one (ISO/IEC 19795-1, rule of 30); where a threshold
# is needed beyond the last such quantile, it is the highest score that two different people ever had.
LEAST_ABOVE = 30
_SHARES = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999)
_GENUINE = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75)


def calibration_of(known: Measured, mean: Vector, model: str, detector: str) -> Calibration:
    """Returns the calibration that those people's scores support.

    Every two people count the same, however many photos they have. Raises DatasetUnusable where they do not support
    a single template at FPIR 1 %."""
    found, count = pairs(known), pairs_of_people(known)
    if count < 3 / LIKELY_FPIR:
        raise DatasetUnusable(
            f"{len(known.people)} people make {count} pairs of different people. To promise FPIR {LIKELY_FPIR:.0%} one "
            f"template needs 300, which are 25 people; 500 templates need 547 people"
        )
    strangers = found.scores[~found.same]
    below = [share for share in _SHARES if count * (1 - share) > LEAST_ABOVE - 1e-6]
    marks = _quantiles(strangers, _weights(known, found)[~found.same], below)
    highest = min(1.0, float(strangers.max()))
    return Calibration(model, mean, tuple(zip(below, marks, strict=True)), highest, count, detector)


def _weights(known: Measured, found: Pairs) -> Floats:
    """Returns the weight of each pair of photos: 1 over how many such pairs the two people have."""
    photos = np.bincount(known.whose, minlength=len(known.people))
    return np.asarray(1 / (photos[found.first] * photos[found.second]), np.float64)


def _quantiles(scores: Floats, weights: Floats, below: Sequence[float]) -> list[float]:
    """Returns the lowest score at which each of those shares of all weight is reached."""
    order = np.argsort(scores)
    reached = np.cumsum(weights[order]) / weights.sum()
    return [float(scores[order[np.searchsorted(reached, share)]]) for share in below]


def table(found: Calibration) -> Table:
    """Returns the templates that the calibration supports, and the thresholds by the number that is searched."""
    most = found.templates_supported()
    rows: list[tuple[Cell, ...]] = [("templates supported", most, found.templates_supported(STRONG_FPIR) or None)]
    for size in sorted({1, *(size for size in (10, 100, 1000) if size < most), most}):
        strong = found.threshold(size, STRONG_FPIR) if size <= found.templates_supported(STRONG_FPIR) else None
        rows.append((f"threshold among {size}", found.threshold(size), strong))
    return Table("calibration", "What these people support", ("figure", "FPIR 1 %", "FPIR 0.1 %"), tuple(rows))


def write_calibration(
    path: Path, made: Calibration, known: Measured, examples: Sequence[Example], command: str, at: datetime
) -> None:
    """Writes the calibration with the evaluation that justifies it, at once or not at all.

    `examples`: each face's photo. Raises NotFound where one of these is gone, and OSError."""
    found = pairs(known)
    genuine = found.scores[found.same]
    file = {
        "model": made.model,
        "detector": made.detector,
        "dimension": len(made.mean),
        "metric": "cosine after subtracting the mean and normalising",
        "mean": made.mean.tolist(),
        "impostor_pairs": made.impostor_pairs,
        "impostor_quantiles": {str(share): score for share, score in made.quantiles},
        "impostor_max": made.impostor_max,
        "genuine_pairs": len(genuine),
        "genuine_quantiles": {str(share): float(np.quantile(genuine, share)) for share in _GENUINE},
        "equal_error_rate": equal_error_rate(found),
        "templates_supported": made.templates_supported(),
        "people": len(known.people),
        "faces": len(known.whose),
        "photos_sha256": _digest(examples),
        "measured_at": at.isoformat(timespec="seconds"),
        "command": command,
    }
    data = json.dumps(file, indent=1).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as new:
        new.write(data)
        new.flush()
        os.fsync(new.fileno())
    Path(new.name).replace(path)


def _digest(examples: Sequence[Example]) -> str:
    """Returns one hash of all photos and of their grouping by person, whatever they are called."""
    people: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        people[example.label].append(hashlib.sha256(read_file(example.path)).hexdigest())
    return hashlib.sha256("\n".join(sorted(" ".join(sorted(one)) for one in people.values())).encode()).hexdigest()
