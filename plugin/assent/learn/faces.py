"""Measures how well the pack tells people apart, on photos of known people: verification and identification.

FMR: share of pairs of two people that reach a score; FNMR: share of pairs of one person that do not. FPIR: share of
searches for somebody who is not in the gallery that name anybody; FNIR: share of searches for somebody who is in it
that do not name them (ISO/IEC 19795-1). Only such shares leave this file: no score of a pair, no vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import det_curve, roc_curve

from assent.core.errors import DatasetUnusable, GalleryTooLarge
from assent.core.values import Vector
from assent.learn.fairness import Ratio, by_group
from assent.learn.measure import Floats, evenly_spaced, proportion
from assent.learn.report import INK, Cell, Plot, Report, Table, draw_plot, name_axes
from assent.perceive.faces.calibration import LIKELY_FPIR, Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROMISES = (1e-2, 1e-3, 1e-4)  # FMR for which the calibration's threshold is tried
DRAWS = 200  # random galleries of each size
_SEED = 20


class LabelledFaces(NamedTuple):
    """The embedder's raw vector of each face (n, d), and the person (n,) of each: an index into `people`."""

    people: tuple[str, ...]
    raw: NDArray[np.float32]
    person_of: NDArray[np.intp]

    @property
    def means(self) -> NDArray[np.float32]:
        """Returns each person's mean (people, d): one with many photos is still one person."""
        return np.stack([self.raw[self.person_of == person].mean(axis=0) for person in range(len(self.people))])


class FaceScores(NamedTuple):
    """The people, the scores of all pairs of faces (n, n), and the person (n,) of each face."""

    people: tuple[str, ...]
    scores: NDArray[np.float32]
    person_of: NDArray[np.intp]


class Pairs(NamedTuple):
    """All pairs of photos, each once: their cosines, whether they show one person, and the two people's indexes."""

    scores: Floats
    same: NDArray[np.bool_]
    first: NDArray[np.intp]
    second: NDArray[np.intp]


def score_faces(faces: LabelledFaces, mean: Vector | None) -> FaceScores:
    """Returns the cosines of all pairs of faces, centred by `mean` (d,).

    Without `mean` each pair is centred by the mean of all other people. By a mean that they are part of themselves,
    few people would look less alike than strangers do (eight of them by a cosine of 1/7). Raises DatasetUnusable for
    fewer than three people then."""
    if mean is not None:
        unit = _unit(faces.raw - mean)
        return FaceScores(faces.people, unit @ unit.T, faces.person_of)
    count = len(faces.people)
    if count < 3:
        raise DatasetUnusable("an embedder without a calibration is measured on three people at least")
    means = faces.means
    total, scores = means.sum(axis=0), np.empty((len(faces.raw), len(faces.raw)), np.float32)
    for person in range(count):
        others = (np.arange(count) != person)[:, None]
        # The centre for each of the other faces.
        centres = ((total - means[person] - others * means) / (count - 1 - others))[faces.person_of]
        compared = _unit(faces.raw - centres)
        for row in np.flatnonzero(faces.person_of == person):
            scores[row] = (_unit(faces.raw[row] - centres) * compared).sum(axis=1)
    return FaceScores(faces.people, scores, faces.person_of)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def all_pairs(faces: FaceScores) -> Pairs:
    """Returns all pairs of photos, each once.

    Raises DatasetUnusable without at least one pair of one person and one of two."""
    rows, columns = np.triu_indices(len(faces.person_of), 1)
    scores = faces.scores[rows, columns].astype(np.float64)
    first, second = faces.person_of[rows], faces.person_of[columns]
    same = first == second
    if not same.any() or same.all():
        raise DatasetUnusable("faces are measured on at least two people, one of whom has two photos with a face")
    return Pairs(scores, same, first, second)


