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
from assent.learn.labels import thinned
from assent.learn.measure import Floats, share
from assent.learn.report import INK, Cell, Plot, Report, Table, name_axes, plot
from assent.perceive.faces.calibration import LIKELY_FPIR, Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PROMISES = (1e-2, 1e-3, 1e-4)  # FMR for which the calibration's threshold is tried
DRAWS = 200  # random galleries of each size
_SEED = 20


class KnownFaces(NamedTuple):
    """The embedder's raw vector of each face (n, d), and the person of each: an index into `people`."""

    people: tuple[str, ...]
    raw: NDArray[np.float32]
    whose: NDArray[np.intp]

    @property
    def means(self) -> NDArray[np.float32]:
        """Returns each person's mean (people, d): one with many photos is still one person."""
        return np.stack([self.raw[self.whose == one].mean(axis=0) for one in range(len(self.people))])


class Measured(NamedTuple):
    """The people, the person of each face, and the scores of all pairs of faces (n, n)."""

    people: tuple[str, ...]
    scores: NDArray[np.float32]
    whose: NDArray[np.intp]


class Pairs(NamedTuple):
    """All pairs of photos, each once: their cosines, whether they show one person, and the two people's indexes."""

    scores: Floats
    same: NDArray[np.bool_]
    first: NDArray[np.intp]
    second: NDArray[np.intp]


def measure_faces(known: KnownFaces, mean: Vector | None) -> Measured:
    """Returns the cosines of all pairs of faces, centred by `mean` (d,).

    Without `mean` each pair is centred by the mean of all other people. By a mean that they are part of themselves,
    few people would look less alike than strangers do (eight of them by a cosine of 1/7). Raises DatasetUnusable for
    fewer than three people then."""
    if mean is not None:
        unit = _unit(known.raw - mean)
        return Measured(known.people, unit @ unit.T, known.whose)
    count = len(known.people)
    if count < 3:
        raise DatasetUnusable("an embedder without a calibration is measured on three people at least")
    means = known.means
    total, scores = means.sum(axis=0), np.empty((len(known.raw), len(known.raw)), np.float32)
    for person in range(count):
        others = (np.arange(count) != person)[:, None]
        centres = ((total - means[person] - others * means) / (count - 1 - others))[known.whose]  # of each other face
        right = _unit(known.raw - centres)
        for at in np.flatnonzero(known.whose == person):
            scores[at] = (_unit(known.raw[at] - centres) * right).sum(axis=1)
    return Measured(known.people, scores, known.whose)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def pairs(known: Measured) -> Pairs:
    """Returns all pairs of photos, each once.

    Raises DatasetUnusable without at least one pair of one person and one of two."""
    one, other = np.triu_indices(len(known.whose), 1)
    scores = known.scores[one, other].astype(np.float64)
    first, second = known.whose[one], known.whose[other]
    same = first == second
    if not same.any() or same.all():
        raise DatasetUnusable("faces are measured on at least two people, one of whom has two photos with a face")
    return Pairs(scores, same, first, second)


def report_faces(
    known: Measured, calibration: Calibration, command: str, groups: Sequence[str] = (), notes: Sequence[str] = ()
) -> Report:
    """Reports on one embedder and one set of people; `groups`: each person's, for the fairness tables.

    Under a calibration that supports no claim the report has no thresholds."""
    found = pairs(known)
    sizes = tuple(_identification(known, calibration))
    tables = [_summary(known, found)]
    if calibration.templates_supported():
        tables += [_thresholds(found, calibration), _gallery(sizes)]
    if groups and calibration.templates_supported():
        tables += by_group(list(_ratios(known, found, calibration)), groups, "people")
    title = f"{calibration.model}: {len(known.people)} people, {len(known.whose)} faces"
    return Report(title, command, tuple(notes), (*tables, _points(found)), _plots(found, sizes))


def _summary(known: Measured, found: Pairs) -> Table:
    impostors, genuine = found.scores[~found.same], found.scores[found.same]
    rows: tuple[tuple[str, Cell], ...] = (
        ("people", len(known.people)),
        ("faces", len(known.whose)),
        ("pairs of one person", len(genuine)),
        ("pairs of two people", len(impostors)),
        ("equal error rate", equal_error_rate(found)),
        ("lowest FMR these people can support (rule of three)", 3 / pairs_of_people(known)),
    )
    return Table("summary", "Summary", ("figure", "value"), rows)


def equal_error_rate(found: Pairs) -> float:
    """Returns the rate at which FMR and FNMR are equal, 0–1."""
    wrong, missed, _ = det_curve(found.same, found.scores)
    equal = int(np.abs(wrong - missed).argmin())
    return float(wrong[equal] + missed[equal]) / 2


def pairs_of_people(known: Measured) -> int:
    """Counts the comparisons of strangers that a claim rests on.

    Further photos of the same two people add little."""
    return len(known.people) * (len(known.people) - 1) // 2


def _thresholds(found: Pairs, calibration: Calibration) -> Table:
    impostors, genuine = found.scores[~found.same], found.scores[found.same]
    rows = []
    for promised in _kept_promises(calibration):
        least = calibration.threshold(1, promised)
        rows.append((promised, least, share(impostors >= least), share(genuine < least)))
    columns = ("FMR promised by the calibration", "threshold", "FMR here", "FNMR here")
    return Table("thresholds", "Verification, at the calibration's thresholds", columns, tuple(rows))


