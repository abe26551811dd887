"""Measures what the networks that label whole frames say of labelled images, label by label and as a whole. Pure.

An image is taken to show its class and nothing else: what else is said of it counts as wrong, though it may be there.
A label finer than the class (`animal.dog.retriever` of a `animal.dog`) can be neither right nor wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assent.core.taxonomy import above
from assent.learn.classes import Meaning
from assent.learn.fairness import LEAST_UNITS, Ratio, by_group
from assent.learn.measure import (
    Bools,
    Counts,
    Floats,
    calibration_error,
    count_correct,
    in_any,
    proportion,
    reliability,
    wilson,
)
from assent.learn.perceive_examples import PerceivedExamples
from assent.learn.report import INK, Cell, Plot, Report, Table, draw_plot, name_axes
from assent.policy.input import most_specific
from assent.policy.model import NEVER, Policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = tuple(round(0.30 + 0.05 * step, 2) for step in range(14))  # thresholds of the table `thresholds`
MOST_CONFUSED = 30


class ScoredImages(NamedTuple):
    """By image and label (n, labels); `classes`: the operator's class of each image, `names`: the labels, sorted.

    `own`: whether the label is the nearest one to the image's class; `actual`: whether it is or lies above the class;
    `finer`: whether it lies below the class.
    `told`: whether the label counts and none below it does, as audiences are told."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    thresholds: Floats  # (labels,), the policy's
    scores: Floats  # 0 below the score from which tags are made
    own: Bools
    actual: Bools
    finer: Bools
    told: Bools

    @property
    def said(self) -> Bools:
        """Returns (n, labels): whether the label counts, by itself or by one below it."""
        said: Bools = self.scores >= self.thresholds
        return said

    @property
    def right(self) -> Bools:
        """Returns (n, labels): whether the label is right, as far as the image's class tells."""
        right: Bools = self.actual | self.finer
        return right


def score_images(
    perceived: PerceivedExamples,
    meanings: Mapping[str, Meaning],
    labels: Collection[str],
    models: Collection[str],
    policy: Policy,
) -> ScoredImages:
    """Returns what networks said of each image, at the policy's thresholds.

    meanings: of each class; labels: those that the networks give; models: their ids, as tags name them."""
    names = tuple(sorted(labels))
    column = {name: number for number, name in enumerate(names)}
    classes = tuple(example.label for example in perceived.examples)
    shape = (len(classes), len(names))
    scores, told = np.zeros(shape), np.zeros(shape, np.bool_)
    for row, perception in enumerate(perceived.perceptions):
        tags = dict(enumerate(tag for tag in perception.tags if tag.model in models))
        for tag in tags.values():
            scores[row, column[tag.name]] = max(scores[row, column[tag.name]], tag.score)
        counted = {n: tag for n, tag in tags.items() if tag.score >= policy.threshold(tag.name)}
        told[row, [column[tag.name] for tag in most_specific(counted).values()]] = True
    relations = {name: _relations(meanings[name].labels, names) for name in set(classes)}
    own, actual, finer = np.array([relations[name] for name in classes], np.bool_).swapaxes(0, 1)
    thresholds = np.array([policy.threshold(name) for name in names])
    return ScoredImages(classes, names, thresholds, scores, own, actual, finer, told)


def _relations(labels: Sequence[str], names: Sequence[str]) -> tuple[list[bool], list[bool], list[bool]]:
    """Returns, for each name, whether it is nearest to one of the labels, at or above one, only below one."""
    up = {group for label in labels for group in above(label)}
    nearest = {[group for group in above(label) if group in names][-1] for label in labels}
    below = [name not in up and not {*labels}.isdisjoint(above(name)) for name in names]
    return [name in nearest for name in names], [name in up for name in names], below


