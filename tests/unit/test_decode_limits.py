"""Size is judged by the header, before any pixel is decoded; what passes comes out at most 4,096 pixels a side."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from assent.core.errors import PictureTooLarge, Undecodable
from assent.media.decode import decode
from tests.unit.picture_files import encoded, heic, motif, quadrants


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no valid pixels: getting as far as these would be Undecodable."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"none") + chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int) -> bytes:
    """A GIF whose frames are one pixel each on a screen of the claimed size."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * frames + b"\x3b"


@pytest.mark.parametrize(
    ("width", "height"), [(12_001, 1), (1, 12_001), (7_072, 7_072), (12_000, 12_000), (2**31 - 1, 9)]
)
def test_a_claim_beyond_the_limits_is_refused_before_pixels(width: int, height: int) -> None:
    with pytest.raises(PictureTooLarge):
        decode(png(width, height))


@pytest.mark.parametrize(("width", "height"), [(12_000, 1), (1, 12_000), (7_071, 7_071)])
def test_a_claim_within_the_limits_is_tried(width: int, height: int) -> None:
    with pytest.raises(Undecodable):
        decode(png(width, height))


@pytest.mark.parametrize("name", ["JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_every_format_is_gated(name: str) -> None:
    with pytest.raises(PictureTooLarge):
        decode(encoded(np.zeros((1, 12_100, 3), np.uint8), name))


def claiming(width: int, height: int) -> bytes:
    """A HEIC file of 64 × 64 pixels that claims that size, and not to be cropped (ISO 14496-12: ispe, clap)."""
    data = bytearray(heic(1))
    size, crop = data.index(b"ispe") + 8, data.index(b"clap") + 4
    data[size : size + 8] = struct.pack(">2I", width, height)
    data[crop : crop + 32] = struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1)
    return bytes(data)


@pytest.mark.parametrize(("width", "height"), [(13_000, 64), (12_001, 64), (64, 12_001), (7_072, 7_072)])
def test_heic_is_gated(width: int, height: int) -> None:
    assert (decode(claiming(64, 64)).width, decode(claiming(64, 64)).height) == (64, 64)
    with pytest.raises(PictureTooLarge, match=f"{width} × {height} pixels"):
        decode(claiming(width, height))


@pytest.mark.parametrize(("width", "height"), [(12_000, 64), (7_071, 7_071)])
def test_a_heic_claim_within_the_limits_is_tried(width: int, height: int) -> None:
    with pytest.raises(Undecodable):
        decode(claiming(width, height))


def test_three_large_frames_are_too_much_together() -> None:
    with pytest.raises(PictureTooLarge, match="frames"):
        decode(gif(5_800, 5_800, 3))


def test_two_of_them_are_not() -> None:
    picture = decode(gif(5_800, 5_800, 2))
    assert [frame.pixels.shape for frame in picture.frames] == [(4096, 4096, 3)]  # both show the same
    assert picture.frames[0].scale == 4096 / 5800


@pytest.mark.parametrize(
    ("name", "size", "shape"), [("JPEG", (9000, 4500), (2048, 4096, 3)), ("PNG", (3000, 6000), (4096, 2048, 3))]
)
def test_a_large_picture_is_shrunk_and_says_by_how_much(
    name: str, size: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    picture = decode(encoded(motif(*size), name))
    frame = picture.frames[0]
    assert (picture.width, picture.height) == size
    assert frame.pixels.shape == shape
    assert frame.scale == 4096 / max(size)
    assert quadrants(frame.pixels) == quadrants(motif())


def test_a_picture_of_4096_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4096, 3), np.uint8)
    frame = decode(encoded(pixels, "PNG")).frames[0]
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.scale == 1.0
