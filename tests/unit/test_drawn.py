"""Drawings are told from photos by their flat areas, and a classifier that knows photos says nothing of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from assent.core.values import Pixels, Tag
from assent.perceive.labels.drawn import flatness, without_drawings
from tests.unit.perceive_photos import photo

TAGS = [
    Tag("animal.dog", "object", 0.71, None, 0, "net"),
    Tag("scene.screenshot", "scene", 0.70, None, 0, "net"),
]


def drawn() -> Pixels:
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 30, 240, 170), "pink", "black", 4)
    draw.rectangle((120, 80, 180, 160), "brown")
    return np.asarray(image)


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"])
def test_photos_keep_what_is_said_of_them(name: str) -> None:
    assert flatness(photo(name)) < 0.5
    assert without_drawings(TAGS, photo(name)) == TAGS


def test_a_photo_cut_out_and_put_on_white_is_no_drawing() -> None:
    white = np.full((900, 900, 3), 255, np.uint8)
    cat = photo("chelsea.png")
    white[100 : 100 + cat.shape[0], 100 : 100 + cat.shape[1]] = cat
    assert flatness(white) < 0.5


@pytest.mark.parametrize("pixels", [drawn(), photo("horse.png"), np.zeros((40, 40, 3), np.uint8)])
def test_of_a_drawing_only_what_is_always_drawn_is_said(pixels: Pixels) -> None:
    assert flatness(pixels) > 0.6
    assert [tag.name for tag in without_drawings(TAGS, pixels)] == ["scene.screenshot"]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 30_000)])
def test_pictures_of_a_few_pixels_have_a_flatness(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert 0.0 <= flatness(noise) <= 1.0
