"""Figures from scores, on numbers small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.learn.measure import calibration_error, count_correct, lowest_threshold, proportion, reliability


def test_counts_by_hand() -> None:
    one = count_correct(np.array([True, True, False, False]), np.array([True, False, True, False]))
    assert (one.predicted, one.correct, one.actual, one.precision, one.recall) == (2, 1, 2, 0.5, 0.5)
    nothing = count_correct(np.zeros(3, np.bool_), np.zeros(3, np.bool_))
    assert (nothing.precision, nothing.recall, proportion(np.zeros(0, np.bool_))) == (None, None, None)


def test_the_lowest_threshold_lies_where_precision_last_holds() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    there = np.array([True, True, False, True, False, False])
    assert lowest_threshold(scores, there, 0.75, least=1) == 0.55  # three of four are right; the next has 0.5
    assert lowest_threshold(scores, there, 1.0, least=1) == 0.75
    assert lowest_threshold(scores, there, 0.75, floor=0.58, least=1) == 0.58
    assert lowest_threshold(scores, there, 0.75, floor=0.7, least=1) == 0.75  # what stands at 0.7 spoils it
    assert lowest_threshold(scores, there, 1.0, least=3) is None  # right twice only


def test_equal_scores_are_said_together() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5])
    there = np.array([True, True, False, False])
    assert lowest_threshold(scores, there, 0.9, least=1) == 0.7


@given(
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 1.0])
)
def test_what_is_said_from_the_threshold_up_is_as_right_as_promised(
    pairs: list[tuple[int, bool]], promised: float
) -> None:
    scores, there = np.array([one / 20 for one, _ in pairs]), np.array([right for _, right in pairs])
    least = lowest_threshold(scores, there, promised, least=3)
    kept = [count_correct(scores >= one, there) for one in np.unique(scores)]
    possible = [one for one in kept if one.predicted >= 3 and one.correct >= promised * one.predicted]
    if least is None:
        assert possible == []
    else:
        assert count_correct(scores >= least, there) == max(possible, key=lambda one: one.predicted)


def test_reliability_by_hand() -> None:
    scores, right = np.array([0.95, 0.85, 0.15, 1.0]), np.array([True, False, False, True])
    bins = reliability(scores, right)
    assert [(one.images, one.correct) for one in bins] == [(1, 0), (1, 0), (2, 1)]
    assert calibration_error(bins) == pytest.approx((0.15 + 0.85 + 2 * 0.025) / 4)
    assert calibration_error(()) is None
