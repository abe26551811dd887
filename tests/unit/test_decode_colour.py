"""A picture's colour profile is applied, so that the networks see the colours that people see."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from statistics import median

import numpy as np
import pytest
from PIL import Image, ImageCms

from assent.media.colour import SAME, to_srgb
from assent.media.decode import decode
from assent.media.sandbox import Decoder
from tests.unit.perceive_photos import photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def wide_gamut() -> bytes:
    """An RGB profile with Display P3's primaries and sRGB's curve, written by hand (ICC.1:2010, matrix and curves)."""

    def s15(*values: float) -> bytes:
        return b"".join(round(value * 65_536).to_bytes(4, "big", signed=True) for value in values)

    xyz = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.96420, 1.0, 0.82491),
    }
    curve = b"para\0\0\0\0\0\x03\0\0" + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    words = b"desc\0\0\0\0\0\0\0\x03P3\0" + bytes(79)
    parts = {name: b"XYZ \0\0\0\0" + s15(*value) for name, value in xyz.items()}
    parts |= {b"desc": words, b"cprt": b"text\0\0\0\0none\0", b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    at, table, body = 128 + 4 + 12 * len(parts), b"", b""
    for name, data in parts.items():
        padded = data + bytes(-len(data) % 4)
        table += name + (at + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += padded
    rest = len(parts).to_bytes(4, "big") + table + body
    head = (128 + len(rest)).to_bytes(4, "big") + b"\0\0\0\0\x04\0\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return head + s15(0.9642, 1.0, 0.82491) + bytes(48) + rest


P3 = wide_gamut()


def saved(profile: bytes | None, colour: tuple[int, int, int] = (200, 60, 60), kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (32, 24), colour).save(out, kind, icc_profile=profile, quality=95)
    return out.getvalue()


def middle(data: bytes) -> list[int]:
    with Decoder() as decoder:
        return [int(value) for value in decoder.decode(data).frames[0].pixels[12, 16]]


def test_a_wide_colour_becomes_the_srgb_colour_that_looks_alike() -> None:
    theirs = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), (200, 60, 60)), ImageCms.ImageCmsProfile(BytesIO(P3)), ImageCms.createProfile("sRGB")
    )
    assert theirs is not None
    expected = [int(value) for value in np.asarray(theirs)[0, 0]]
    assert expected[0] > 210  # redder than the numbers say
    assert middle(saved(P3)) == expected
    assert middle(saved(P3, kind="WEBP")) == pytest.approx(expected, abs=6)


@pytest.mark.parametrize("profile", [None, SRGB, b"broken", P3[:200], SRGB[:16] + b"CMYK" + SRGB[20:]])
def test_without_a_usable_profile_or_with_srgb_nothing_changes(profile: bytes | None) -> None:
    assert middle(saved(profile)) == [200, 60, 60]


def test_a_grey_picture_keeps_its_grey() -> None:
    out = BytesIO()
    Image.new("L", (32, 24), 90).save(out, "PNG")
    assert middle(out.getvalue()) == [90, 90, 90]


def test_a_photo_saved_in_a_wide_profile_comes_back_as_it_was() -> None:
    image = Image.fromarray(photo("astronaut.png"))
    wide = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(BytesIO(P3)))
    assert wide is not None
    out = BytesIO()
    wide.save(out, "PNG", icc_profile=P3)
    decoded = decode(out.getvalue())
    before = np.abs(decoded.frames[0].pixels.astype(int) - photo("astronaut.png"))
    after = np.abs(to_srgb(decoded).frames[0].pixels.astype(int) - photo("astronaut.png"))
    assert before.mean() > 3
    assert after.mean() < 0.5


def test_srgb_costs_next_to_nothing() -> None:
    out = BytesIO()
    Image.fromarray(np.tile(photo("astronaut.png"), (4, 4, 1))).save(out, "JPEG", icc_profile=SRGB)
    decoded = decode(out.getvalue())
    assert decoded.profile
    to_srgb(decoded)
    checked = median(_seconds(lambda: to_srgb(decoded)) for _ in range(9))
    read = median(_seconds(lambda: decode(out.getvalue())) for _ in range(3))
    assert checked < 0.02 * read
    assert SAME < 3


def _seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
