"""A file that two decoders read as two pictures is never clean; sound files are read alike."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from assent.core.errors import DecodersDisagree
from assent.media import compare
from assent.media.compare import NOT_COMPARED, TOLERANCE, confirm, difference
from assent.media.decode import decode
from assent.media.sandbox import Decoder
from tests.adversarial.generate import bomb, chunk, gif_of, png, valid
from tests.fixtures.figures import Figure
from tests.installed import package_file
from tests.unit.picture_files import bmp, encoded, motif, orientation, saved

NOISE = np.random.default_rng(20261123).integers(0, 256, (72, 96, 3), np.uint8)
PHOTO = Image.fromarray(NOISE).filter(ImageFilter.GaussianBlur(3))


def apart(data: bytes) -> float:
    """How far the two decoders' pictures are apart; 255 where the second finds none."""
    decoded = decode(data)
    second = compare._second(data, decoded)
    return 255.0 if second is None else difference(compare._first(decoded), second)


def photos() -> Iterator[Path]:
    """The photographs that installed packages carry, in formats that are compared."""
    for package, folder in (("skimage", "data"), ("insightface", "data/images")):
        for file in sorted(package_file(package, folder).iterdir()):
            if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}:
                yield file


def test_photographs_are_read_alike(figure: Figure) -> None:
    off = {file.name: apart(file.read_bytes()) for file in photos()}
    figure(f"{len(off)} photographs, two decoders: at most {max(off.values()):.1f} of 255 apart")
    assert len(off) >= 30
    assert max(off.values()) < TOLERANCE / 4


def bmp_555(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """A BMP of 5 bits a colour, which decoders widen in two ways."""
    height, width, _ = pixels.shape
    red, green, blue = (pixels[::-1, :, band].astype("<u2") >> 3 for band in range(3))
    rows = (red << 10 | green << 5 | blue).astype("<u2").tobytes()
    return bmp(width, height, 16, 0, b"", rows)


def sound() -> Iterator[tuple[str, bytes]]:
    yield from valid().items()
    for value, name in product(range(1, 9), ("JPEG", "PNG", "WEBP", "AVIF")):
        yield f"{name} turned {value}", saved(PHOTO, name, exif=orientation(value))
    for size in ((1, 1), (9, 7), (63, 65), (3000, 2), (2, 3000), (1501, 1103), (6001, 4153)):
        yield f"JPEG {size}", saved(PHOTO.resize(size), "JPEG")
    yield "JPEG, CMYK, large", saved(PHOTO.resize((2000, 1500)).convert("CMYK"), "JPEG")
    yield "JPEG, not YCbCr", saved(PHOTO, "JPEG", keep_rgb=True)
    yield "JPEG of noise", encoded(np.tile(NOISE, (12, 12, 1)), "JPEG", quality=5)
    yield "PNG 5000 × 5", saved(PHOTO.resize((5000, 5)), "PNG")
    yield "PNG, a colour that is clear", saved(PHOTO, "PNG", transparency=tuple(NOISE[0, 0].tolist()))
    yield "GIF, clear parts", saved(PHOTO.convert("P"), "GIF", transparency=7)
    yield "BMP, white, 5 bits", bmp_555(np.full((72, 96, 3), 255, np.uint8))
    yield "BMP, 5 bits", bmp_555(np.asarray(PHOTO))


def test_sound_files_of_every_kind_are_read_alike(figure: Figure) -> None:
    compared = {name: data for name, data in sound() if decode(data).format not in NOT_COMPARED}
    off = {name: apart(data) for name, data in compared.items()}
    worst = max(off, key=lambda name: off[name])
    figure(f"{len(off)} sound files, two decoders: at most {off[worst]:.1f} of 255 apart ({worst})")
    assert off[worst] < TOLERANCE


def two_faced() -> dict[str, bytes]:
    """Files that Pillow reads without complaint and another program reads otherwise."""
    rows = np.dstack([np.asarray(PHOTO)[::-1, :, ::-1], np.zeros((72, 96), np.uint8)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    still, one, two = (Image.fromarray(pixels) for pixels in (motif(), motif()[::-1], motif()[:, ::-1]))
    moving = saved(still, "PNG", save_all=True, append_images=[one, two], default_image=True, duration=50)
    body = bomb(8 * 25)
    return {
        "an APNG whose still picture is not in its animation": moving,
        "a BMP whose fourth byte is alpha or is not": bmp(96, 72, 32, 3, masks, rows, 56),
        "a GIF of impossible code size": gif_of(8, 8, 1).replace(b"\x02\x02\x44\x01", b"\x00\x02\x44\x01"),
        "a PNG with a critical chunk of somebody's own": png(
            chunk(b"CgBI", b""), chunk(b"IDAT", body), chunk(b"IEND", b"")
        ),
        "a PNG without its end": png(chunk(b"IDAT", body)),
    }


@pytest.mark.parametrize("name", two_faced())
def test_two_faced_files_go_to_review(name: str) -> None:
    data = two_faced()[name]
    assert decode(data).frames  # one decoder alone would call it a picture
    with Decoder() as decoder, pytest.raises(DecodersDisagree):
        decoder.decode(data)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP"])
@pytest.mark.parametrize("value", [1, 6])
def test_another_picture_in_an_eighth_of_the_frame_is_seen(name: str, value: int) -> None:
    """Were the first decoder made to show something else in one place, the second would contradict it."""
    pixels = motif(400, 320)
    data = encoded(pixels, name) if name in {"GIF", "BMP"} else encoded(pixels, name, exif=orientation(value))
    honest = decode(data)
    confirm(data, honest)
    altered = honest.stored.copy()
    altered[: len(altered) // 8, : altered.shape[1] // 8] = 128
    with pytest.raises(DecodersDisagree, match="apart"):
        confirm(data, replace(honest, stored=altered))
