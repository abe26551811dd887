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
from assent.learn.dataset import Example, Skipped, label_word
from assent.learn.fairness import Ratio, by_group
from assent.learn.measure import (
    Bools,
    Floats,
    calibration_error,
    count_correct,
    evenly_spaced,
    in_any,
    proportion,
    reliability,
)
from assent.learn.report import INK, Cell, Plot, Report, Table, draw_plot, name_axes
from assent.perceive.labels.heads import NONE, HeadFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ScoredLabels(NamedTuple):
    """A head's probabilities (n, columns) for labelled images, and the column of each one's label, −1 for `none`."""

    file: HeadFile
    scores: Floats
    labels: NDArray[np.intp]

    @property
    def columns(self) -> list[int]:
        """Returns the columns that are labels."""
        return [column for column, label in enumerate(self.file.label) if label.name != NONE]

    @property
    def names(self) -> list[str]:
        """Returns the label of each of those columns."""
        return [self.file.label[column].name for column in self.columns]

    @property
    def labelled(self) -> Bools:
        """Returns (n,): whether the image has one of the head's labels."""
        labelled: Bools = self.labels >= 0
        return labelled

    @property
    def predicted(self) -> Bools:
        """Returns (n, labels): whether the head gives each label to each image."""
        rows = (self.file.label[column] for column in self.columns)
        thresholds = np.array([2.0 if row.threshold is None else row.threshold for row in rows])
        predicted: Bools = self.scores[:, self.columns] >= thresholds
        return predicted

    @property
    def correct(self) -> Bools:
        """Returns (n,): whether the most probable label is the image's, whatever the thresholds."""
        best = np.array(self.columns)[self.scores[:, self.columns].argmax(axis=1)]
        correct: Bools = best == self.labels
        return correct

    @property
    def actual(self) -> Bools:
        """Returns (n, labels): whether each image has each label."""
        actual: Bools = self.labels[:, None] == np.array(self.columns)
        return actual


def find_columns(file: HeadFile, examples: Sequence[Example]) -> tuple[list[int], NDArray[np.intp], list[Skipped]]:
    """Finds the examples by which the head can be measured.

    Returns their indexes, the column of each one's label (−1 for `none`), and the others with the reason. A class is
    a label's full name or its last word. Raises DatasetUnusable where none can."""
    by_word = {label_word(label.name.split(".")[-1]): column for column, label in enumerate(file.label)}
    by_name = {label.name: column for column, label in enumerate(file.label)}
    classes = {example.label for example in examples}
    columns = {name: by_name.get(name, by_word.get(label_word(name))) for name in classes}
    columns |= {NONE: -1} if NONE in columns else {}
    usable = [index for index, example in enumerate(examples) if columns[example.label] is not None]
    labels = np.array([columns[examples[index].label] for index in usable], np.intp)
    unknown = [
        Skipped(str(example.path), f"{file.name} has no label {example.label}")
        for example in examples
        if columns[example.label] is None
    ]
    if not (labels >= 0).any():
        raise DatasetUnusable(f"no picture has a label of the head {file.name}")
    return usable, labels, unknown


def report_labels(scored: ScoredLabels, command: str, groups: Sequence[str] = (), notes: Sequence[str] = ()) -> Report:
    """Reports on one head and one set of images; `groups`: each image's, for the fairness tables."""
    tables = [_summary(scored), _by_label(scored)]
    if groups:
        tables += by_group(_ratios(scored), groups, "photos")
    tables += [_curve_points(scored), _confusion(scored)]
    title = f"{scored.file.id} on {len(scored.labels)} photos"
    return Report(title, command, tuple(notes), tuple(tables), _plots(scored))


def _summary(scored: ScoredLabels) -> Table:
    labelled, predicted, actual = scored.labelled, scored.predicted, scored.actual
    of_labelled = count_correct(predicted[labelled], actual[labelled])
    hit = in_any(predicted & actual)[labelled]
    best = scored.scores[:, scored.columns].max(axis=1)
    per_label = [proportion(scored.correct[scored.labels == column]) for column in scored.columns]
    measured = [accuracy for accuracy in per_label if accuracy is not None]
    rows: list[tuple[str, Cell]] = [
        ("labelled photos", int(labelled.sum())),
        ("accuracy (most probable label)", proportion(scored.correct[labelled])),
        ("accuracy, mean over labels", sum(measured) / len(measured)),
        ("precision of what is said of labelled photos", of_labelled.precision),
        ("labelled photos on which their label is said", proportion(hit)),
        ("calibration error (ECE, 10 bins)", calibration_error(reliability(best, scored.correct))),
        ("photos of none", int((~labelled).sum())),
        ("photos of none on which anything is said", proportion(in_any(predicted)[~labelled])),
    ]
    return Table("summary", "Summary", ("figure", "value"), tuple(rows))


