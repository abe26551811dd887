"""Each picture comes out upright: the orientation that the file states is applied once, whoever applies it."""

from __future__ import annotations

import numpy as np
import pytest

from assent.media.decode import decode
from tests.unit.picture_files import TURNS, encoded, heic, motif, orientation, quadrants


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_every_orientation_is_applied_once(name: str, turn: int) -> None:
    data = heic(turn) if name == "heic" else encoded(motif(), name.upper(), exif=orientation(turn))
    picture = decode(data)
    upright = TURNS[turn](motif())
    assert quadrants(picture.frames[0].pixels) == quadrants(upright)
    assert picture.frames[0].pixels.shape == upright.shape
    assert (picture.height, picture.width) == upright.shape[:2]
    assert picture.format == name


def test_a_png_may_state_it_after_the_pixels() -> None:
    data = encoded(motif(), "PNG", exif=orientation(6))
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    late = data[:start] + data[end:-12] + data[start:end] + data[-12:]  # IEND is 12 bytes
    picture = decode(late)
    assert (picture.width, picture.height) == (48, 64)
    np.testing.assert_array_equal(picture.frames[0].pixels, TURNS[6](motif()))


def test_a_shrunk_picture_is_turned_too() -> None:
    picture = decode(encoded(motif(6000, 1000), "JPEG", exif=orientation(8)))
    assert (picture.width, picture.height) == (1000, 6000)
    assert picture.frames[0].pixels.shape == (4096, 683, 3)
    assert quadrants(picture.frames[0].pixels) == quadrants(TURNS[8](motif()))


@pytest.mark.parametrize(
    "exif", [orientation(0), orientation(9), b"Exif\x00\x00", b"Exif\x00\x00II*\x00\xff\xff\xff\xff"]
)
def test_a_nonsensical_orientation_turns_nothing(exif: bytes) -> None:
    picture = decode(encoded(motif(), "JPEG", exif=exif))
    assert quadrants(picture.frames[0].pixels) == quadrants(motif())


def test_xmp_alone_turns_nothing() -> None:
    """Viewers go by EXIF; Pillow's getexif would also believe XMP."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    picture = decode(encoded(motif(), "WEBP", xmp=xmp))
    assert (picture.width, picture.height) == (64, 48)
