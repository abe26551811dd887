"""Harmless files with a quirk are read as viewers show them, by both decoders alike."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from assent.core.errors import DecodersDisagree, Undecodable
from assent.media.compare import TOLERANCE, _first, _second, confirm, difference
from assent.media.decode import decode
from tests.adversarial.generate import chunk
from tests.unit.harmless import PIXELS, read_by_both
from tests.unit.picture_files import bmp, encoded, motif, quadrants, saved


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_whole(progressive: bool, lost: int) -> None:
    data = encoded(PIXELS, "JPEG", progressive=progressive)
    whole = decode(data).frames[0].pixels
    np.testing.assert_array_equal(read_by_both(data[:-lost]).frames[0].pixels, whole)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_more_is_refused(progressive: bool) -> None:
    data = encoded(PIXELS, "JPEG", progressive=progressive)
    for lost in (8, 20, 60):
        with pytest.raises(Undecodable):
            decode(data[:-lost])


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused() -> None:
    data = encoded(PIXELS, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    start = data.rindex(b"\xff\xc4", 0, last)  # its Huffman table stands before it
    with pytest.raises(Undecodable):
        decode(data[:start])


@pytest.mark.parametrize("mask", [0, 0xFF])
def test_the_fourth_byte_of_a_bmp_without_alpha_mask_is_nothing(mask: int) -> None:
    rows = np.dstack([PIXELS[::-1, :, ::-1], np.full(PIXELS.shape[:2], mask, np.uint8)]).tobytes()
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    decoded = read_by_both(bmp(128, 96, 32, 3, masks, rows))
    np.testing.assert_array_equal(decoded.frames[0].pixels, PIXELS)


def test_a_gif_without_trailer_is_whole() -> None:
    data = encoded(motif(), "GIF")
    assert data.endswith(b";")
    assert quadrants(read_by_both(data[:-1]).frames[0].pixels) == quadrants(motif())


def test_a_gif_whose_first_frame_lies_within_its_screen() -> None:
    data = bytearray(encoded(motif(), "GIF"))
    data[6:10] = struct.pack("<HH", 100, 80)
    start = data.index(b"\x2c\0\0\0\0")
    data[start + 1 : start + 5] = struct.pack("<HH", 20, 16)
    shown = read_by_both(bytes(data)).frames[0].pixels
    assert shown.shape == (80, 100, 3)
    assert quadrants(shown[16:64, 20:84]) == quadrants(motif())
    assert (shown[:16] == 255).all()  # viewers show nothing there, whatever the background colour


def test_a_sixteen_bit_tiff_whose_zero_is_white() -> None:
    ramp = np.tile(np.linspace(0, 65_535, 64, dtype=np.uint16), (16, 1))
    out = BytesIO()
    Image.fromarray(ramp).save(out, "TIFF", tiffinfo={262: 0})
    data = out.getvalue()
    assert struct.pack("<HHIHH", 262, 3, 1, 0, 0) in data
    shown = decode(data).frames[0].pixels[..., 0]
    np.testing.assert_array_equal(shown, 255 - (np.asarray(Image.open(BytesIO(data))) >> 8))


def test_a_halftone_of_low_quality_is_no_disagreement() -> None:
    """Reduced decoding does not clip each dot's overshoot, as full decoding does: one mean is darker than the other."""
    grey = np.tile(np.linspace(0.02, 0.3, 1024), (1024, 1))
    dots = np.add.outer(np.sin(np.arange(1024) * 1.3), np.cos(np.arange(1024) * 1.1))
    data = encoded(np.where(dots / 4 + 0.5 < grey, 0, 255).astype(np.uint8), "JPEG", quality=2)
    decoded = decode(data)
    second = _second(data, decoded)
    assert second is not None
    assert difference(_first(decoded), second) > TOLERANCE
    confirm(data, decoded)


def moving_png() -> bytes:
    frames = [Image.fromarray(np.roll(PIXELS, shift, 1)) for shift in (0, 40, 80)]
    return saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)


def test_of_a_png_whose_animation_is_broken_the_still_image_is_read_and_the_rest_said() -> None:
    data = moving_png()
    at = data.rindex(b"fcTL")
    broken = data[: at - 4] + chunk(b"fcTL", struct.pack(">I", 99) + data[at + 8 : at + 30]) + data[at + 34 :]
    decoded = read_by_both(broken)
    assert (decoded.frame_count, len(decoded.frames), decoded.partial) == (3, 1, True)
    np.testing.assert_array_equal(decoded.frames[0].pixels, PIXELS)


def test_a_broken_animation_hides_no_other_still_image() -> None:
    """An animation beside its still image is another picture, and nobody can say which one people see."""
    still, *frames = (Image.fromarray(pixels) for pixels in (motif(), motif()[::-1], motif()[:, ::-1]))
    data = saved(still, "PNG", save_all=True, append_images=frames, default_image=True, duration=50)
    with pytest.raises(DecodersDisagree):
        confirm(data, decode(data))


def test_a_bmp_whose_alpha_is_clear_everywhere_is_shown() -> None:
    rows = np.dstack([PIXELS[::-1, :, ::-1], np.zeros(PIXELS.shape[:2], np.uint8)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    np.testing.assert_array_equal(decode(bmp(128, 96, 32, 3, masks, rows, 56)).frames[0].pixels, PIXELS)