class Size(NamedTuple):
    templates: int
    threshold: float
    fpir: float | None
    fnir: float | None


def _identification(known: Measured, calibration: Calibration) -> Iterator[Size]:
    """Searches random galleries of each size, one photo a person; searches are all other photos.

    The threshold is the one that promises FPIR 1 % for that size; sizes end where the calibration supports no such
    promise."""
    random = np.random.default_rng(_SEED)
    scores = known.scores
    size = 1
    while size < len(known.people):
        try:
            least = calibration.threshold(size, LIKELY_FPIR)
        except GalleryTooLarge:
            return
        named, strangers, missed, mates = 0, 0, 0, 0
        for _ in range(DRAWS):
            inside = random.permutation(len(known.people))[:size]
            gallery = np.array([random.choice(np.flatnonzero(known.whose == one)) for one in inside])
            probes = np.setdiff1d(np.arange(len(known.whose)), gallery)
            table = scores[np.ix_(probes, gallery)]
            best, top = table.max(axis=1) >= least, known.whose[gallery[table.argmax(axis=1)]]
            mated = np.isin(known.whose[probes], inside)
            named, strangers = named + int(best[~mated].sum()), strangers + int((~mated).sum())
            found = best & (top == known.whose[probes])
            missed, mates = missed + int((~found[mated]).sum()), mates + int(mated.sum())
        yield Size(size, least, named / strangers if strangers else None, missed / mates if mates else None)
        size *= 2


def _kept_promises(calibration: Calibration) -> tuple[float, ...]:
    return tuple(promised for promised in PROMISES if calibration.templates_supported(promised))


def _gallery(sizes: Sequence[Size]) -> Table:
    columns = ("templates", "threshold", "FPIR here", "FNIR here")
    title = f"Identification, at the thresholds that promise FPIR {LIKELY_FPIR:.0%}"
    return Table("identification", title, columns, tuple(tuple(size) for size in sizes))


def _ratios(known: Measured, found: Pairs, calibration: Calibration) -> Iterator[Ratio]:
    count = len(known.people)
    for promised in _kept_promises(calibration)[:2]:
        least = calibration.threshold(1, promised)
        genuine, others = found.same, ~found.same
        missed = np.bincount(found.first[genuine], found.scores[genuine] < least, count).astype(np.float64)
        compared = np.bincount(found.first[genuine], minlength=count).astype(np.float64)
        yield Ratio(f"FNMR at FMR {promised:g}", missed, compared)
        part, whole = np.zeros((count, count)), np.zeros((count, count))
        np.add.at(part, (found.first[others], found.second[others]), found.scores[others] >= least)
        np.add.at(whole, (found.first[others], found.second[others]), 1)
        yield Ratio(f"FMR within the group at FMR {promised:g}", part, whole)


def _points(found: Pairs) -> Table:
    wrong, missed, thresholds = det_curve(found.same, found.scores)
    rows = tuple((float(thresholds[at]), float(wrong[at]), float(missed[at])) for at in thinned(len(thresholds)))
    return Table("det", "", ("threshold", "FMR", "FNMR"), rows, printed=False)


def _plots(found: Pairs, sizes: Sequence[Size]) -> tuple[Plot, ...]:
    wrong, missed, _ = det_curve(found.same, found.scores)
    false, true, _ = roc_curve(found.same, found.scores)

    def draw_det(axes: Axes) -> None:
        axes.loglog(np.maximum(wrong, 1e-6), np.maximum(missed, 1e-4), color=INK[0])
        name_axes(axes, "FMR", "FNMR")

    def draw_roc(axes: Axes) -> None:
        axes.plot(np.maximum(false, 1e-6), true, color=INK[0])
        axes.set_xscale("log")
        name_axes(axes, "FMR", "1 − FNMR")

    def draw_scores(axes: Axes) -> None:
        bins = np.linspace(-0.6, 1, 60)
        for label, chosen, ink in (("two people", ~found.same, INK[1]), ("one person", found.same, INK[0])):
            axes.hist(found.scores[chosen], bins.tolist(), density=True, alpha=0.7, label=label, color=ink)
        axes.legend()
        name_axes(axes, "score", "density")

    def draw_gallery(axes: Axes) -> None:
        shown = [size.templates for size in sizes]
        axes.plot(
            shown,
            [np.nan if size.fnir is None else size.fnir for size in sizes],
            marker="o",
            color=INK[0],
            label="FNIR",
        )
        axes.plot(
            shown,
            [np.nan if size.fpir is None else size.fpir for size in sizes],
            marker="o",
            color=INK[1],
            label="FPIR",
        )
        axes.set_xscale("log", base=2)
        axes.legend()
        name_axes(axes, "templates searched", "share")

    drawn = plot("det", "DET", draw_det), plot("roc", "ROC", draw_roc), plot("scores", "Scores of pairs", draw_scores)
    return (*drawn, plot("identification", "Identification against gallery size", draw_gallery)) if sizes else drawn
