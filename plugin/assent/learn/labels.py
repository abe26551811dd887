"""Measures how well a head tells its labels apart on labelled images, and how often it gives false tags.

`none` is the class of images that show none of the head's labels: any tag of them is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, det_curve, precision_recall_curve, roc_curve

from assent.core.errors import DatasetUnusable
from assent.learn.dataset import Example, Skipped, word
from assent.learn.fairness import Ratio, by_group
from assent.learn.measure import Bools, Floats, calibration_error, counts, in_any, reliability, share
from assent.learn.report import INK, Cell, Plot, Report, Table, name_axes, plot
from assent.perceive.labels.heads import NONE, HeadFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 200  # of a curve, in its CSV


class Judged(NamedTuple):
    """A head's probabilities (n, columns) for labelled images, and the column of each one's label, −1 for `none`."""

    file: HeadFile
    scores: Floats
    truth: NDArray[np.intp]

    @property
    def columns(self) -> list[int]:
        """Returns the columns that are labels."""
        return [at for at, label in enumerate(self.file.label) if label.name != NONE]

    @property
    def names(self) -> list[str]:
        return [self.file.label[at].name for at in self.columns]

    @property
    def labelled(self) -> Bools:
        labelled: Bools = self.truth >= 0
        return labelled

    @property
    def said(self) -> Bools:
        """Returns (n, labels): whether the head gives each label to each image."""
        thresholds = [2.0 if (least := self.file.label[at].threshold) is None else least for at in self.columns]
        said: Bools = self.scores[:, self.columns] >= np.array(thresholds)
        return said

    @property
    def right(self) -> Bools:
        """Returns (n,): whether the most probable label is the image's, whatever the thresholds."""
        best = np.array(self.columns)[self.scores[:, self.columns].argmax(axis=1)]
        right: Bools = best == self.truth
        return right

    @property
    def there(self) -> Bools:
        """Returns (n, labels): whether each image has each label."""
        there: Bools = self.truth[:, None] == np.array(self.columns)
        return there


def find_columns(file: HeadFile, examples: Sequence[Example]) -> tuple[list[int], NDArray[np.intp], list[Skipped]]:
    """Finds the examples by which the head can be judged.

    Returns their indexes, the column of each one's label (−1 for `none`), and the others with the reason. A class is
    a label's full name or its last word. Raises DatasetUnusable where none can."""
    by_word = {word(label.name.split(".")[-1]): at for at, label in enumerate(file.label)}
    by_name = {label.name: at for at, label in enumerate(file.label)}
    found = {name: by_name.get(name, by_word.get(word(name))) for name in {one.label for one in examples}}
    found |= {NONE: -1} if NONE in found else {}
    kept = [at for at, one in enumerate(examples) if found[one.label] is not None]
    truth = np.array([found[examples[at].label] for at in kept], np.intp)
    unknown = [
        Skipped(str(one.path), f"{file.name} has no label {one.label}") for one in examples if found[one.label] is None
    ]
    if not (truth >= 0).any():
        raise DatasetUnusable(f"no picture has a label of the head {file.name}")
    return kept, truth, unknown


def report_labels(judged: Judged, command: str, groups: Sequence[str] = (), notes: Sequence[str] = ()) -> Report:
    """Reports on one head and one set of images; `groups`: each image's, for the fairness tables."""
    tables = [_summary(judged), _by_label(judged)]
    if groups:
        tables += by_group(_ratios(judged), groups, "photos")
    tables += [_curve_points(judged), _confusion(judged)]
    return Report(
        f"{judged.file.id} on {len(judged.truth)} photos", command, tuple(notes), tuple(tables), _plots(judged)
    )


def _summary(judged: Judged) -> Table:
    labelled, said, there = judged.labelled, judged.said, judged.there
    all_said = counts(said[labelled], there[labelled])
    hit = in_any(said & there)[labelled]
    best = judged.scores[:, judged.columns].max(axis=1)
    per_label = [share(judged.right[judged.truth == at]) for at in judged.columns]
    measured = [one for one in per_label if one is not None]
    rows: list[tuple[str, Cell]] = [
        ("labelled photos", int(labelled.sum())),
        ("accuracy (most probable label)", share(judged.right[labelled])),
        ("accuracy, mean over labels", sum(measured) / len(measured)),
        ("precision of what is said of labelled photos", all_said.precision),
        ("labelled photos on which their label is said", share(hit)),
        ("calibration error (ECE, 10 bins)", calibration_error(reliability(best, judged.right))),
        ("photos of none", int((~labelled).sum())),
        ("photos of none on which anything is said", share(in_any(said)[~labelled])),
    ]
    return Table("summary", "Summary", ("figure", "value"), tuple(rows))


