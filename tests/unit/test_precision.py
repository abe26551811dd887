"""How far a label can be trusted is told with an interval, from figures that were shipped and those measured here."""

from __future__ import annotations

import pytest

from assent.review.precision import MeasuredHere, ShippedFigure, shipped_figure, wilson_interval


# By hand, and as tables of the Wilson score interval (z = 1.959964) give them.
@pytest.mark.parametrize(
    ("kept", "judged", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
        (15, 30, 0.3315, 0.6685),
        (27, 30, 0.7438, 0.9654),
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 17 (1998), table I
        (15, 148, 0.0624, 0.1605),  # there as well
        (1, 29, 0.0061, 0.1718),  # there as well
    ],
)
def test_the_interval_is_wilsons(kept: int, judged: int, low: float, high: float) -> None:
    assert wilson_interval(kept, judged) == pytest.approx((low, high), abs=5e-5)


def test_under_thirty_are_too_few() -> None:
    assert not MeasuredHere(29, 29).is_enough
    assert MeasuredHere(0, 30).is_enough


def test_a_head_ships_the_precision_of_each_label() -> None:
    figure = shipped_figure("grocery@a123a7d57838", "product.grocery.apple", 0.6)
    assert figure == ShippedFigure("precision", 0.9453, 274)
    assert shipped_figure("grocery@another12345", "product.grocery.apple", 0.6) is None  # an operator's, of that name


def test_a_detector_ships_false_alarms_at_the_step_below_the_score() -> None:
    assert shipped_figure("nudenet-320n@0", "nudity.explicit.breast", 0.55) == ShippedFigure(
        "false-alarms", 9, 1719, 0.50
    )
    assert shipped_figure("nudenet-320n@0", "nudity.explicit.breast", 0.2) is None


def test_a_classifier_ships_the_threshold_that_was_measured() -> None:
    assert shipped_figure("efficientnet-lite0@0", "animal.dog", 0.9) == ShippedFigure("threshold", 0.7)


def test_what_was_never_measured_has_no_figure() -> None:
    assert shipped_figure("nobody@0", "animal.dog", 0.9) is None
