"""Chooses the score from which a head gives each of its labels, and measures the result.

This is done by cross-validation, or better on images for validation from elsewhere: photos that were taken side by side
are more like each other than anything that people will post is like them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.learn.classifier import Fitted, ValidationSet, at_temperature, probabilities, recalibrate
from assent.learn.measure import (
    LEAST_PREDICTED,
    Bools,
    Floats,
    calibration_error,
    count_correct,
    in_any,
    lowest_threshold,
    proportion,
    reliability,
)
from assent.perceive.labels.heads import NONE, HeadLabel

# A label is given only where it is likelier than all else together, however easy the images were that it was measured
# on: what people post is more varied than any set.
LEAST_SCORE = 0.5
UNREACHED = 2.0  # a score that none reaches


class HeldOutScores(NamedTuple):
    """A head's probabilities (n, columns) for images it was not trained on, and the column (n,) of each one's label.

    Probabilities are rounded as a tag's score is; `order` names the columns. −1: `none` where the head has no such
    column."""

    order: Sequence[str]
    scores: Floats
    labels: NDArray[np.intp]

    @property
    def columns(self) -> list[int]:
        """Returns the columns that may be given as labels."""
        return [column for column, name in enumerate(self.order) if name != NONE]

    @property
    def actual(self) -> Bools:
        """Returns (n, columns): whether each column is the image's label."""
        return np.asarray(self.labels[:, None] == np.arange(len(self.order)))


def held_out_scores(fitted: Fitted, order: Sequence[str], classes: Sequence[int] | NDArray[np.intp]) -> HeldOutScores:
    """Returns the held-out probabilities of a classifier, with the labels of those images."""
    return HeldOutScores(order, np.round(fitted.held_out, 4), np.asarray(classes, np.intp))


def choose_thresholds(
    scored: HeldOutScores, precision: float, validation: HeldOutScores | None = None
) -> tuple[float, ...]:
    """Returns the threshold of each column, UNREACHED where the label is never given.

    It is the lowest score from which that share of the given labels is right, on at least LEAST_PREDICTED images.

    Of images for validation there are often too few of a label for that. So they give a floor for all labels: the
    lowest score from which that share of all labels given there is right. From it up each label has to reach the
    precision on `scored` too, which then holds them and whatever else is held out; where it has fewer than
    LEAST_PREDICTED images there, on these. One that is never right is never given."""
    scores, actual, thresholds = scored.scores, scored.actual, [UNREACHED] * len(scored.order)
    floor = LEAST_SCORE if validation is None else _common_floor(validation, precision)
    if floor is None:
        return tuple(thresholds)
    for column in scored.columns:
        many = (scores[:, column] >= LEAST_SCORE).sum() >= LEAST_PREDICTED
        least = LEAST_PREDICTED if many or validation is None else 1
        lowest = lowest_threshold(scores[:, column], actual[:, column], precision, floor, least)
        thresholds[column] = UNREACHED if lowest is None else lowest
    return tuple(thresholds)


def _common_floor(scored: HeldOutScores, precision: float) -> float | None:
    scores, actual = scored.scores[:, scored.columns].ravel(), scored.actual[:, scored.columns].ravel()
    return lowest_threshold(scores, actual, precision, LEAST_SCORE)


def figures_by_label(
    scored: HeldOutScores, thresholds: Sequence[float], photos: Sequence[int]
) -> tuple[HeadLabel, ...]:
    """Returns the figures at those thresholds, label by label; `photos`: how many of each column were trained on."""
    rows = []
    for column, (name, threshold) in enumerate(zip(scored.order, thresholds, strict=True)):
        if threshold == UNREACHED:
            rows.append(HeadLabel(name, photos[column]))
            continue
        counts = count_correct(scored.scores[:, column] >= threshold, scored.actual[:, column])
        rows.append(HeadLabel(name, photos[column], threshold, counts.precision, counts.recall, counts.predicted))
    return tuple(rows)