def _by_label(judged: Judged) -> Table:
    said, there = judged.said, judged.there
    rows = []
    for place, at in enumerate(judged.columns):
        label = judged.file.label[at]
        one = counts(said[:, place], there[:, place])
        average = float(average_precision_score(there[:, place], judged.scores[:, at])) if one.there else None
        rows.append((label.name, one.there, label.threshold, one.said, one.precision, one.recall, average))
    columns = ("label", "photos", "threshold", "said", "precision", "recall", "average precision")
    return Table("labels", "By label, at the head's own thresholds (– = never said)", columns, tuple(rows))


def _ratios(judged: Judged) -> list[Ratio]:
    said, there, labelled = judged.said, judged.there, judged.labelled
    hits = (said & there).sum(axis=1).astype(np.float64)
    return [
        Ratio("accuracy", (judged.right & labelled).astype(np.float64), labelled.astype(np.float64)),
        Ratio("precision", hits, said.sum(axis=1).astype(np.float64)),
        Ratio("recall", hits, labelled.astype(np.float64)),
        Ratio("false tags", (in_any(said) & ~labelled).astype(np.float64), (~labelled).astype(np.float64)),
    ]


def thinned(count: int) -> NDArray[np.intp]:
    """Returns at most MOST_POINTS of that many places, evenly, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(np.intp))


def _curve_points(judged: Judged) -> Table:
    rows = []
    for place, at in enumerate(judged.columns):
        if judged.there[:, place].any():
            precision, recall, thresholds = precision_recall_curve(judged.there[:, place], judged.scores[:, at])
            for point in thinned(len(thresholds)):
                name = judged.file.label[at].name
                rows.append((name, float(thresholds[point]), float(precision[point]), float(recall[point])))
    return Table("precision-recall", "", ("label", "score", "precision", "recall"), tuple(rows), printed=False)


def _matrix(judged: Judged) -> tuple[list[str], NDArray[np.int64]]:
    """Returns the names and the confusion matrix.

    Rows: the image's label; columns: the most probable label; `none` last, where there is any."""
    order = [*judged.columns, -1]
    predicted = judged.scores.argmax(axis=1)
    predicted[~np.isin(predicted, judged.columns)] = -1
    counted = confusion_matrix(judged.truth, predicted, labels=order)
    used = bool(counted[-1].any() or counted[:, -1].any())
    names = [name.split(".")[-1] for name in judged.names]
    return ([*names, NONE], counted) if used else (names, counted[:-1, :-1])


def _confusion(judged: Judged) -> Table:
    names, counted = _matrix(judged)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(int(count) for count in row)) for name, row in zip(names, counted, strict=True)
    )
    return Table("confusion", "", ("there \\ most probable", *names), rows, printed=False)


def _plots(judged: Judged) -> tuple[Plot, ...]:
    there, scores = judged.there.ravel(), judged.scores[:, judged.columns].ravel()
    precision, recall, _ = precision_recall_curve(there, scores)
    false, true, _ = roc_curve(there, scores)
    wrong, missed, _ = det_curve(there, scores)
    best = judged.scores[:, judged.columns].max(axis=1)
    bins = reliability(best, judged.right)

    def draw_pr(axes: Axes) -> None:
        axes.plot(recall, precision, color=INK[0])
        axes.axhline(0.9, color=INK[1], linestyle=":")
        name_axes(axes, "recall", "precision")

    def draw_roc(axes: Axes) -> None:
        axes.plot(false, true, color=INK[0])
        axes.set_xscale("symlog", linthresh=1e-3)
        name_axes(axes, "false positive rate", "true positive rate")

    def draw_det(axes: Axes) -> None:
        axes.loglog(np.maximum(wrong, 1e-5), np.maximum(missed, 1e-5), color=INK[0])
        name_axes(axes, "false positive rate", "false negative rate")

    def draw_reliability(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#888888", linestyle=":")
        axes.plot([one.score for one in bins], [one.right for one in bins], marker="o", color=INK[0])
        name_axes(axes, "score of the most probable label", "share that is right")

    return (
        plot("precision-recall", "Precision and recall, all labels together", draw_pr),
        plot("roc", "ROC, one label against the rest", draw_roc),
        plot("det", "DET, one label against the rest", draw_det),
        plot("reliability", "Reliability", draw_reliability),
        plot("confusion", "Confusion: share of each row", lambda axes: _draw_confusion(axes, judged)),
    )


def _draw_confusion(axes: Axes, judged: Judged) -> None:
    names, counted = _matrix(judged)
    axes.imshow(counted / np.maximum(1, counted.sum(axis=1, keepdims=True)), cmap="Greens", vmin=0, vmax=1)
    size = 8 if len(names) <= 20 else 4.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.grid(visible=False)
    name_axes(axes, "most probable", "there")
