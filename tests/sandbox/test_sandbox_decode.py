"""What comes back from the decode child is what decoding in the process itself gives, in memory nobody can change."""

from __future__ import annotations

import fcntl
import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assent.core.errors import (
    AssentError,
    DecoderDied,
    DecodersDisagree,
    MediaUnsupported,
    PictureTooLarge,
    Undecodable,
)
from assent.media.decode import decode
from assent.media.sandbox import Decoder
from tests.unit.picture_files import encoded, motif, samples, saved

NOISE = np.random.default_rng(7).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.mark.parametrize("name", sorted(samples()))
def test_every_format_comes_through_unchanged(decoder: Decoder, name: str) -> None:
    data = samples()[name]
    there, here = decoder.decode(data), decode(data)
    assert there.sha256 == hashlib.sha256(data).hexdigest()
    assert (there.format, there.width, there.height) == (here.format, here.width, here.height)
    np.testing.assert_array_equal(there.frames[0].pixels, here.frames[0].pixels)


def test_several_frames_come_through_unchanged(decoder: Decoder) -> None:
    frames = [Image.fromarray(np.roll(motif(5000, 30), shift)) for shift in range(0, 5000, 900)]
    data = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    there, here = decoder.decode(data), decode(data)
    assert there.frame_count == here.frame_count == 6
    for seen, wanted in zip(there.frames, here.frames, strict=True):
        assert (seen.index, seen.scale) == (wanted.index, wanted.scale)
        np.testing.assert_array_equal(seen.pixels, wanted.pixels)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", MediaUnsupported),
        (b"%PDF-1.7", MediaUnsupported),
        (samples()["jpeg"][:-40], Undecodable),
        (encoded(np.zeros((1, 12_100, 3), np.uint8), "PNG"), PictureTooLarge),
    ],
)
def test_the_childs_errors_are_raised_here(decoder: Decoder, data: bytes, error: type[AssentError]) -> None:
    with pytest.raises(error) as here:
        decode(data)
    with pytest.raises(error) as there:
        decoder.decode(data)
    assert there.value.detail == here.value.detail


def test_pixels_are_read_only_and_sealed(decoder: Decoder) -> None:
    assert pixel_descriptors() == []
    pixels = decoder.decode(samples()["png"]).frames[0].pixels
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0] = 0
    (kept,) = pixel_descriptors()
    seals = fcntl.fcntl(kept, fcntl.F_GET_SEALS)
    assert seals == fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    del pixels
    assert pixel_descriptors() == []


def pixel_descriptors() -> list[int]:
    """This process's open descriptors of decoded pixels."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]  # not that of the listing itself
    return [int(link.name) for link in links if "assent-pixels" in str(link.readlink())]


def test_pixels_outlive_the_decoder() -> None:
    with Decoder() as decoder:
        pixels = decoder.decode(samples()["png"]).frames[0].pixels
    np.testing.assert_array_equal(pixels, motif())


def test_threads_share_one_child(decoder: Decoder) -> None:
    files = [encoded(np.full((20 + i, 30, 3), i, np.uint8), "PNG") for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(decoder.decode, files))
    for i, picture in enumerate(pictures):
        assert picture.frames[0].pixels.shape == (20 + i, 30, 3)
        assert (picture.frames[0].pixels == i).all()


@pytest.mark.parametrize("name", sorted(samples()))
def test_spoiled_files_end_typed(decoder: Decoder, name: str) -> None:
    """Most decode to something or are refused; a few crash a C decoder (pi_heif 1.4 does), which is DecoderDied."""
    data = samples()[name] if name == "heic" else encoded(NOISE, name.upper())
    rng, refused = random.Random(name), 0
    for _ in range(100):
        spoiled = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            spoiled[rng.randrange(min(len(spoiled), 600))] = rng.randrange(256)
        try:
            picture = decoder.decode(bytes(spoiled))
        except (MediaUnsupported, PictureTooLarge, Undecodable, DecodersDisagree, DecoderDied):
            refused += 1
            continue
        assert all(max(frame.pixels.shape) <= 4096 for frame in picture.frames)
    assert refused > 0
    np.testing.assert_array_equal(decoder.decode(data).frames[0].pixels, decode(data).frames[0].pixels)
