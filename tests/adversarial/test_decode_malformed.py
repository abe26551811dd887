"""Malformed files end as a picture or a typed error, in 10 s and 1.5 GB at most, and take no worker down."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from assent.core.errors import (
    AssentError,
    DecoderDied,
    DecodersDisagree,
    MediaUnsupported,
    PictureTooLarge,
    Undecodable,
)
from assent.core.values import Picture
from assent.media.decode import MAX_PIXELS, MAX_SIDE, decode
from assent.media.sandbox import OPERATOR, WALL_S, Decoder
from assent.media.views import OUTPUT_SIDE
from tests.adversarial.generate import heavy, made_by_hand, malformed, valid
from tests.fixtures.figures import Figure

TYPED = (MediaUnsupported, PictureTooLarge, Undecodable, DecodersDisagree, DecoderDied)
MAX_RSS = 1_500_000_000
FILES, MANY, SEED = 400, 20_000, 20261123

# What the header claims ends these before a pixel of them is decoded.
TOO_LARGE = {
    *("png, beyond the sides", "png, two headers", "gif, 65,535 pixels a side", "gif, a frame outside its screen"),
    *("jpeg, 65,500 pixels a side", "jpeg, beyond the limit by a pixel", "webp, a canvas of 16 million a side"),
    *("tiff, 400 MP", "tiff, a side of 4,294,967,295", "bmp, 400 MP", "bmp, upside down by 2³¹"),
}


def run(files: Iterable[tuple[str, bytes]]) -> tuple[Counter[str], float, int]:
    """How many files ended how, the longest time in seconds, and the largest resident size of a child in bytes."""
    ends: Counter[str] = Counter()
    longest, peak = 0.0, 0
    ended_before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with Decoder() as decoder:
        for name, data in files:
            start = time.monotonic()
            try:
                picture = decoder.decode(data)
            except TYPED as error:
                end = type(error).__name__
            else:
                end = "picture"
                assert is_sound(picture), name
            assert (end == "PictureTooLarge") >= (name in TOO_LARGE), (name, end)
            ends[end] += 1
            longest = max(longest, time.monotonic() - start)
            peak = max(peak, largest(decoder))
        np.testing.assert_array_equal(  # after all that it still decodes what is sound
            decoder.decode(valid()["png"]).frames[0].pixels, decode(valid()["png"]).frames[0].pixels
        )
    ended_after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # in KiB, of the largest that ended
    return ends, longest, max(peak, ended_after * 1024 if ended_after > ended_before else 0)


def is_sound(picture: Picture) -> bool:
    return (
        max(picture.width, picture.height) <= MAX_SIDE
        and picture.width * picture.height <= MAX_PIXELS
        and all(max(frame.pixels.shape) <= OUTPUT_SIDE for frame in picture.frames)
    )


def largest(decoder: Decoder) -> int:
    """The most that the running decode child was ever resident with, in bytes."""
    child = decoder._children.get(OPERATOR)
    with suppress(FileNotFoundError, StopIteration):  # none runs, or it has just ended
        lines = Path(f"/proc/{child.pid if child else 0}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return 0


def judge(figure: Figure, ran: tuple[Counter[str], float, int]) -> None:
    ends, longest, peak = ran
    said = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    figure(f"malformed files: {ends.total()} cases, 0 worker crashes ({said}); largest child {peak / 1e6:.0f} MB")
    assert longest < WALL_S + 1.0  # and the time to start another child
    assert 0 < peak < MAX_RSS


def test_malformed_files_end_typed(figure: Figure) -> None:
    judge(figure, run(chain(made_by_hand(), malformed(FILES, SEED))))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_malformed_files_end_typed(figure: Figure) -> None:
    judge(figure, run(chain(heavy(), made_by_hand(), malformed(MANY, SEED + 1))))


@pytest.mark.parametrize("name", sorted(valid()))
def test_what_the_generator_begins_with_is_sound(name: str) -> None:
    assert isinstance(decode(valid()[name]).frames, tuple)


def test_the_generator_makes_the_same_files_again() -> None:
    assert list(malformed(200, SEED)) == list(malformed(200, SEED))
    assert list(malformed(200, SEED)) != list(malformed(200, SEED + 1))


def test_every_kind_of_end_is_an_error_with_a_code() -> None:
    assert all(issubclass(error, AssentError) and not error.retryable for error in TYPED)
