"""A picture's declared colours are applied, so that the networks see the colours that people see."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import psutil
import pytest
from PIL import Image, ImageCms

from assent.core.errors import DecodersDisagree
from assent.media.colour import conversion
from assent.media.declared_colour import LARGEST_PROFILE
from assent.media.decode import decode
from tests.adversarial.declared import gama, gamma_curve, grey_profile, iccp, png_file, table_profile, wide
from tests.adversarial.generate import chunk
from tests.unit.perceive_photos import photo
from tests.unit.picture_files import saved, wide_gamut

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))


def test_a_photo_saved_in_a_wide_profile_comes_back_as_it_was() -> None:
    image = Image.fromarray(photo("astronaut.png"))
    wide_image = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(BytesIO(wide_gamut()))
    )
    assert wide_image is not None
    decoded = decode(saved(wide_image, "PNG", icc_profile=wide_gamut()))
    before = np.abs(decoded.stored.astype(int) - photo("astronaut.png"))
    after = np.abs(decoded.frames[0].pixels.astype(int) - photo("astronaut.png"))
    assert before.mean() > 3
    assert after.mean() < 0.5


def test_a_picture_in_srgb_is_left_as_it_is() -> None:
    assert conversion(SRGB, "RGB", exact=True, clear=False) is None
    decoded = decode(saved(Image.fromarray(photo("astronaut.png")), "JPEG", icc_profile=SRGB))
    assert decoded.frames[0].pixels is decoded.stored


def test_a_photo_that_its_numbers_hide_is_seen() -> None:
    """As white as paper by its numbers, a browser shows it by its gAMA: value ** 200, as 8 bits of sRGB."""
    hidden = (np.maximum(RAMP / 255, 1e-9) ** (1 / 90) * 255).round().astype(np.uint8)
    seen = decode(png_file(hidden, 0, 8, gama(500))).frames[0].pixels[0, :, 0].astype(int)
    light = (hidden[0] / 255) ** 200
    wanted = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert hidden[0, 64:].min() > 250
    assert np.abs(seen - wanted).max() <= 1
    assert seen[64] < 60


def test_the_same_in_a_file_of_sixteen_bits_goes_to_review() -> None:
    """What 8 of its bits round away would decide what is seen."""
    with pytest.raises(DecodersDisagree, match="steep"):
        decode(png_file(wide(RAMP), 0, 16, gama(500)))


def test_a_grey_profile_is_applied_before_alpha() -> None:
    data = png_file(np.dstack([RAMP, np.full_like(RAMP, 128)]), 4, 8, iccp(grey_profile(gamma_curve(1))))
    (over_white,), (over_black,) = decode(data).frames, decode(data).over_black
    linear = RAMP[0] / 255
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(over_black.pixels[0, :, 0] - encoded * 128 / 255).max() <= 5
    assert np.abs(over_white.pixels[0, :, 0] - (encoded * 128 / 255 + 127)).max() <= 5


def test_alpha_is_looked_at_over_white_and_over_black() -> None:
    white = np.full_like(RAMP, 255)
    decoded = decode(png_file(np.dstack([white, white, white, RAMP]), 6, 8))
    assert (decoded.frames[0].pixels == 255).all()
    assert (decoded.over_black[0].pixels[..., 0] == RAMP).all()
    nearly = decode(png_file(np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 252)]), 6, 8))
    assert nearly.over_black == ()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_colour_key_of_grey_is_clear(depth: int) -> None:
    most = (1 << depth) - 1
    samples = np.full((8, 8), most, np.uint16)
    samples[:, 4:] = most // 2
    key = chunk(b"tRNS", int(most // 2).to_bytes(2, "big"))
    decoded = decode(png_file(samples, 0, depth, key))
    assert (decoded.frames[0].pixels == 255).all()
    assert (decoded.over_black[0].pixels[0, :, 0] == [255] * 4 + [0] * 4).all()


def test_a_colour_key_of_sixteen_bits_is_compared_in_all_of_them() -> None:
    samples = np.full((8, 8, 3), 0x8034, np.uint16)
    samples[:, 4:] = 0x8012
    decoded = decode(png_file(samples, 2, 16, chunk(b"tRNS", b"\x80\x12" * 3)))
    assert (decoded.frames[0].pixels[0, :, 1] == [0x80] * 4 + [255] * 4).all()


def test_no_profile_outlives_its_picture() -> None:
    before = psutil.Process().memory_info().rss
    for n in range(12):
        profile = wide_gamut() + bytes([n]) + bytes(LARGEST_PROFILE)
        assert conversion(profile, "RGB", exact=True, clear=False)
    assert psutil.Process().memory_info().rss - before < 30_000_000


def test_a_profile_is_bounded() -> None:
    large = wide_gamut() + bytes(LARGEST_PROFILE)
    with pytest.raises(DecodersDisagree, match="profile of"):
        decode(saved(Image.fromarray(photo("astronaut.png")), "JPEG", icc_profile=large))


def test_a_table_that_littlecms_resamples_into_another_picture_goes_to_review() -> None:
    """Black and white by turns at 60 points: what it shows lies between the 33 points of a resampled table."""
    stripes = table_profile(b"RGB ", lambda rgb: np.round(rgb[:, :1] * 59) % 2 * [[100.0, 0, 0]], 60)
    with pytest.raises(DecodersDisagree):
        decode(saved(Image.fromarray(photo("astronaut.png")), "JPEG", icc_profile=stripes))
