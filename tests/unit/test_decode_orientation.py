"""Each picture comes out upright: the orientation that the file states is applied once, whoever applies it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from assent.media.decode import decode
from assent.media.turns import box_before, turned
from tests.unit.picture_files import TURNS, encoded, heic, motif, orientation, quadrants


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "avif", "heic"])
def test_every_orientation_is_applied_once(name: str, turn: int) -> None:
    data = heic(turn) if name == "heic" else encoded(motif(), name.upper(), exif=orientation(turn))
    picture = decode(data)
    upright = TURNS[turn](motif())
    assert quadrants(picture.frames[0].pixels) == quadrants(upright)
    assert picture.frames[0].pixels.shape == upright.shape
    assert (picture.height, picture.width) == upright.shape[:2]
    assert (picture.format, picture.other_turn) == (name, 1)


def exif_of(kind: int, value: int) -> bytes:
    """An orientation of a type that the standard does not give it: 1 byte, 4 long, 8 signed, 9 signed long."""
    written = struct.pack("<I", value)  # what is smaller begins alike
    return b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, kind, 1) + written + bytes(4)


def png_with_late_exif() -> bytes:
    data = encoded(motif(), "PNG", exif=orientation(6))
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    return data[:start] + data[end:-12] + data[start:end] + data[-12:]  # IEND is 12 bytes


READ_DIFFERENTLY: dict[str, Callable[[], bytes]] = {
    "WebP": lambda: encoded(motif(), "WEBP", exif=orientation(6)),
    "PNG, after the pixels": png_with_late_exif,
    **{f"JPEG, type {kind}": partial(encoded, motif(), "JPEG", exif=exif_of(kind, 6)) for kind in (1, 4, 8, 9)},
}


@pytest.mark.parametrize("name", READ_DIFFERENTLY)
def test_what_viewers_turn_differently_is_shown_as_stored_and_its_other_turn_is_said(name: str) -> None:
    """Chromium shows these unturned; others turn them."""
    picture = decode(READ_DIFFERENTLY[name]())
    assert (picture.width, picture.height, picture.orientation, picture.other_turn) == (64, 48, 1, 6)
    assert quadrants(picture.frames[0].pixels) == quadrants(motif())


@pytest.mark.parametrize("shown", range(1, 9))
@pytest.mark.parametrize("other", range(1, 9))
def test_of_two_orientations_the_last_is_shown_and_leads_to_the_other(shown: int, other: int) -> None:
    entries = b"".join(struct.pack("<HHIHH", 0x0112, 3, 1, value, 0) for value in (other, shown))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    picture = decode(encoded(motif(), "PNG", exif=exif))
    seen = picture.frames[0].pixels
    np.testing.assert_array_equal(seen, TURNS[shown](motif()))
    np.testing.assert_array_equal(turned(seen, picture.other_turn), TURNS[other](motif()))


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_box_is_found_again_in_the_picture_before_it_was_turned(turn: int) -> None:
    marked = np.zeros((48, 64), np.uint8)
    marked[10:14, 20:31] = 1
    rows, columns = np.nonzero(turned(marked, turn))
    box = (int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    assert box_before(box, turn, 64, 48) == (20, 10, 11, 4)


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
