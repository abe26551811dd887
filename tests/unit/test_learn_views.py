"""Altered copies to train with: the same for the same file, other for another, and the original stays what it was."""

from __future__ import annotations

import numpy as np
import pytest

from assent.learn.views import LETTERED, MIRRORED
from tests.unit.perceive_photos import photo

FILES = ("a" * 64, "b" * 64, "c" * 64)


@pytest.mark.parametrize("side", [None, 20])
def test_a_copy_depends_on_the_file_alone(side: int | None) -> None:
    pixels = np.asarray(photo("coffee.png"))[:side, :side]
    before = pixels.copy()
    made = [LETTERED.of(pixels, digest) for digest in FILES]
    assert all(one.dtype == np.uint8 and one.shape[2] == 3 for one in made)
    assert all(np.array_equal(one, LETTERED.of(pixels, digest)) for one, digest in zip(made, FILES, strict=True))
    assert not any(np.array_equal(made[0], one) for one in (*made[1:], pixels))
    assert np.array_equal(pixels, before)


def test_a_mirrored_copy_is_the_picture_the_other_way_round() -> None:
    pixels = np.asarray(photo("coffee.png"))
    copy = MIRRORED.of(pixels, FILES[0])
    assert np.array_equal(copy[:, 0], pixels[:, -1])
    assert np.array_equal(MIRRORED.of(copy, FILES[1]), pixels)


def test_letters_cover_some_of_a_picture_and_leave_the_rest() -> None:
    pixels = np.asarray(photo("coffee.png"))
    shares = [
        (LETTERED.of(pixels, f"{number:064x}") != pixels).any(axis=2).mean() for number in range(2**60, 2**60 + 20)
    ]
    assert min(shares) > 0
    assert max(shares) < 0.9