def report_images(
    scored: ScoredImages,
    meanings: Mapping[str, Meaning],
    title: str,
    command: str,
    groups: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Report:
    """Reports on one set of images. `meanings`: of each class; `groups`: each image's, for the fairness tables."""
    tables = image_tables(scored, meanings)
    fairness = by_group(_ratios(scored), groups, "photos") if groups else ()
    assumed = "Whatever else than its class is said of a picture counts as wrong, though the picture may show it."
    return Report(title, command, (assumed, *notes), (*tables, *fairness), _plots(scored))


def image_tables(scored: ScoredImages, meanings: Mapping[str, Meaning]) -> tuple[Table, ...]:
    """Returns the report's tables: all but those of groups."""
    classes, thresholds = _classes(scored, meanings), _by_threshold(scored)
    whole, confused, reliable = _summary(scored), _confused(scored), _reliability(scored)
    return whole, *_by_label(scored), _too_few_together(scored), confused, reliable, classes, thresholds


def _summary(scored: ScoredImages) -> Table:
    anything, of_a_class = in_any(scored.told), in_any(scored.actual)
    right, wrong = (int((scored.told & part).sum()) for part in (scored.right, ~scored.right))
    all_right = ~in_any(scored.told & ~scored.right)
    own = in_any(scored.told & (scored.own | scored.finer))
    rows: list[tuple[str, int | None, int, Cell, Cell]] = [
        _share("photos of a class on which something is said", anything[of_a_class]),
        _share("photos on which something is said, and nothing wrong", all_right[anything]),
        ("labels said, the most specific: right", right, right + wrong, *_interval(right, right + wrong)),
        _share("photos of a class on which it, or a finer label, is said", own[of_a_class]),
        _share("photos of none on which anything is said", anything[~of_a_class]),
    ]
    return Table("summary", "Summary", ("figure", "count", "of", "share", "95 %"), tuple(rows))


def _share(name: str, part: Bools) -> tuple[str, int | None, int, Cell, Cell]:
    hits = int(part.sum())
    return (name, hits, len(part), *_interval(hits, len(part)))


def _interval(hits: int, of: int) -> tuple[Cell, Cell]:
    bounds = wilson(hits, of)
    return (hits / of, f"{bounds[0]:.3f}–{bounds[1]:.3f}") if bounds else (None, None)


def _count(scored: ScoredImages, number: int, least: float) -> Counts:
    """Counts one label from a score up, where the images' classes can tell."""
    judged = ~scored.finer[:, number]
    return count_correct(scored.scores[judged, number] >= least, scored.actual[judged, number])


def _by_label(scored: ScoredImages) -> tuple[Table, Table]:
    """Returns the labels with enough images and those with too few that an image has or that are said, most first."""
    measured: list[tuple[Cell, ...]] = []
    few: list[tuple[Cell, ...]] = []
    order = sorted(range(len(scored.names)), key=lambda number: -int(scored.actual[:, number].sum()))
    for number in order:
        least = float(scored.thresholds[number])
        counts = _count(scored, number, least)
        row = (scored.names[number], counts.actual, least if least < NEVER else None, counts.predicted, counts.correct)
        if counts.actual >= LEAST_UNITS:
            precision = _interval(counts.correct, counts.predicted)
            measured.append((*row, *precision, *_interval(counts.correct, counts.actual)))
        elif counts.actual or counts.predicted:
            few.append(row)
    counted = ("label", "photos", "from", "said", "right")
    columns = (*counted, "precision", "its 95 %", "recall", "its 95 % ")
    title = f"Labels of fewer than {LEAST_UNITS} photos: too few to measure"
    return (
        Table("labels", "By label, at the policy's thresholds", columns, tuple(measured)),
        Table("too-few", title, counted, tuple(few)),
    )


def _too_few_together(scored: ScoredImages) -> Table:
    """Counts, by threshold, what is said by all labels together that cannot be measured one by one."""
    few = scored.actual.sum(axis=0) < LEAST_UNITS
    rows: list[tuple[Cell, ...]] = []
    for least in STEPS:
        said = (scored.scores[:, few] >= least) & ~scored.finer[:, few]
        given, right = int(said.sum()), int((said & scored.actual[:, few]).sum())
        rows.append((least, given, right, *_interval(right, given)))
    columns = ("threshold", "said", "right", "share", "95 %")
    return Table("too-few-together", "The same labels together, by threshold", columns, tuple(rows))


def _confused(scored: ScoredImages) -> Table:
    wrong = scored.told & ~scored.right
    pairs = Counter((scored.classes[row], scored.names[number]) for row, number in np.argwhere(wrong).tolist())
    photos = Counter(scored.classes)
    rows = tuple((name, photos[name], label, count) for (name, label), count in pairs.most_common(MOST_CONFUSED))
    title = f"The {MOST_CONFUSED} most frequent confusions" if len(pairs) > MOST_CONFUSED else "Confusions"
    return Table("confused", title, ("class", "photos", "what is said wrongly", "on how many"), rows)


def _judged(scored: ScoredImages) -> tuple[Floats, Bools]:
    """Returns scores and whether they are right (tags,), of all tags that the images' classes can judge."""
    tags = (scored.scores > 0) & ~scored.finer
    return scored.scores[tags], scored.actual[tags]


def _reliability(scored: ScoredImages) -> Table:
    bins = reliability(*_judged(scored))
    error = calibration_error(bins)
    rows = tuple((each.score, each.correct, each.images) for each in bins)
    title = "Reliability of all labels' scores" + ("" if error is None else f" (ECE {error:.3f})")
    return Table("reliability", title, ("mean score", "share that is right", "labels"), rows)


def _ratios(scored: ScoredImages) -> list[Ratio]:
    told, right = (part.sum(axis=1).astype(np.float64) for part in (scored.told, scored.told & scored.right))
    own = in_any(scored.told & (scored.own | scored.finer)).astype(np.float64)
    of_a_class = in_any(scored.actual).astype(np.float64)
    return [Ratio("labels said that are right", right, told), Ratio("class said", own, of_a_class)]


def _classes(scored: ScoredImages, meanings: Mapping[str, Meaning]) -> Table:
    photos = Counter(scored.classes)
    rows = tuple(
        (name, "; ".join(meaning.labels) or None, photos[name], meaning.reason)
        for name, meaning in sorted(meanings.items())
    )
    return Table("classes", "Classes, and the labels that they were taken for", ("class", "label", "photos", ""), rows)


def _by_threshold(scored: ScoredImages) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for number, name in enumerate(scored.names):
        if int(scored.actual[:, number].sum()) >= LEAST_UNITS:
            for least in STEPS:
                counts = _count(scored, number, least)
                bounds = wilson(counts.correct, counts.predicted) or (None, None)
                rows.append((name, least, *counts, counts.precision, *bounds, counts.recall))
    columns = ("label", "threshold", "said", "right", "photos", "precision", "95 % from", "to", "recall")
    return Table("thresholds", "", columns, tuple(rows), printed=False)


def _plots(scored: ScoredImages) -> tuple[Plot, ...]:
    bins = reliability(*_judged(scored))
    told, right = scored.told, scored.told & scored.right
    least = [step for step in STEPS if ((scored.scores >= step) & told).any()]
    said = [((scored.scores >= step) & told, (scored.scores >= step) & right) for step in least]

    def draw_reliability(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#888888", linestyle=":")
        axes.plot([each.score for each in bins], [each.correct for each in bins], marker="o", color=INK[0])
        name_axes(axes, "score", "share that is right")

    def draw_said(axes: Axes) -> None:
        precisions = [right.sum() / all_.sum() for all_, right in said]
        axes.plot(least, precisions, color=INK[0], label="share of labels that is right")
        shares = [proportion(in_any(all_)) or 0.0 for all_, _ in said]
        axes.plot(least, shares, color=INK[1], label="photos on which something is said")
        axes.legend()
        name_axes(axes, "threshold, of what the policy's say", "share")

    reliable = draw_plot("reliability", "Reliability", draw_reliability)
    return (reliable, draw_plot("said", "What is said, by threshold", draw_said)) if said else (reliable,)
