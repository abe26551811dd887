"""A file that is not whole is never shown as if it were; one that is none of ours is told apart from a broken one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from assent.core.errors import MediaUnsupported, Undecodable
from assent.media.decode import decode
from tests.unit.picture_files import encoded, samples, saved

NOISE = np.random.default_rng(7).integers(0, 256, (60, 80, 3), np.uint8)
ISO_VIDEO = b"\x00\x00\x00\x1cftypisom\x00\x00\x02\x00isomiso2mp41"


def noisy(name: str) -> bytes:
    return samples()["heic"] if name == "heic" else encoded(NOISE, name.upper())


@pytest.mark.parametrize("name", sorted(samples()))
def test_a_file_cut_short_is_whole_or_refused(name: str) -> None:
    """Every cut ends in Undecodable or, where only a trailer went, in the very same pixels; never in half a picture."""
    data = noisy(name)
    whole = decode(data).frames[0].pixels
    refused = 0
    for size in sorted({16, 40, *(len(data) * part // 12 for part in range(1, 12)), *range(len(data) - 12, len(data))}):
        try:
            cut = decode(data[:size]).frames[0].pixels
        except Undecodable:
            refused += 1
        else:
            np.testing.assert_array_equal(cut, whole, f"{name} cut to {size} of {len(data)}")
    assert refused >= 11


@pytest.mark.parametrize("pillow_format", ["GIF", "WEBP", "AVIF", "TIFF", "PNG"])
def test_an_animation_cut_short_is_refused(pillow_format: str) -> None:
    frames = [Image.fromarray(np.roll(NOISE, shift)) for shift in range(0, 50, 10)]
    data = saved(frames[0], pillow_format, save_all=True, append_images=frames[1:], duration=50)
    assert len(decode(data).frames) == 5
    for part in range(1, 10):
        with pytest.raises(Undecodable):
            decode(data[: len(data) * part // 10])


def test_a_progressive_jpeg_cut_short_is_refused() -> None:
    data = encoded(NOISE, "JPEG", progressive=True)
    for part in range(1, 10):
        with pytest.raises(Undecodable):
            decode(data[: len(data) * part // 10])


@pytest.mark.parametrize("name", sorted(samples()))
def test_bytes_after_the_end_are_ignored(name: str) -> None:
    data = samples()[name]
    np.testing.assert_array_equal(decode(data + b"<?php tail ?>" * 9).frames[0].pixels, decode(data).frames[0].pixels)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"P6 1 1 255\n\x00\x00\x00",
        b"\x00\x00\x01\x00\x01\x00\x10\x10",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        b"8BPS\x00\x01",
        b"RIFF\x24\x00\x00\x00WAVE",
        ISO_VIDEO,
    ],
    ids=["nothing", "text", "svg", "pdf", "eps", "ppm", "ico", "jpeg2000", "psd", "wav", "mp4"],
)
def test_anything_but_the_eight_formats_is_unsupported(data: bytes) -> None:
    with pytest.raises(MediaUnsupported):
        decode(data)


def test_a_name_of_a_format_is_not_yet_a_picture() -> None:
    for data in samples().values():
        with pytest.raises(Undecodable):
            decode(data[:12] + bytes(50))
