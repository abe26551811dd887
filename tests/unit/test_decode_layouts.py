"""BMP, PNG and GIF files whose layout one decoder leaves out are read as viewers show them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from assent.core.errors import DecodersDisagree, Undecodable
from assent.media.compare import confirm
from assent.media.decode import decode
from tests.adversarial.generate import chunk
from tests.unit.harmless import PIXELS, read_by_both
from tests.unit.picture_files import bmp, encoded, motif, quadrants, saved

HEIGHT, WIDTH, _ = PIXELS.shape


def fields(bits: int, masks: tuple[int, ...], header: int = 40, compression: int = 3) -> bytes:
    """The photo as a BMP whose red, green, blue (and opaque alpha) lie where the masks say."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint32)
    for band, mask in enumerate(masks):
        if mask:
            low = mask & -mask
            value = PIXELS[::-1, :, band] if band < 3 else np.full((HEIGHT, WIDTH), 255, np.uint8)
            pixels |= np.rint(value / 255 * (mask // low)).astype(np.uint32) * np.uint32(low)
    rows = pixels.astype(f"<u{bits // 8}").tobytes()
    return bmp(WIDTH, HEIGHT, bits, compression, struct.pack(f"<{len(masks)}I", *masks), rows, header)


@pytest.mark.parametrize(
    ("data", "step"),
    [
        (fields(32, (0xFF000000, 0xFF00, 0xFF)), 1),
        (fields(32, (0xFF, 0xFF0000, 0xFF000000), 52), 1),
        (fields(32, (0xFFE00000, 0x1FFC00, 0x3FF)), 1),
        (fields(16, (0xF00, 0xF0, 0xF)), 9),
        (fields(16, (0xF00, 0xF0, 0xF, 0xF000), 56), 9),
        (fields(32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 40, 6), 1),
        (fields(32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000), 56), 1),
    ],
)
def test_bit_fields_of_a_bmp_lie_where_its_masks_say(data: bytes, step: int) -> None:
    shown = read_by_both(data).frames[0].pixels
    assert np.abs(shown.astype(int) - PIXELS).max() <= step


@pytest.mark.parametrize("masks", [(0xFF00, 0xFF00, 0xFF), (0xF0F000, 0xF00, 0xFF)])
def test_masks_that_leave_open_what_is_shown_are_refused(masks: tuple[int, ...]) -> None:
    with pytest.raises((Undecodable, DecodersDisagree)):
        read_by_both(fields(32, masks))


def test_an_alpha_that_is_clear_everywhere_goes_to_review_whatever_its_masks() -> None:
    """Some viewers show nothing of it, others the colours."""
    rows = np.dstack([np.zeros((HEIGHT, WIDTH), np.uint8), PIXELS[::-1, :, ::-1]]).tobytes()
    masks = struct.pack("<IIII", 0xFF000000, 0xFF0000, 0xFF00, 0xFF)
    data = bmp(WIDTH, HEIGHT, 32, 3, masks, rows, 56)
    with pytest.raises(DecodersDisagree):
        confirm(data, decode(data))


def paletted(bits: int, palette: NDArray[np.uint8], used: int, header: int = 40) -> bytes:
    """A BMP of 64 × 48 in the first four of a palette's colours (n, 4), of which the header claims to use `used`."""
    indices = np.repeat(np.repeat(np.arange(4).reshape(2, 2)[::-1], 24, 0), 32, 1).astype(np.uint8)
    each = 8 // bits
    shifts = np.arange(8 - bits, -1, -bits)
    rows: bytes = np.bitwise_or.reduce(indices.reshape(48, -1, each) << shifts, axis=2).astype(np.uint8).tobytes()
    info = struct.pack("<IiiHHIIiiII", header, 64, 48, 1, bits, 0, len(rows), 0, 0, used, 0)[:header]
    start = 14 + header + palette.size
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + palette.tobytes() + rows


def colours(count: int) -> NDArray[np.uint8]:
    """The motif's four colours as a BMP's palette, repeated."""
    first = motif()[[0, 0, -1, -1], [0, -1, 0, -1]][:, ::-1]
    return np.resize(np.pad(first, ((0, 0), (0, 1))), (count, 4)).astype(np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        paletted(2, colours(4), 0),
        paletted(8, colours(300), 300),
        paletted(8, colours(252), 305_402_420),
        paletted(8, colours(256), 0, 16),
    ],
)
def test_palettes_of_a_bmp(data: bytes) -> None:
    np.testing.assert_array_equal(read_by_both(data).frames[0].pixels, motif())


def test_a_bmp_with_an_index_beyond_its_palette_or_without_its_last_rows_is_refused() -> None:
    for data in (paletted(2, colours(3), 3), paletted(2, colours(4), 0)[:-40]):
        with pytest.raises(Undecodable):
            decode(data)


def test_texts_of_a_png_hide_no_picture() -> None:
    long = zlib.compress(b" " * 2_000_000)
    data = encoded(PIXELS, "PNG")
    for unseen in (chunk(b"zTXt", b"long\0\0" + long), chunk(b"iCCP", b"name\0\1" + long)):
        np.testing.assert_array_equal(read_by_both(data[:33] + unseen + data[33:]).frames[0].pixels, PIXELS)


def test_what_of_a_gif_is_no_part_of_its_first_frame_hides_it_not() -> None:
    frames = [Image.fromarray(np.roll(motif(), shift, 1)) for shift in (0, 9)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    behind = data[:11] + b"\xff" + data[12:]  # a background colour that no palette has
    assert quadrants(read_by_both(behind).frames[0].pixels) == quadrants(motif())
