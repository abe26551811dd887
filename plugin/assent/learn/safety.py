"""Measures how much unsafe content the safety network finds, and its false tags on harmless images.

Figures are by label and score. An image's class is `harmless`, or what it shows: labels or groups of labels
(`nudity.explicit`), several with `;`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve

from assent.core.errors import DatasetUnusable
from assent.core.taxonomy import LABELS
from assent.core.values import Perception
from assent.learn.dataset import Example, Skipped
from assent.learn.fairness import Ratio, by_group
from assent.learn.measure import Bools, Floats, evenly_spaced, proportion
from assent.learn.report import INK, Plot, Report, Table, draw_plot, name_axes
from assent.policy.input import above
from assent.policy.model import Policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HARMLESS = "harmless"
SCORES = (0.25, 0.4, 0.5, 0.6, 0.75)
HEADLINE = "nudity.explicit"
_LABELS = tuple(label.name for label in LABELS if label.category == "safety")
# Every safety label, and every group of them.
NAMES = tuple(sorted({group for label in _LABELS for group in above(label)}))


class ScoredSafety(NamedTuple):
    """By image and name (n, NAMES): the strongest score, whether the policy gives the name, whether it is a true label.

    A label of an image stands for its groups too; a group says nothing of its labels."""

    scores: Floats
    predicted: Bools
    actual: Bools
    harmless: Bools  # (n,)

    def column(self, name: str) -> tuple[Floats, Bools, Bools]:
        """Returns scores, predicted and actual (n,) of one name."""
        number = NAMES.index(name)
        return self.scores[:, number], self.predicted[:, number], self.actual[:, number]


def select_measurable(examples: Sequence[Example]) -> tuple[list[int], list[Skipped]]:
    """Returns the indexes of examples whose class can be measured, and the others with the reason.

    Raises DatasetUnusable where none has."""
    wrong = {example.label for example in examples if not set(names_of(example.label)) <= {HARMLESS, *NAMES}}
    selected = [index for index, example in enumerate(examples) if example.label not in wrong]
    if not selected:
        raise DatasetUnusable(f"classes are {HARMLESS}, or labels such as nudity.explicit.breast or nudity.explicit")
    reason = "is neither harmless nor a safety label"
    return selected, [
        Skipped(str(example.path), f"{example.label} {reason}") for example in examples if example.label in wrong
    ]


def names_of(label: str) -> list[str]:
    """Returns the labels and groups that an image's class names."""
    return [name.strip() for name in label.split(";") if name.strip()]


def score_safety(examples: Sequence[Example], perceptions: Sequence[Perception], policy: Policy) -> ScoredSafety:
    """Returns scores, given labels and actual labels of each image; one is given from the policy's threshold up."""
    size = (len(examples), len(NAMES))
    scores, predicted, actual = np.zeros(size), np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    for row, (example, perception) in enumerate(zip(examples, perceptions, strict=True)):
        for tag in perception.tags:
            for name in above(tag.name) if tag.name in _LABELS else ():
                column = NAMES.index(name)
                scores[row, column] = max(scores[row, column], tag.score)
                predicted[row, column] |= tag.score >= policy.threshold(tag.name)
        for name in names_of(example.label):
            actual[row, [NAMES.index(group) for group in above(name) if group in NAMES]] = True
    harmless = np.array([HARMLESS in names_of(example.label) for example in examples], np.bool_)
    return ScoredSafety(scores, predicted, actual, harmless)


def report_safety(
    scored: ScoredSafety,
    command: str,
    groups: Sequence[str] = (),
    notes: Sequence[str] = (),
    more: Sequence[Table] = (),
) -> Report:
    """Reports on the safety labels of one set of images; `groups`: each image's, for the fairness tables.

    The tables `more` come after that of the labels."""
    tables = [_by_name(scored), *more]
    if groups:
        tables += by_group(_ratios(scored), groups, "photos")
    title = f"Safety on {len(scored.harmless)} photos, {int(scored.harmless.sum())} of them harmless"
    return Report(title, command, tuple(notes), (*tables, _points(scored)), _plots(scored))


def _by_name(scored: ScoredSafety) -> Table:
    rows = []
    for name in NAMES:
        scores, predicted, actual = scored.column(name)
        if not actual.any() and not (scores[scored.harmless] >= SCORES[0]).any():
            continue  # neither shown nor detected
        flagged = {f"{least:.2f}": scores >= least for least in SCORES} | {"policy's": predicted}
        for threshold, hit in flagged.items():
            wrong = hit[scored.harmless]
            recall = proportion(hit[actual])
            rows.append((name, threshold, int(actual.sum()), recall, int(wrong.sum()), proportion(wrong)))
    columns = ("label or group", "threshold", "photos that show it", "recall", "harmless flagged", "their share")
    return Table("safety", "What is found, and what is seen where there is nothing", columns, tuple(rows))


def _ratios(scored: ScoredSafety) -> list[Ratio]:
    _, predicted, actual = scored.column(HEADLINE)
    harmless = scored.harmless
    return [
        Ratio(f"recall of {HEADLINE}", (predicted & actual).astype(np.float64), actual.astype(np.float64)),
        Ratio("harmless flagged", (predicted & harmless).astype(np.float64), harmless.astype(np.float64)),
    ]


def _points(scored: ScoredSafety) -> Table:
    rows = []
    for name in NAMES:
        scores, _, actual = scored.column(name)
        if actual.any():
            precision, recall, least = precision_recall_curve(actual, scores)
            rows += [(name, float(least[n]), float(precision[n]), float(recall[n])) for n in evenly_spaced(len(least))]
    return Table("precision-recall", "", ("label or group", "score", "precision", "recall"), tuple(rows), printed=False)


def _plots(scored: ScoredSafety) -> tuple[Plot, ...]:
    scores, _, actual = scored.column(HEADLINE)
    steps = np.linspace(0.05, 1, 96)

    def draw_flagged(axes: Axes) -> None:
        for label, rows, ink in (("harmless flagged", scored.harmless, INK[1]), ("recall", actual, INK[0])):
            if rows.any():
                axes.plot(steps, [float((scores[rows] >= step).mean()) for step in steps], color=ink, label=label)
        axes.legend()
        name_axes(axes, "threshold", "share of photos")

    def draw_pr(axes: Axes) -> None:
        precision, recall, _ = precision_recall_curve(actual, scores)
        axes.plot(recall, precision, color=INK[0])
        name_axes(axes, "recall", "precision")

    flagged = draw_plot("flagged", f"{HEADLINE} against its threshold", draw_flagged)
    if not actual.any():
        return (flagged,)
    return flagged, draw_plot("precision-recall", f"{HEADLINE}: precision and recall", draw_pr)
