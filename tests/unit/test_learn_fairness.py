"""Figures by group: intervals, the largest gap, and no claim from a handful."""

from __future__ import annotations

import numpy as np
import pytest

from assent.learn.fairness import LEAST_UNITS, Ratio, by_group


def two_groups(first: int, second: int, right_first: float, right_second: float) -> tuple[Ratio, list[str]]:
    """Photos of two groups, of which those shares are right."""
    part = [float(n < right_first * first) for n in range(first)] + [
        float(n < right_second * second) for n in range(second)
    ]
    return Ratio("accuracy", np.array(part), np.ones(first + second)), ["north"] * first + ["south"] * second


def test_every_group_has_its_figure_with_an_interval_around_it() -> None:
    ratio, groups = two_groups(200, 200, 0.9, 0.6)
    table, gaps = by_group([ratio], groups, "photos")
    (north, south) = table.rows
    assert (north[:4], south[:4]) == (("accuracy", "north", 200, 0.9), ("accuracy", "south", 200, 0.6))
    for row, sigma in ((north, 0.0212), (south, 0.0346)):
        value, low, high = (float(cell) for cell in row[3:6] if cell is not None)
        assert low == pytest.approx(value - 1.96 * sigma, abs=0.02)
        assert high == pytest.approx(value + 1.96 * sigma, abs=0.02)
    assert gaps.rows[0][:3] == ("accuracy", "north", "south")
    assert gaps.rows[0][3] == pytest.approx(0.3)
    assert gaps.rows[0][6] == ""


def test_a_gap_that_chance_makes_is_called_so() -> None:
    ratio, groups = two_groups(40, 40, 0.6, 0.5)
    assert by_group([ratio], groups, "photos")[1].rows[0][6] == "may be chance"


def test_a_group_of_three_people_is_shown_and_never_compared() -> None:
    ratio, groups = two_groups(LEAST_UNITS, 3, 0.9, 0.0)
    table, gaps = by_group([ratio], groups, "people")
    assert table.rows[1][1:4] == ("south", 3, 0.0)
    assert table.rows[1][6] == "too few to compare"
    assert gaps.rows[0][6] == "fewer than two groups are large enough"
    assert gaps.rows[0][3] is None


def test_units_without_a_group_count_nowhere() -> None:
    ratio, groups = two_groups(30, 30, 1.0, 0.0)
    table, _ = by_group([ratio], [*groups[:30], *[""] * 30], "photos")
    assert [row[1:4] for row in table.rows] == [("north", 30, 1.0)]


def test_pairs_are_counted_within_the_group_only() -> None:
    whole = np.ones((4, 4)) - np.eye(4)
    part = np.zeros((4, 4))
    part[0, 1] = part[0, 2] = 1  # one false match within the group, one across
    table, _ = by_group([Ratio("FMR", part, whole)], ["a", "a", "b", "b"], "people")
    assert [row[3] for row in table.rows] == [0.5, 0.0]


def test_a_figure_that_nothing_was_counted_for_is_empty() -> None:
    table, _ = by_group([Ratio("precision", np.zeros(2), np.zeros(2))], ["a", "a"], "photos")
    assert table.rows[0][3:6] == (None, None, None)