def _by_label(scored: ScoredLabels) -> Table:
    predicted, actual = scored.predicted, scored.actual
    rows = []
    for number, column in enumerate(scored.columns):
        label = scored.file.label[column]
        counts = count_correct(predicted[:, number], actual[:, number])
        average = float(average_precision_score(actual[:, number], scored.scores[:, column])) if counts.actual else None
        measured = (counts.predicted, counts.precision, counts.recall, average)
        rows.append((label.name, counts.actual, label.threshold, *measured))
    columns = ("label", "photos", "threshold", "said", "precision", "recall", "average precision")
    return Table("labels", "By label, at the head's own thresholds (– = never said)", columns, tuple(rows))


def _ratios(scored: ScoredLabels) -> list[Ratio]:
    predicted, actual, labelled = scored.predicted, scored.actual, scored.labelled
    hits = (predicted & actual).sum(axis=1).astype(np.float64)
    return [
        Ratio("accuracy", (scored.correct & labelled).astype(np.float64), labelled.astype(np.float64)),
        Ratio("precision", hits, predicted.sum(axis=1).astype(np.float64)),
        Ratio("recall", hits, labelled.astype(np.float64)),
        Ratio("false tags", (in_any(predicted) & ~labelled).astype(np.float64), (~labelled).astype(np.float64)),
    ]


def _curve_points(scored: ScoredLabels) -> Table:
    rows = []
    for number, column in enumerate(scored.columns):
        if scored.actual[:, number].any():
            curve = precision_recall_curve(scored.actual[:, number], scored.scores[:, column])
            precision, recall, thresholds = curve
            name = scored.file.label[column].name
            for point in evenly_spaced(len(thresholds)):
                rows.append((name, float(thresholds[point]), float(precision[point]), float(recall[point])))
    return Table("precision-recall", "", ("label", "score", "precision", "recall"), tuple(rows), printed=False)


def _matrix(scored: ScoredLabels) -> tuple[list[str], NDArray[np.int64]]:
    """Returns the names and the confusion matrix.

    Rows: the image's label; columns: the most probable label; `none` last, where there is any."""
    order = [*scored.columns, -1]
    predicted = scored.scores.argmax(axis=1)
    predicted[~np.isin(predicted, scored.columns)] = -1
    counted = confusion_matrix(scored.labels, predicted, labels=order)
    used = bool(counted[-1].any() or counted[:, -1].any())
    names = [name.split(".")[-1] for name in scored.names]
    return ([*names, NONE], counted) if used else (names, counted[:-1, :-1])


def _confusion(scored: ScoredLabels) -> Table:
    names, counted = _matrix(scored)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(int(count) for count in row)) for name, row in zip(names, counted, strict=True)
    )
    return Table("confusion", "", ("there \\ most probable", *names), rows, printed=False)


def _plots(scored: ScoredLabels) -> tuple[Plot, ...]:
    actual, scores = scored.actual.ravel(), scored.scores[:, scored.columns].ravel()
    precision, recall, _ = precision_recall_curve(actual, scores)
    false, true, _ = roc_curve(actual, scores)
    wrong, missed, _ = det_curve(actual, scores)
    best = scored.scores[:, scored.columns].max(axis=1)
    bins = reliability(best, scored.correct)

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
        axes.plot([each.score for each in bins], [each.correct for each in bins], marker="o", color=INK[0])
        name_axes(axes, "score of the most probable label", "share that is right")

    return (
        draw_plot("precision-recall", "Precision and recall, all labels together", draw_pr),
        draw_plot("roc", "ROC, one label against the rest", draw_roc),
        draw_plot("det", "DET, one label against the rest", draw_det),
        draw_plot("reliability", "Reliability", draw_reliability),
        draw_plot("confusion", "Confusion: share of each row", lambda axes: _draw_confusion(axes, scored)),
    )


def _draw_confusion(axes: Axes, scored: ScoredLabels) -> None:
    names, counted = _matrix(scored)
    axes.imshow(counted / np.maximum(1, counted.sum(axis=1, keepdims=True)), cmap="Greens", vmin=0, vmax=1)
    size = 8 if len(names) <= 20 else 4.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.grid(visible=False)
    name_axes(axes, "most probable", "there")
