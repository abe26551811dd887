"""A face that only a dark page shows is found, and one that both show is one face."""

from __future__ import annotations

import numpy as np
from PIL import Image

from assent.core.values import Picture
from assent.media.decode import decode
from assent.media.fingerprint import fingerprinted
from assent.perceive import Models, perceive
from tests.adversarial.declared import gama, png_file
from tests.unit.perceive_photos import photo
from tests.unit.picture_files import saved


def picture(data: bytes) -> Picture:
    decoded = decode(data)
    size, frames = (decoded.width, decoded.height), decoded.frames
    return Picture("0" * 64, "png", *size, decoded.frame_count, frames, over_black=decoded.over_black)


def seen(models: Models, data: bytes) -> list[int]:
    """The frames of the faces that are found."""
    (perception,) = perceive(models, [picture(data)], embed=False)
    return [face.frame for face in perception.faces]


def test_a_photo_drawn_in_white_with_alpha_has_its_face(models: Models) -> None:
    grey = np.asarray(Image.fromarray(photo("astronaut.png")).convert("L"))
    white = np.full_like(grey, 255)
    data = png_file(np.dstack([white, white, white, grey]), 6, 8)
    assert seen(models, data) == [0]
    hashes = fingerprinted(picture(data))
    assert hashes.frames[0].pdqs == ()
    assert hashes.over_black[0].pdqs != ()


def test_a_face_that_both_backdrops_show_is_one_face(models: Models) -> None:
    clear = np.full(photo("astronaut.png").shape[:2], 255, np.uint8)
    clear[300:] = 0
    data = png_file(np.dstack([photo("astronaut.png"), clear]), 6, 8)
    assert picture(data).over_black
    assert seen(models, data) == [0]


def test_a_photo_that_a_curve_shows_has_its_face(models: Models) -> None:
    hidden = (np.maximum(photo("astronaut.png") / 255, 1e-9) ** (1 / 150) * 255).round().astype(np.uint8)
    assert hidden.mean() > 248
    assert seen(models, png_file(hidden, 2, 8, gama(500))) == [0]
    assert seen(models, saved(Image.fromarray(hidden), "PNG")) == []
