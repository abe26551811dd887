"""Whatever way a file stores its colours, the pixels come out as the RGB that a viewer shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from assent.core.values import Pixels
from assent.media.decode import decode
from tests.unit.picture_files import encoded, motif, samples, saved

RAMP = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (16, 1))


def pixels(data: bytes) -> Pixels:
    return decode(data).frames[0].pixels


def off(seen: Pixels, wanted: Pixels) -> int:
    return int(np.abs(seen.astype(int) - wanted.astype(int)).max())


@pytest.mark.parametrize("name", sorted(samples()))
def test_the_motif_in_every_format(name: str) -> None:
    picture = decode(samples()[name])
    frame = picture.frames[0]
    assert (picture.format, picture.width, picture.height, picture.frame_count) == (name, 64, 48, 1)
    assert (frame.index, frame.scale, str(frame.pixels.dtype), frame.pixels.shape) == (0, 1.0, "uint8", (48, 64, 3))
    inner = np.r_[4:20, 28:44][:, None], np.r_[4:28, 36:60]  # away from the edges, which lossy codecs smear
    assert off(frame.pixels[inner], motif()[inner]) <= (0 if name in {"png", "bmp", "tiff", "gif"} else 8)


@pytest.mark.parametrize("pillow_format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_alpha_is_laid_over_white(pillow_format: str) -> None:
    rgba = np.zeros((16, 32, 4), np.uint8)
    rgba[:, 16:] = (0, 0, 200, 128)
    options: dict[str, object] = {"lossless": True} if pillow_format == "WEBP" else {}
    if pillow_format == "AVIF":
        options = {"quality": 100, "subsampling": "4:4:4"}
    seen = pixels(saved(Image.fromarray(rgba), pillow_format, **options))
    assert off(seen[8, 4], np.array([255, 255, 255], np.uint8)) <= 2
    assert off(seen[8, 28], np.array([127, 127, 227], np.uint8)) <= 3


def test_grey_with_alpha_is_laid_over_white() -> None:
    seen = pixels(saved(Image.fromarray(np.dstack([RAMP, np.zeros_like(RAMP)]), "LA"), "PNG"))
    assert (seen == 255).all()


def test_a_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30, 200, 100, 50])
    image.paste(2, (4, 0, 8, 8))
    for pillow_format in ("PNG", "GIF"):
        seen = pixels(saved(image, pillow_format, transparency=1))
        assert seen[0, 0].tolist() == [255, 255, 255]
        assert seen[0, 7].tolist() == [200, 100, 50]


def test_a_transparent_colour_key_is_white() -> None:
    seen = pixels(encoded(motif(), "PNG", transparency=(220, 30, 30)))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[0, 63].tolist() == [30, 200, 40]


@pytest.mark.parametrize("pillow_format", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit(pillow_format: str) -> None:
    bits = np.indices((16, 16)).sum(axis=0) % 2 == 0
    seen = pixels(saved(Image.fromarray(bits), pillow_format))
    np.testing.assert_array_equal(seen, np.repeat(np.where(bits, 255, 0)[..., None], 3, 2))


@pytest.mark.parametrize("pillow_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(pillow_format: str) -> None:
    deep = RAMP.astype(np.uint16) * 257
    seen = pixels(saved(Image.fromarray(deep), pillow_format))
    np.testing.assert_array_equal(seen, np.repeat(RAMP[..., None], 3, 2))


def test_sixteen_bit_big_endian_tiff() -> None:
    image = Image.frombytes("I;16B", (64, 16), (RAMP.astype(">u2") * 257).tobytes())
    np.testing.assert_array_equal(pixels(saved(image, "TIFF"))[..., 0], RAMP)


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_tiff_is_scaled_by_its_range(top: float) -> None:
    seen = pixels(saved(Image.fromarray(RAMP.astype(np.float32) / 255 * top), "TIFF"))
    assert off(seen[..., 1], RAMP) <= 1


def test_float_tiff_beyond_any_range_and_not_a_number() -> None:
    values = RAMP.astype(np.float32) * 1e6 - 5e7
    values[0, 0], values[1, 0] = np.nan, np.inf
    seen = pixels(saved(Image.fromarray(values), "TIFF"))
    assert off(seen[8:, :, 0], RAMP[8:]) <= 1


@pytest.mark.parametrize("top", [255, 65535, 2**30])
def test_integer_tiff_is_scaled_by_its_range(top: int) -> None:
    seen = pixels(saved(Image.fromarray((RAMP.astype(np.float64) / 255 * top).astype(np.int32)), "TIFF"))
    assert off(seen[..., 2], RAMP) <= 1


def test_cmyk_jpeg_as_adobe_stores_it() -> None:
    """Adobe stores CMYK inverted; read plainly, the picture is its own negative."""
    cmyk = Image.fromarray(motif()).convert("CMYK")
    seen = pixels(saved(cmyk, "JPEG", quality=95))
    assert off(seen[8, 8], motif()[8, 8]) <= 12
    assert off(seen[40, 60], motif()[40, 60]) <= 12


def test_ycck_jpeg() -> None:
    """The same samples, once their Adobe marker says YCCK (transform 2): Y Cb Cr give inverted C M Y, K stays."""
    luma, cb, cr, key = 90, 160, 100, 200
    stored = Image.new("CMYK", (16, 16), tuple(255 - v for v in (luma, cb, cr, key)))
    data = bytearray(saved(stored, "JPEG", quality=100))
    data[data.index(b"Adobe") + 11] = 2
    rgb = [luma + 1.402 * (cr - 128), luma - 0.34414 * (cb - 128) - 0.71414 * (cr - 128), luma + 1.772 * (cb - 128)]
    wanted = np.array([(255 - value) * key / 255 for value in rgb]).round().astype(np.uint8)
    assert off(pixels(bytes(data))[8, 8], wanted) <= 4


def test_cmyk_tiff_is_not_inverted() -> None:
    seen = pixels(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"))
    assert seen[4, 4].tolist() == [255, 0, 0]
