"""Measures how much unsafe content the safety network finds, and its false tags on harmless images.

Figures are by label and score. An image's class is `harmless`, or what it shows: labels or groups of labels
(`nudity.explicit`), several with `;`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve

from assent.core.errors import DatasetUnusable
from assent.core.taxonomy import LABELS
from assent.core.values import Perception
from assent.learn.dataset import Example, Skipped
from assent.learn.fairness import Ratio, by_group
from assent.learn.labels import thinned
from assent.learn.measure import Bools, Floats, share
from assent.learn.report import INK, Plot, Report, Table, name_axes, plot
from assent.policy.input import above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HARMLESS = "harmless"
SCORES = (0.25, 0.4, 0.5, 0.6, 0.75)
HEADLINE = "nudity.explicit"
_LABELS = tuple(label.name for label in LABELS if label.category == "safety")
# Every safety label, and every group of them.
NAMES = tuple(sorted({group for label in _LABELS for group in above(label)}))


class Shown(NamedTuple):
    """By image and name (n, NAMES): the strongest score, whether the policy would give it, whether it is a known label.

    An image known to show a label shows its groups; one known to show a group says nothing of its labels."""

    scores: Floats
    said: Bools
    there: Bools
    harmless: Bools  # (n,)

    def of(self, name: str) -> tuple[Floats, Bools, Bools]:
        at = NAMES.index(name)
        return self.scores[:, at], self.said[:, at], self.there[:, at]


def known(examples: Sequence[Example]) -> tuple[list[int], list[Skipped]]:
    """Returns the indexes of examples whose class can be measured, and the others with the reason.

    Raises DatasetUnusable where none has."""
    wrong = {one.label for one in examples if not set(_names(one.label)) <= {HARMLESS, *NAMES}}
    kept = [at for at, one in enumerate(examples) if one.label not in wrong]
    if not kept:
        raise DatasetUnusable(f"classes are {HARMLESS}, or labels such as nudity.explicit.breast or nudity.explicit")
    why = "is neither harmless nor a safety label"
    return kept, [Skipped(str(one.path), f"{one.label} {why}") for one in examples if one.label in wrong]


def _names(label: str) -> list[str]:
    return [name.strip() for name in label.split(";") if name.strip()]


def shown(examples: Sequence[Example], seen: Sequence[Perception], thresholds: Mapping[str, float]) -> Shown:
    """Returns scores, given labels and known labels of each image. `thresholds`: the policy's, by label."""
    size = (len(examples), len(NAMES))
    scores, said, there = np.zeros(size), np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    for row, (example, perception) in enumerate(zip(examples, seen, strict=True)):
        for tag in perception.tags:
            for name in above(tag.name) if tag.name in _LABELS else ():
                at = NAMES.index(name)
                scores[row, at] = max(scores[row, at], tag.score)
                said[row, at] |= tag.score >= thresholds.get(tag.name, 2.0)
        for name in _names(example.label):
            there[row, [NAMES.index(group) for group in above(name) if group in NAMES]] = True
    return Shown(scores, said, there, np.array([HARMLESS in _names(one.label) for one in examples], np.bool_))


def report_safety(found: Shown, command: str, groups: Sequence[str] = (), notes: Sequence[str] = ()) -> Report:
    """Reports on the safety labels of one set of images; `groups`: each image's, for the fairness tables."""
    tables = [_by_name(found)]
    if groups:
        tables += by_group(_ratios(found), groups, "photos")
    title = f"Safety on {len(found.harmless)} photos, {int(found.harmless.sum())} of them harmless"
    return Report(title, command, tuple(notes), (*tables, _points(found)), _plots(found))


def _by_name(found: Shown) -> Table:
    rows = []
    for name in NAMES:
        scores, said, there = found.of(name)
        if not there.any() and not (scores[found.harmless] >= SCORES[0]).any():
            continue  # neither shown nor seen
        flagged = {f"{least:.2f}": scores >= least for least in SCORES} | {"policy's": said}
        for threshold, hit in flagged.items():
            wrong = hit[found.harmless]
            rows.append((name, threshold, int(there.sum()), share(hit[there]), int(wrong.sum()), share(wrong)))
    columns = ("label or group", "threshold", "photos that show it", "recall", "harmless flagged", "their share")
    return Table("safety", "What is found, and what is seen where there is nothing", columns, tuple(rows))


def _ratios(found: Shown) -> list[Ratio]:
    _, said, there = found.of(HEADLINE)
    harmless = found.harmless
    return [
        Ratio(f"recall of {HEADLINE}", (said & there).astype(np.float64), there.astype(np.float64)),
        Ratio("harmless flagged", (said & harmless).astype(np.float64), harmless.astype(np.float64)),
    ]


def _points(found: Shown) -> Table:
    rows = []
    for name in NAMES:
        scores, _, there = found.of(name)
        if there.any():
            precision, recall, least = precision_recall_curve(there, scores)
            rows += [(name, float(least[n]), float(precision[n]), float(recall[n])) for n in thinned(len(least))]
    return Table("precision-recall", "", ("label or group", "score", "precision", "recall"), tuple(rows), printed=False)


def _plots(found: Shown) -> tuple[Plot, ...]:
    scores, _, there = found.of(HEADLINE)
    steps = np.linspace(0.05, 1, 96)

    def draw_flagged(axes: Axes) -> None:
        for label, those, ink in (("harmless flagged", found.harmless, INK[1]), ("recall", there, INK[0])):
            if those.any():
                axes.plot(steps, [float((scores[those] >= step).mean()) for step in steps], color=ink, label=label)
        axes.legend()
        name_axes(axes, "threshold", "share of photos")

    def draw_pr(axes: Axes) -> None:
        precision, recall, _ = precision_recall_curve(there, scores)
        axes.plot(recall, precision, color=INK[0])
        name_axes(axes, "recall", "precision")

    flagged = plot("flagged", f"{HEADLINE} against its threshold", draw_flagged)
    return (
        (flagged, plot("precision-recall", f"{HEADLINE}: precision and recall", draw_pr)) if there.any() else (flagged,)
    )
