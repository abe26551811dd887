"""Chooses the score from which a head gives each of its labels, and measures the result.

This is done by cross-validation, or better on images for validation from elsewhere: photos that were taken side by side
are more like each other than anything that people will post is like them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.learn.measure import (
    LEAST_SAID,
    Bools,
    Floats,
    calibration_error,
    counts,
    in_any,
    lowest_threshold,
    reliability,
    share,
)
from assent.learn.train import Fitted, ValidationSet, calibrated_probabilities, probabilities
from assent.perceive.labels.heads import NONE, HeadLabel

# A label is said only where it is likelier than all else together, however easy the pictures were that it was measured
# on: what people post is more varied than any set.
LEAST_SCORE = 0.5
UNREACHED = 2.0  # a score that none reaches


class Answers(NamedTuple):
    """A head's probabilities (n, columns) for images it was not trained on, and the column (n,) of each one's label.

    Probabilities are rounded as a tag's score is; `order` names the columns. −1: `none` where the head has no such
    column."""

    order: Sequence[str]
    scores: Floats
    truth: NDArray[np.intp]

    @property
    def labels(self) -> list[int]:
        """Returns the columns that may be given as labels."""
        return [column for column, name in enumerate(self.order) if name != NONE]

    @property
    def there(self) -> Bools:
        """Returns (n, columns): whether each column is the image's label."""
        return np.asarray(self.truth[:, None] == np.arange(len(self.order)))


def answers(fitted: Fitted, order: Sequence[str], classes: Sequence[int] | NDArray[np.intp]) -> Answers:
    """Returns the held-out probabilities of a classifier, with the labels of those images."""
    return Answers(order, np.round(fitted.held_out, 4), np.asarray(classes, np.intp))


def choose(found: Answers, precision: float, *, validation: bool) -> tuple[float, ...]:
    """Returns the threshold of each column, NEVER where the label is never given.

    It is the lowest score from which that share of the given labels is right, on at least LEAST_SAID images.

    Of images for validation there are often too few of a label for that. So there is a floor for all labels there:
    the lowest score from which that share of all given labels is right. From it up each label has to reach the
    precision on its own images too, on however few they are; one that is never right is never given."""
    scores, there, limits = found.scores, found.there, [UNREACHED] * len(found.order)
    floor: float | None = LEAST_SCORE
    if validation:
        all_scores, all_there = scores[:, found.labels].ravel(), there[:, found.labels].ravel()
        floor = lowest_threshold(all_scores, all_there, precision, LEAST_SCORE)
    if floor is None:
        return tuple(limits)
    for column in found.labels:
        many = (scores[:, column] >= LEAST_SCORE).sum() >= LEAST_SAID
        least = LEAST_SAID if many or not validation else 1
        chosen = lowest_threshold(scores[:, column], there[:, column], precision, floor, least)
        limits[column] = UNREACHED if chosen is None else chosen
    return tuple(limits)


def judge_validation(found: Answers, limits: Sequence[float], photos: Sequence[int]) -> tuple[HeadLabel, ...]:
    """Returns the figures at those thresholds, label by label; `photos`: how many of each column were trained on."""
    rows = []
    for column, (name, limit) in enumerate(zip(found.order, limits, strict=True)):
        one = counts(found.scores[:, column] >= limit, found.there[:, column])
        measured = (None,) * 4 if limit == UNREACHED else (limit, one.precision, one.recall, one.said)
        rows.append(HeadLabel(name, photos[column], *measured))
    return tuple(rows)


def figures(found: Answers, limits: Sequence[float]) -> dict[str, float]:
    """Returns the figures at those thresholds over all labels together; those that cannot be measured are left out."""
    labels = found.labels
    scores, there = found.scores[:, labels], found.there[:, labels]
    labelled, said = in_any(there), scores >= np.array(limits)[labels]
    right = there[np.arange(len(scores)), scores.argmax(axis=1)]
    made = {
        "labelled photos": float(labelled.sum()),
        "photos of none": float((~labelled).sum()),
        "accuracy": share(right[labelled]),
        "precision of what is said": counts(said, there).precision,
        "labelled photos said rightly": share(in_any(said & there)[labelled]),
        "photos of none with a tag": share(in_any(said)[~labelled]),
        "calibration error": calibration_error(reliability(scores.max(axis=1), right)),
    }
    return {name: value for name, value in made.items() if value is not None}


class Settled(NamedTuple):
    """A classifier at its final temperature, its answers and thresholds, and figures of other ways to choose them.

    The thresholds were chosen on those answers, one a column. The other figures go by the name of the way."""

    fitted: Fitted
    judged: Answers
    limits: tuple[float, ...]
    elsewhere: dict[str, dict[str, float]]


def settled(
    fitted: Fitted, order: Sequence[str], classes: Sequence[int], proof: ValidationSet | None, precision: float
) -> Settled:
    """Chooses temperature and thresholds by the images for validation, else by the held-out scores.

    The held-out scores are those of the images learned from; they count where there are no images for validation.
    classes: the column (n,) of each image learned from; precision: 0–1, of the labels given."""
    judged = answers(fitted, order, classes)
    limits = choose(judged, precision, validation=False)
    if proof is None:
        return Settled(fitted, judged, limits, {})
    elsewhere = {"in halves": halves(fitted, order, proof, precision), "cross-validated": figures(judged, limits)}
    tuned = calibrated_probabilities(fitted, proof)
    judged = answers(tuned, order, proof.classes)
    return Settled(tuned, judged, choose(judged, precision, validation=True), elsewhere)


def halves(fitted: Fitted, order: Sequence[str], proof: ValidationSet, precision: float) -> dict[str, float]:
    """Returns figures that are not flattered: chosen on one half of the images for validation, measured on the other.

    Temperature and thresholds are chosen both ways, and all answers are counted together. Each label is halved in
    its order: neighbours stay in one half."""
    features, truth = proof
    second = np.zeros(len(truth), np.bool_)
    for column in np.unique(truth):
        those = np.flatnonzero(truth == column)
        second[those[(len(those) + 1) // 2 :]] = True
    said, there, labelled = [], [], []
    for here in (second, ~second):
        tuned = calibrated_probabilities(fitted, ValidationSet(features[here], truth[here]))
        limits = choose(answers(tuned, order, truth[here]), precision, validation=True)
        other = Answers(order, np.round(probabilities(tuned, features[~here]), 4), truth[~here])
        said.append(other.scores[:, other.labels] >= np.array(limits)[other.labels])
        there.append(other.there[:, other.labels])
        labelled.append(in_any(there[-1]))
    all_said, all_there, of_labels = np.concatenate(said), np.concatenate(there), np.concatenate(labelled)
    made = {
        "precision of what is said": counts(all_said, all_there).precision,
        "labelled photos said rightly": share(in_any(all_said & all_there)[of_labels]),
        "photos of none with a tag": share(in_any(all_said)[~of_labels]),
    }
    return {name: value for name, value in made.items() if value is not None}