def report_faces(
    faces: FaceScores, calibration: Calibration, command: str, groups: Sequence[str] = (), notes: Sequence[str] = ()
) -> Report:
    """Reports on one embedder and one set of people; `groups`: each person's, for the fairness tables.

    Under a calibration that supports no claim the report has no thresholds."""
    pairs = all_pairs(faces)
    sizes = tuple(_identification(faces, calibration))
    tables = [_summary(faces, pairs)]
    if calibration.templates_supported():
        tables += [_thresholds(pairs, calibration), _gallery(sizes)]
    if groups and calibration.templates_supported():
        tables += by_group(list(_ratios(faces, pairs, calibration)), groups, "people")
    title = f"{calibration.model}: {len(faces.people)} people, {len(faces.person_of)} faces"
    return Report(title, command, tuple(notes), (*tables, _points(pairs)), _plots(pairs, sizes))


def _summary(faces: FaceScores, pairs: Pairs) -> Table:
    impostors, genuine = pairs.scores[~pairs.same], pairs.scores[pairs.same]
    rows: tuple[tuple[str, Cell], ...] = (
        ("people", len(faces.people)),
        ("faces", len(faces.person_of)),
        ("pairs of one person", len(genuine)),
        ("pairs of two people", len(impostors)),
        ("equal error rate", equal_error_rate(pairs)),
        ("lowest FMR these people can support (rule of three)", 3 / pairs_of_people(faces)),
    )
    return Table("summary", "Summary", ("figure", "value"), rows)


def equal_error_rate(pairs: Pairs) -> float:
    """Returns the rate at which FMR and FNMR are equal, 0–1."""
    wrong, missed, _ = det_curve(pairs.same, pairs.scores)
    equal = int(np.abs(wrong - missed).argmin())
    return float(wrong[equal] + missed[equal]) / 2


def pairs_of_people(faces: FaceScores) -> int:
    """Counts the comparisons of strangers that a claim rests on.

    Further photos of two people add little to their comparison."""
    return len(faces.people) * (len(faces.people) - 1) // 2


def _thresholds(pairs: Pairs, calibration: Calibration) -> Table:
    impostors, genuine = pairs.scores[~pairs.same], pairs.scores[pairs.same]
    rows = []
    for promised in _supported_promises(calibration):
        least = calibration.threshold(1, promised)
        rows.append((promised, least, proportion(impostors >= least), proportion(genuine < least)))
    columns = ("FMR promised by the calibration", "threshold", "FMR here", "FNMR here")
    return Table("thresholds", "Verification, at the calibration's thresholds", columns, tuple(rows))


class GallerySize(NamedTuple):
    """The error rates of searches among that many templates; None where there was no search of the kind."""

    templates: int
    threshold: float
    fpir: float | None
    fnir: float | None


def _identification(faces: FaceScores, calibration: Calibration) -> Iterator[GallerySize]:
    """Searches random galleries of each size, one photo a person; searches are all other photos.

    The threshold is the one that promises FPIR 1 % for that size; sizes end where the calibration supports no such
    promise."""
    random = np.random.default_rng(_SEED)
    size = 1
    while size < len(faces.people):
        try:
            least = calibration.threshold(size, LIKELY_FPIR)
        except GalleryTooLarge:
            return
        counted = np.sum([_search(faces, size, least, random) for _ in range(DRAWS)], axis=0)
        false, strangers, missed, mates = (int(count) for count in counted)
        yield GallerySize(size, least, false / strangers if strangers else None, missed / mates if mates else None)
        size *= 2


