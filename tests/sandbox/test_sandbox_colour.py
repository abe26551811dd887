"""Pictures leave the decode child in sRGB."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from assent.media.sandbox import Decoder
from tests.unit.picture_files import wide_gamut

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(profile: bytes | None, colour: tuple[int, int, int] = (200, 60, 60), kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (32, 24), colour).save(out, kind, icc_profile=profile, quality=95)
    return out.getvalue()


def middle(decoder: Decoder, data: bytes) -> list[int]:
    return [int(value) for value in decoder.decode(data).frames[0].pixels[12, 16]]


def test_a_wide_colour_becomes_the_srgb_colour_that_looks_alike(decoder: Decoder) -> None:
    theirs = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), (200, 60, 60)),
        ImageCms.ImageCmsProfile(BytesIO(wide_gamut())),
        ImageCms.createProfile("sRGB"),
    )
    assert theirs is not None
    expected = [int(value) for value in np.asarray(theirs)[0, 0]]
    assert expected[0] > 210  # redder than the numbers say
    assert middle(decoder, saved(wide_gamut())) == expected
    assert middle(decoder, saved(wide_gamut(), kind="WEBP")) == pytest.approx(expected, abs=6)


@pytest.mark.parametrize("profile", [None, SRGB, b"broken", wide_gamut()[:200], SRGB[:16] + b"CMYK" + SRGB[20:]])
def test_without_a_usable_profile_or_with_srgb_nothing_changes(decoder: Decoder, profile: bytes | None) -> None:
    assert middle(decoder, saved(profile)) == [200, 60, 60]


def test_a_grey_picture_keeps_its_grey(decoder: Decoder) -> None:
    out = BytesIO()
    Image.new("L", (32, 24), 90).save(out, "PNG")
    assert middle(decoder, out.getvalue()) == [90, 90, 90]
