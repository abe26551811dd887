"""PDQ: the very bits of Meta's own implementation, stable under what platforms do to photos, far between photos."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from assent.core.values import Frame, Picture, Pixels
from assent.media.fingerprint import LEAST_QUALITY, fingerprinted, pdq_quality, pdqs
from tests.installed import package_file

# Hash and quality as Meta's C++ has them, through pdqhash 0.2.7 on the decoded files (RGB, full size).
META: dict[str, tuple[str, int]] = {
    "astronaut.png": ("2d6b1af3a956c529e79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724", 100),
    "camera.png": ("dc9c9d3b746978f888f40ce6e5c3f70f7266623e8d989cb99f21f2010841e1c7", 100),
    "cell.png": ("32966e6bad6952d352e92d56add6526993292c96d36955692a96aa965569512b", 100),
    "chelsea.png": ("5feb5321f01da156898e2bf629a5d3438412cdbd23f48942464526315db33ffd", 100),
    "clock_motion.png": ("26cc3ccc933373334c34d778acc94cccb326f3394c932666934cd99d25337674", 34),
    "coffee.png": ("8c629e779a663698b9a33866c026726c21a679f61eb6e1f8c79ba7e23c8299e0", 100),
    "coins.png": ("8ee552196df86aa552b514e6e505e0319aeb1aaea4a5d935dd4a675a1a56a555", 100),
    "hubble_deep_field.jpg": ("1c6715e46266634f72d42df2324ad397e70e86be9c665c59a42ec19c3369b919", 100),
    "microaneurysms.png": ("537ebc9160a955ff3f50f6b38480437ee77485036f95ac0b7d4a7397880241f8", 82),
    "moon.png": ("131645cde366d981e1e371b264d8b25b9e4d13771d8c4f366d946ca57133d0c9", 83),
    "motorcycle_left.png": ("e0c9cfdb78d358d68a58ec54e94ba55937525b67508a0b87ad64fc6b4631c470", 100),
    "page.png": ("965b26d62ed3636b192ccdddcc91d88c3925812979849815e37b1cce4732a6fb", 100),
    "retina.jpg": ("83d22b5802d238191b87b1f8bf1ad487fc0f55f8405adc011fafa8f4ebfc2a59", 100),
    "rocket.jpg": ("8792786c87937064bf1bc0e43f1fc0e03f1cc2e33da4c2537cec821b2ce4f376", 100),
    "text.png": ("f46721c01b1bd9936bb5cde6660a8a12430c6c9d25d95e47cbe2a6b89d6e6786", 100),
}
# The eight of the astronaut, in no order, from pdqhash.compute_dihedral.
ASTRONAUT_TURNED = {
    "0d6be50ca85632d6c79c5c29506f57c9d4199376c6ddfb210a2607aafc9948db",
    "2d6b1af3a956c529e79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724",
    "3da71ae2ad474287e16e98f34e29bc014c72e634d3096db69ab22b3de618d2e6",
    "3da7e51dad47bd78e16e670c4e2943fe4c7219cbf30992499ab254c2e6182d19",
    "68f24fb3701217d2a41bcda6197cc9541927b361865c38e3cfa77a68b24d87b3",
    "68f2b04cf812e82db43b32591b7c16ab19274c9ea67cc71ccfe70197b34d784c",
    "783a4fa6fc23907cb2c9f687073afd61814c39d49b88518b5f73ed00a9cce271",
    "783ab059fc236f83b2c90978073a029e814cc62b9ba8ae745f7352ffa9cc1d8e",
}
# A JPEG file decodes a little differently from one decoder's version to the next.
JPEG_BITS = 4


def image(name: str) -> Image.Image:
    return Image.open(package_file("skimage", f"data/{name}")).convert("RGB")


def pixels(name: str) -> Pixels:
    return np.asarray(image(name))


@cache
def hashes(name: str) -> tuple[bytes, ...]:
    return pdqs(pixels(name))


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


@pytest.mark.parametrize("name", META)
def test_the_bits_are_those_of_the_reference(name: str) -> None:
    theirs, its_quality = META[name]
    assert pdq_quality(pixels(name)) == its_quality
    found = hashes(name)
    if its_quality < LEAST_QUALITY:
        assert found == ()
    else:
        assert distance(found[0], bytes.fromhex(theirs)) <= (JPEG_BITS if name.endswith("jpg") else 0)


def test_all_eight_ways_a_picture_may_lie_are_those_of_the_reference() -> None:
    assert {found.hex() for found in hashes("astronaut.png")} == ASTRONAUT_TURNED


@pytest.mark.parametrize("turn", Image.Transpose)
def test_a_turned_copy_has_one_of_the_eight(turn: Image.Transpose) -> None:
    turned = pdqs(np.asarray(image("coffee.png").transpose(turn)))[0]
    assert min(distance(turned, one) for one in hashes("coffee.png")) <= 16  # samples do not lie even


PHOTOS = [name for name, (_, its_quality) in META.items() if its_quality >= LEAST_QUALITY]


def jpeg(original: Image.Image, q: int) -> Image.Image:
    out = BytesIO()
    original.save(out, "JPEG", quality=q)
    return Image.open(out).convert("RGB")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 70": lambda one: jpeg(one, 70),
    "JPEG 30": lambda one: jpeg(one, 30),
    "half the size": lambda one: one.resize((one.width // 2, one.height // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda one: one.resize((one.width * 2, one.height * 2), Image.Resampling.BICUBIC),
    "brighter": lambda one: ImageEnhance.Brightness(one).enhance(1.15),
    "grey": lambda one: one.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("change", COPIES)
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"])
def test_a_copy_of_a_photo_stays_near_it(name: str, change: str) -> None:
    copy = pdqs(np.asarray(COPIES[change](image(name))))[0]
    assert distance(copy, hashes(name)[0]) <= 31


def test_different_photos_are_far_apart_however_they_lie() -> None:
    apart = [
        min(distance(turned, hashes(other)[0]) for turned in hashes(one)) for one, other in combinations(PHOTOS, 2)
    ]
    assert len(apart) > 50
    assert min(apart) > 64


def test_a_flat_or_tiny_picture_has_no_hash() -> None:
    assert pdqs(np.full((400, 300, 3), 200, np.uint8)) == ()
    assert pdqs(np.random.default_rng(1).integers(0, 256, (4, 90, 3), np.uint8)) == ()


def test_each_frame_of_a_picture_is_hashed_and_the_first_is_said() -> None:
    flat = np.full((40, 40, 3), 9, np.uint8)
    frames = tuple(Frame(n, one, 1.0) for n, one in enumerate((pixels("astronaut.png"), flat, pixels("coffee.png"))))
    found = fingerprinted(Picture("ab" * 32, "gif", 512, 512, 3, frames))
    assert found.pdq == META["astronaut.png"][0]
    assert [len(frame.pdqs) for frame in found.frames] == [8, 0, 8]
    assert fingerprinted(Picture("ab" * 32, "gif", 40, 40, 1, frames[1:2])).pdq is None