def _search(faces: FaceScores, size: int, least: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Searches one random gallery of that size with all other photos.

    Returns how many searches for strangers named anybody, of how many; how many for people in it missed them, of how
    many."""
    enrolled = random.permutation(len(faces.people))[:size]
    gallery = np.array([random.choice(np.flatnonzero(faces.person_of == person)) for person in enrolled])
    probes = np.setdiff1d(np.arange(len(faces.person_of)), gallery)
    scores = faces.scores[np.ix_(probes, gallery)]
    reached, best = scores.max(axis=1) >= least, faces.person_of[gallery[scores.argmax(axis=1)]]
    mated = np.isin(faces.person_of[probes], enrolled)
    identified = reached & (best == faces.person_of[probes])
    return int(reached[~mated].sum()), int((~mated).sum()), int((~identified[mated]).sum()), int(mated.sum())


def _supported_promises(calibration: Calibration) -> tuple[float, ...]:
    return tuple(promised for promised in PROMISES if calibration.templates_supported(promised))


def _gallery(sizes: Sequence[GallerySize]) -> Table:
    columns = ("templates", "threshold", "FPIR here", "FNIR here")
    title = f"Identification, at the thresholds that promise FPIR {LIKELY_FPIR:.0%}"
    return Table("identification", title, columns, tuple(tuple(size) for size in sizes))


def _ratios(faces: FaceScores, pairs: Pairs, calibration: Calibration) -> Iterator[Ratio]:
    count = len(faces.people)
    for promised in _supported_promises(calibration)[:2]:
        least = calibration.threshold(1, promised)
        genuine, others = pairs.same, ~pairs.same
        missed = np.bincount(pairs.first[genuine], pairs.scores[genuine] < least, count).astype(np.float64)
        compared = np.bincount(pairs.first[genuine], minlength=count).astype(np.float64)
        yield Ratio(f"FNMR at FMR {promised:g}", missed, compared)
        part, whole = np.zeros((count, count)), np.zeros((count, count))
        np.add.at(part, (pairs.first[others], pairs.second[others]), pairs.scores[others] >= least)
        np.add.at(whole, (pairs.first[others], pairs.second[others]), 1)
        yield Ratio(f"FMR within the group at FMR {promised:g}", part, whole)


def _points(pairs: Pairs) -> Table:
    wrong, missed, thresholds = det_curve(pairs.same, pairs.scores)
    points = evenly_spaced(len(thresholds))
    rows = tuple((float(thresholds[point]), float(wrong[point]), float(missed[point])) for point in points)
    return Table("det", "", ("threshold", "FMR", "FNMR"), rows, printed=False)


def _plots(pairs: Pairs, sizes: Sequence[GallerySize]) -> tuple[Plot, ...]:
    wrong, missed, _ = det_curve(pairs.same, pairs.scores)
    false, true, _ = roc_curve(pairs.same, pairs.scores)

    def draw_det(axes: Axes) -> None:
        axes.loglog(np.maximum(wrong, 1e-6), np.maximum(missed, 1e-4), color=INK[0])
        name_axes(axes, "FMR", "FNMR")

    def draw_roc(axes: Axes) -> None:
        axes.plot(np.maximum(false, 1e-6), true, color=INK[0])
        axes.set_xscale("log")
        name_axes(axes, "FMR", "1 − FNMR")

    def draw_scores(axes: Axes) -> None:
        bins = np.linspace(-0.6, 1, 60)
        for label, chosen, ink in (("two people", ~pairs.same, INK[1]), ("one person", pairs.same, INK[0])):
            axes.hist(pairs.scores[chosen], bins.tolist(), density=True, alpha=0.7, label=label, color=ink)
        axes.legend()
        name_axes(axes, "score", "density")

    plots = (
        draw_plot("det", "DET", draw_det),
        draw_plot("roc", "ROC", draw_roc),
        draw_plot("scores", "Scores of pairs", draw_scores),
    )
    return (*plots, _gallery_plot(sizes)) if sizes else plots


def _gallery_plot(sizes: Sequence[GallerySize]) -> Plot:
    def draw_gallery(axes: Axes) -> None:
        templates = [size.templates for size in sizes]
        for label, ink, rates in (
            ("FNIR", INK[0], [size.fnir for size in sizes]),
            ("FPIR", INK[1], [size.fpir for size in sizes]),
        ):
            measured = [np.nan if rate is None else rate for rate in rates]
            axes.plot(templates, measured, marker="o", color=ink, label=label)
        axes.set_xscale("log", base=2)
        axes.legend()
        name_axes(axes, "templates searched", "share")

    return draw_plot("identification", "Identification against gallery size", draw_gallery)
