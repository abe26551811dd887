"""From which score a label is said, by cross-validation and on pictures for validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from assent.learn.classifier import ValidationSet, fit
from assent.learn.dataset import fingerprint
from assent.learn.thresholds import (
    UNREACHED,
    HeldOutScores,
    choose_thresholds,
    figures_by_label,
    figures_in_halves,
    overall_figures,
)

ORDER = ("product.a", "product.b", "product.c", "none")


def told(*pictures: tuple[int, int, float]) -> HeldOutScores:
    """Scores by picture: the column it has, the column that is likeliest, and how likely."""
    scores = np.zeros((len(pictures), len(ORDER)))
    for row, (_, column, score) in enumerate(pictures):
        scores[row, column] = score
    return HeldOutScores(ORDER, scores, np.array([truth for truth, _, _ in pictures]))


def often(count: int, truth: int, column: int, score: float) -> Sequence[tuple[int, int, float]]:
    return [(truth, column, score)] * count


def test_with_few_pictures_a_label_needs_the_floor_of_all_and_its_own_precision() -> None:
    found = told(
        *often(12, 0, 0, 0.9), *often(4, 1, 0, 0.7),  # a: right above 0.9, and taken for it below
        *often(3, 1, 1, 0.8), *often(3, 2, 1, 0.55),  # b: few, right above the floor
        *often(1, 0, 2, 0.85), *often(1, 2, 2, 0.6),  # c: wrong above the floor, never right there
    )  # fmt: skip
    limits = choose_thresholds(found, 0.9, found)
    assert 0.7 < limits[0] <= 0.9
    assert 0.7 < limits[1] <= 0.8
    assert limits[2:] == (UNREACHED, UNREACHED)
    rows = figures_by_label(found, limits, [30] * 4)
    assert [(row.said, row.precision) for row in rows] == [(12, 1.0), (3, 1.0), (None, None), (None, None)]
    # By cross-validation three pictures are no evidence, whatever they say.
    assert choose_thresholds(found, 0.9)[1] == UNREACHED


def test_a_label_with_enough_pictures_needs_as_many_on_which_it_is_right() -> None:
    found = told(*often(40, 1, 1, 0.9), *often(2, 0, 0, 0.95), *often(9, 2, 0, 0.93))
    assert choose_thresholds(found, 0.9, found)[0] == UNREACHED  # two of two would be luck
    few = told(*often(40, 1, 1, 0.9), *often(2, 0, 0, 0.95))
    assert choose_thresholds(few, 0.9, few)[0] < UNREACHED


def test_where_nothing_reaches_the_precision_all_is_silent() -> None:
    found = told(*often(10, 0, 0, 0.9), *often(5, 1, 0, 0.95))
    assert choose_thresholds(found, 0.9, found) == (UNREACHED,) * 4


def test_the_floor_is_that_of_pictures_for_validation_and_precision_that_of_all_held_out() -> None:
    there = told(*often(12, 0, 0, 0.9), *often(3, 1, 0, 0.7), *often(1, 0, 1, 0.8))
    trained = told(*often(30, 0, 0, 0.6), *often(30, 1, 1, 0.6), *often(10, 2, 1, 0.75))
    evidence = HeldOutScores(
        ORDER, np.concatenate([there.scores, trained.scores]), np.append(there.labels, trained.labels)
    )
    limits = choose_thresholds(evidence, 0.9, there)
    assert 0.7 < limits[0] <= 0.9  # right from 0.6 up on what was trained on, not there
    assert limits[1] == UNREACHED  # right on the one picture there, too often wrong on the others


@pytest.mark.parametrize("wrong", [0, 6])
def test_what_is_said_of_none_counts_against_the_floor(wrong: int) -> None:
    found = told(*often(20, 0, 0, 0.8), *often(wrong, 3, 0, 0.9))
    limits = choose_thresholds(found, 0.9, found)
    assert (limits[0] < UNREACHED) == (wrong == 0)


def test_figures_over_all_labels() -> None:
    found = told((0, 0, 0.9), (0, 1, 0.9), (1, 1, 0.6), (3, 0, 0.95), (3, 3, 0.9))
    made = overall_figures(found, (0.8, 0.8, UNREACHED, UNREACHED))
    assert made["accuracy"] == pytest.approx(2 / 3)
    assert made["precision of what is said"] == pytest.approx(1 / 3)
    assert made["labelled photos said rightly"] == pytest.approx(1 / 3)
    assert made["labelled photos with a tag"] == pytest.approx(2 / 3)
    assert made["tags"] == 3
    assert made["photos of none with a tag"] == 0.5


def test_in_halves_luck_does_not_count() -> None:
    """Labels drawn by lot: on some halves a threshold looks right, on the others it is not."""
    random = np.random.default_rng(5)
    centres = np.eye(3, 12, dtype=np.float32) * 5
    truth = np.repeat(np.arange(3), 40)
    points = (centres[truth] + random.normal(size=(120, 12))).astype(np.float32)
    made = fit(points, truth.tolist(), lambda: None)
    order, classes = ("product.a", "product.b", "product.c"), truth.tolist()
    there = figures_in_halves(made, order, classes, ValidationSet(points, truth), 0.9)
    assert there["precision of what is said"] > 0.9
    assert there["labelled photos said rightly"] > 0.8
    lot = random.permutation(truth)
    luck = figures_in_halves(made, order, classes, ValidationSet(points, lot), 0.9)
    assert luck["labelled photos said rightly"] == 0


def test_a_fingerprint_names_files_and_labels_whatever_their_order() -> None:
    rows = [("aa", "product.x"), ("bb", "product.y")]
    assert fingerprint(rows) == fingerprint(reversed(rows))
    assert fingerprint(rows) != fingerprint([("aa", "product.y"), ("bb", "product.x")])
    assert fingerprint(rows) == "60e4895c98edea5aaf9c75641cfd886510b12502dd41c76f6f70e6145840b9eb"
