"""Computes the score that a match needs, so that a stranger is named no more often than promised.

FMR is the share of comparisons between two different people that reach a score; FPIR the share of searches of a
stranger's face that name anybody. Among N templates FPIR ≈ 1 − (1 − FMR)^N (ISO/IEC 19795-1, independent comparisons).
A measurement of n comparisons supports no claim below FMR 3/n (rule of three, 95 % confidence).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from assent.core.errors import GalleryTooLarge, ModelUnknown
from assent.core.values import Band, Vector

LIKELY_FPIR = 0.01
STRONG_FPIR = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The measurements of an embedder on images of known people.

    `mean` float32 (d,) is subtracted from raw embeddings before they are normalised; scores are cosines of those, −1–1.
    `quantiles`: (share of impostor scores below, score), both rising; `impostor_max`: the highest of all of them.
    """

    model: str
    mean: Vector
    quantiles: tuple[tuple[float, float], ...]
    impostor_max: float
    impostor_pairs: int
    detector: str = ""  # the model that found the faces it was measured on; empty: the file does not say
    sha256: str = ""  # of the file; empty where there is none
    measured: tuple[tuple[str, str], ...] = ()  # what an operator's own file says of the people and the photos

    def templates_supported(self, fpir: float = LIKELY_FPIR) -> int:
        """Returns how many templates may be searched at that FPIR; 0 = none.

        FPIR lies between 0 and 1, both excluded; ValueError otherwise."""
        if not 0 < fpir < 1:
            raise ValueError("fpir lies between 0 and 1")
        if self.impostor_pairs <= 3:
            return 0
        return math.floor(math.log1p(-fpir) / math.log1p(-3 / self.impostor_pairs))

    def threshold(self, templates: int, fpir: float = LIKELY_FPIR) -> float:
        """Returns the score from which a match among that many templates keeps the FPIR.

        Raises ValueError for fewer than one template. Between measured quantiles the score is interpolated over
        log10(FMR); beyond the last one it is the highest impostor score measured. Raises GalleryTooLarge when the
        calibration supports no claim for so many templates."""
        if templates < 1:
            raise ValueError("a search has at least one template")
        supported = self.templates_supported(fpir)
        if templates > supported:
            raise GalleryTooLarge(
                f"{templates} templates, but the calibration of {self.model} supports {supported} at FPIR {fpir:g}"
            )
        fmr = -math.expm1(math.log1p(-fpir) / templates)
        below, scores = np.array(self.quantiles).T
        if fmr < 1 - below[-1]:
            return self.impostor_max
        return float(np.interp(-math.log10(fmr), -np.log10(1 - below), scores))

    def band(self, score: float, templates: int) -> Band | None:
        """Returns the band of a score among that many templates, None below `likely`. Raises as `threshold` does.

        `likely` keeps FPIR 1 %, `strong` FPIR 0.1 %; where that is not supported for so many templates, `strong`
        begins at the highest impostor score measured. Bands are passed on, scores never are."""
        likely = self.threshold(templates, LIKELY_FPIR)
        within = templates <= self.templates_supported(STRONG_FPIR)
        strong = self.threshold(templates, STRONG_FPIR) if within else self.impostor_max
        if score >= strong:
            return "strong"
        return "likely" if score >= likely else None


def uncalibrated(model: str, dimension: int) -> Calibration:
    """Returns the calibration of an embedder that nobody measured.

    It supports no search, so that nobody is matched by it."""
    mean = np.zeros(dimension, np.float32)
    mean.flags.writeable = False
    return Calibration(model, mean, ((0.0, 1.0), (0.5, 1.0)), 1.0, 0)


@dataclass(frozen=True, slots=True)
class _File:
    """The fields of `models/calibration/*.json` that are read.

    The genuine scores and the text of the file are for people."""

    __pydantic_config__ = ConfigDict(extra="ignore")

    model: str
    dimension: int
    mean: list[float]
    impostor_pairs: int
    impostor_quantiles: dict[float, float]
    impostor_max: float
    detector: str = ""
    people: int | None = None
    faces: int | None = None
    photos_sha256: str | None = None
    measured_at: str | None = None


_FILE = TypeAdapter(_File)


def read_calibration(path: Path) -> Calibration:
    """Reads and checks a calibration file. Raises ModelUnknown when it is missing or contradicts itself."""
    try:
        data = path.read_bytes()
        file = _FILE.validate_json(data)
    except (OSError, ValidationError) as error:
        raise ModelUnknown(f"calibration {path.name} cannot be read") from error
    quantiles = tuple(sorted(file.impostor_quantiles.items()))
    below = [share for share, _ in quantiles]
    scores = [score for _, score in quantiles] + [file.impostor_max]
    whole = len(file.mean) == file.dimension and len(quantiles) >= 2 and file.impostor_pairs > 3
    whole = whole and all(map(math.isfinite, [*file.mean, *below, *scores]))
    if not (whole and below[0] >= 0 and below[-1] < 1 and scores == sorted(scores) and scores[-1] <= 1):
        raise ModelUnknown(f"calibration {path.name} contradicts itself")
    mean = np.array(file.mean, np.float32)
    mean.flags.writeable = False
    details = {name: getattr(file, name) for name in ("people", "faces", "photos_sha256", "measured_at")}
    return Calibration(
        model=file.model,
        mean=mean,
        quantiles=quantiles,
        impostor_max=file.impostor_max,
        impostor_pairs=file.impostor_pairs,
        detector=file.detector,
        sha256=hashlib.sha256(data).hexdigest(),
        measured=tuple((name, str(value)) for name, value in details.items() if value is not None),
    )
