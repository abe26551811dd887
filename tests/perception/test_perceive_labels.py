"""Out of the box it says what a picture shows, and of a picture of nothing nothing that is sure."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from assent.core.values import Pixels
from assent.media.sandbox import Decoder
from assent.perceive import Models, perceive
from tests.unit.perceive_photos import photo, picture

SURE = 0.7
NOISE = np.random.default_rng(1).integers(0, 256, (400, 500, 3), np.uint8)
NOTHING = {
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "black": np.zeros((300, 400, 3), np.uint8),
    "noise": NOISE,
    "text": photo("page.png"),
    "a line": np.resize(NOISE, (30_000, 1, 3)),
}


def said(models: Models, *frames: Pixels) -> dict[str, float]:
    """The labels of a picture by the labels network, with their scores."""
    (seen,) = perceive(models, [picture(*frames)], embed=False)
    return {tag.name: tag.score for tag in seen.tags if tag.model == models.backbone.id}


@pytest.mark.parametrize(
    ("name", "label", "least"),
    [
        ("chelsea.png", "animal.cat", 0.8),
        ("coffee.png", "food.drink.other", 0.8),
        ("rocket.jpg", "object.rocket", 0.5),
        ("motorcycle_left.png", "object.vehicle.motorcycle", 0.5),
    ],
)
def test_the_default_pack_says_what_a_photo_shows(models: Models, name: str, label: str, least: float) -> None:
    assert said(models, photo(name))[label] >= least


def test_a_part_of_handwriting_is_no_building(models: Models) -> None:
    assert max(said(models, photo("text.png")).values(), default=0.0) < 0.5


@pytest.mark.parametrize("what", NOTHING)
def test_of_a_picture_of_nothing_nothing_is_sure(models: Models, what: str) -> None:
    labels = said(models, NOTHING[what])
    assert all(0.05 <= score < SURE for score in labels.values())


def test_of_an_animation_each_looked_at_frame_counts(models: Models, decoder: Decoder) -> None:
    shown = ("chelsea.png", "coffee.png", "rocket.jpg")
    first, *others = (Image.fromarray(photo(name)).convert("P").resize((320, 240)) for name in shown)
    first.save(file := BytesIO(), "GIF", save_all=True, append_images=others)
    (seen,) = perceive(models, [decoder.decode(file.getvalue())], embed=False)
    frames = {tag.name: tag.frame for tag in seen.tags if tag.model == models.backbone.id and tag.score > 0.3}
    assert frames.items() >= {"animal.cat": 0, "food.drink.coffee": 1, "object.rocket": 2}.items()
    assert list(seen.features) == [0, 1, 2]
