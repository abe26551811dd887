"""Small, noisy pictures are smoothed, so that the faces in them are found; all others are left as they are."""

from __future__ import annotations

import numpy as np
import pytest

from assent.core.values import Pixels
from assent.perceive.frames.noise import LARGEST, NOISY, cleaned, noise
from tests.unit.perceive_photos import SKIMAGE, head, noisy, photo


@pytest.mark.parametrize("name", SKIMAGE)
def test_a_sound_photo_is_left_as_it_is(name: str) -> None:
    small = photo(name)[:LARGEST, :LARGEST]
    assert noise(small) < NOISY
    assert cleaned(small) is small


@pytest.mark.parametrize("pixels", [np.zeros((20, 20, 3), np.uint8), np.full((1, 1, 3), 9, np.uint8)])
def test_a_flat_picture_has_no_noise(pixels: Pixels) -> None:
    assert noise(pixels) == 0
    assert cleaned(pixels) is pixels


def test_a_large_picture_is_left_as_it_is() -> None:
    large = noisy(photo("astronaut.png"))
    assert noise(large) > 0
    assert cleaned(large) is large
    assert cleaned(noisy(head("second"))).shape == (150, 150, 3)