def overall_figures(scored: HeldOutScores, thresholds: Sequence[float]) -> dict[str, float]:
    """Returns the figures at those thresholds over all labels together; those that cannot be measured are left out."""
    columns = scored.columns
    scores, actual = scored.scores[:, columns], scored.actual[:, columns]
    correct = actual[np.arange(len(scores)), scores.argmax(axis=1)]
    figures = {
        "accuracy": proportion(correct[in_any(actual)]),
        "calibration error": calibration_error(reliability(scores.max(axis=1), correct)),
    }
    said = _figures(scores >= np.array(thresholds)[columns], actual)
    return said | {name: value for name, value in figures.items() if value is not None}


def _figures(predicted: Bools, actual: Bools) -> dict[str, float]:
    """Returns what is said of the images; predicted, actual: (n, labels)."""
    labelled = in_any(actual)
    figures = {
        "labelled photos": float(labelled.sum()),
        "photos of none": float((~labelled).sum()),
        "tags": float(predicted.sum()),
        "precision of what is said": count_correct(predicted, actual).precision,
        "labelled photos with a tag": proportion(in_any(predicted)[labelled]),
        "labelled photos said rightly": proportion(in_any(predicted & actual)[labelled]),
        "photos of none with a tag": proportion(in_any(predicted)[~labelled]),
    }
    return {name: value for name, value in figures.items() if value is not None}


class TunedClassifier(NamedTuple):
    """A classifier at its final temperature, its scores and thresholds, and figures of other ways to choose them.

    `scored`: of the images for validation, without such of those learned from, held out; `evidence`: of all held-out
    images, on which each label's precision was measured. Thresholds: one a column. The other figures go by the name of
    the way."""

    fitted: Fitted
    scored: HeldOutScores
    evidence: HeldOutScores
    thresholds: tuple[float, ...]
    elsewhere: dict[str, dict[str, float]]


def tune(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], validation: ValidationSet | None, precision: float
) -> TunedClassifier:
    """Chooses temperature and thresholds by the images for validation, else by the held-out scores.

    The held-out scores are those of the images learned from; without images for validation they alone count.
    classes: the column (n,) of each image learned from; precision: 0–1, of the labels given."""
    trained = held_out_scores(fitted, order, classes)
    thresholds = choose_thresholds(trained, precision)
    if validation is None:
        return TunedClassifier(fitted, trained, trained, thresholds, {})
    elsewhere = {
        "in halves": figures_in_halves(fitted, order, classes, validation, precision),
        "cross-validated": overall_figures(trained, thresholds),
    }
    return _tune(fitted, order, classes, validation, precision)._replace(elsewhere=elsewhere)


def _tune(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], validation: ValidationSet, precision: float
) -> TunedClassifier:
    recalibrated = recalibrate(fitted, validation)
    scored = held_out_scores(recalibrated, order, validation.classes)
    heated = np.round(at_temperature(fitted, recalibrated.temperature), 4)
    evidence = HeldOutScores(
        order, np.concatenate([heated, scored.scores]), np.concatenate([np.asarray(classes, np.intp), scored.labels])
    )
    return TunedClassifier(recalibrated, scored, evidence, choose_thresholds(evidence, precision, scored), {})


def figures_in_halves(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], validation: ValidationSet, precision: float
) -> dict[str, float]:
    """Returns figures that are not flattered: chosen on one half of the images for validation, measured on the other.

    Temperature and thresholds are chosen both ways, and the labels given are counted together. Each label is halved
    in its order: neighbours stay in one half."""
    features, labels = validation
    second = _second_halves(labels)
    parts: list[tuple[Bools, Bools]] = []
    for half in (second, ~second):
        tuned = _tune(fitted, order, classes, ValidationSet(features[half], labels[half]), precision)
        rest = HeldOutScores(order, np.round(probabilities(tuned.fitted, features[~half]), 4), labels[~half])
        columns = rest.columns
        parts.append((rest.scores[:, columns] >= np.array(tuned.thresholds)[columns], rest.actual[:, columns]))
    return _figures(np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts]))


def _second_halves(labels: NDArray[np.intp]) -> Bools:
    """Returns (n,): whether an image lies in the second half of its label's images."""
    second = np.zeros(len(labels), np.bool_)
    for column in np.unique(labels):
        rows = np.flatnonzero(labels == column)
        second[rows[(len(rows) + 1) // 2 :]] = True
    return second
