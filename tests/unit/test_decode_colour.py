"""A picture's colour profile is applied, so that the networks see the colours that people see."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import psutil
from PIL import Image, ImageCms

from assent.media.colour import SAME, to_srgb
from assent.media.decode import Decoded, decode
from tests.unit.perceive_photos import photo
from tests.unit.picture_files import wide_gamut

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_a_photo_saved_in_a_wide_profile_comes_back_as_it_was() -> None:
    image = Image.fromarray(photo("astronaut.png"))
    wide = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(BytesIO(wide_gamut()))
    )
    assert wide is not None
    out = BytesIO()
    wide.save(out, "PNG", icc_profile=wide_gamut())
    decoded = decode(out.getvalue())
    before = np.abs(decoded.frames[0].pixels.astype(int) - photo("astronaut.png"))
    after = np.abs(to_srgb(decoded).frames[0].pixels.astype(int) - photo("astronaut.png"))
    assert before.mean() > 3
    assert after.mean() < 0.5


def test_a_picture_in_srgb_is_left_as_it_is() -> None:
    out = BytesIO()
    Image.fromarray(np.tile(photo("astronaut.png"), (4, 4, 1))).save(out, "JPEG", icc_profile=SRGB)
    decoded = decode(out.getvalue())
    assert decoded.profile
    assert to_srgb(decoded) is decoded
    assert SAME < 3


def test_no_profile_outlives_its_picture() -> None:
    before = psutil.Process().memory_info().rss
    for n in range(12):
        profile = wide_gamut() + bytes([n]) + bytes(4_000_000)
        assert to_srgb(Decoded("png", 1, 1, 1, (), 1, profile)).profile is None
    assert psutil.Process().memory_info().rss - before < 30_000_000
