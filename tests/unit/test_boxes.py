"""Boxes change their form and are compared; what they cover stays the same."""

from __future__ import annotations

import numpy as np
import pytest

from assent.core.boxes import (
    area,
    bounding_corners,
    box_of,
    centre,
    clipped,
    contains,
    corners_from_centres,
    corners_of,
    cover,
    iou,
    joined,
    longer_side,
    read_box,
    scaled_box,
    shifted,
    with_sizes,
)


def test_a_box_becomes_corners_and_a_box_again() -> None:
    box = (10, 20, 30, 40)
    assert corners_of(box, 0.5) == (5.0, 10.0, 20.0, 30.0)
    assert box_of(corners_of(box, 0.5), 0.5, 100, 100) == box
    assert scaled_box(box, 0.25) == (2, 5, 8, 10)
    assert (centre(box), area(box)) == ((25.0, 40.0), 1200)


def test_a_list_of_json_is_a_box_where_it_has_four_numbers() -> None:
    assert read_box([1, 2, 3, 4]) == (1, 2, 3, 4)
    with pytest.raises(ValueError, match="unpack"):
        read_box([1, 2, 3])


@pytest.mark.parametrize(
    ("box", "expected"),
    [((10, 10, 100, 100), 1.0), ((60, 10, 100, 100), 1 / 3), ((300, 10, 50, 50), 0.0), ((10, 10, 100, 50), 0.5)],
)
def test_intersection_over_union(box: tuple[int, int, int, int], expected: float) -> None:
    assert iou((10, 10, 100, 100), box) == pytest.approx(expected)


def test_a_box_inside_another_is_covered_however_small() -> None:
    outer, inner = (0.0, 0.0, 100.0, 100.0), (10.0, 10.0, 20.0, 20.0)
    assert contains(outer, inner)
    assert not contains(inner, outer)
    assert cover(outer, inner, 1.0)
    assert not cover(outer, (95.0, 0.0, 105.0, 10.0), 0.6)
    assert cover(outer, (95.0, 0.0, 105.0, 10.0), 0.5)


def test_corners_are_moved_and_joined() -> None:
    assert shifted((0.0, 1.0, 2.0, 5.0), 10, 20) == (10.0, 21.0, 12.0, 25.0)
    assert joined((0.0, 1.0, 2.0, 5.0), (1.0, 0.0, 9.0, 2.0)) == (0.0, 0.0, 9.0, 5.0)
    assert bounding_corners(np.array([[3.0, 1.0], [0.0, 9.0], [2.0, 2.0]])) == (0.0, 1.0, 3.0, 9.0)
    assert longer_side((0.0, 1.0, 2.0, 5.0)) == 4.0


def test_arrays_of_boxes() -> None:
    corners = corners_from_centres(np.array([[10, 20, 4, 6], [0, 0, 2, 2]], np.float32))
    assert corners.tolist() == [[8, 17, 12, 23], [-1, -1, 1, 1]]
    assert with_sizes(corners).tolist() == [[8, 17, 4, 6], [-1, -1, 2, 2]]
    assert clipped(corners, 10, 20).tolist() == [[8, 17, 10, 20], [0, 0, 1, 1]]
