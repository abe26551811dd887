"""Of a file with several pictures the first, the middle and the last are looked at, as a viewer composes them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from assent.core.errors import Undecodable
from assent.media.decode import Decoded, decode
from tests.unit.picture_files import motif, quadrants, saved

COLOURS = [(20, 20, 20), (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200), (230, 230, 230)]


def animation(pillow_format: str, count: int = 7, **options: object) -> Decoded:
    frames = [Image.new("RGB", (32, 24), colour) for colour in COLOURS[:count]]
    return decode(saved(frames[0], pillow_format, save_all=True, append_images=frames[1:], duration=50, **options))


@pytest.mark.parametrize("pillow_format", ["GIF", "WEBP", "AVIF", "PNG", "TIFF"])
def test_first_middle_and_last(pillow_format: str) -> None:
    picture = animation(pillow_format)
    assert picture.frame_count == 7
    assert [frame.index for frame in picture.frames] == [0, 3, 6]
    for frame in picture.frames:
        assert np.abs(frame.pixels[12, 16].astype(int) - COLOURS[frame.index]).max() <= 6


@pytest.mark.parametrize(("count", "indices"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 2, 3])])
def test_of_few_frames_each_at_most_once(count: int, indices: list[int]) -> None:
    assert [frame.index for frame in animation("TIFF", count).frames] == indices


def test_a_partial_gif_frame_is_composed_over_the_one_before() -> None:
    """Pillow's writer stores only the rectangle that changed; the rest must come from the frames before."""
    first = Image.fromarray(motif())
    second = first.copy()
    second.paste((0, 0, 0), (40, 30, 44, 34))
    data = saved(first, "GIF", save_all=True, append_images=[second], duration=50)
    picture = decode(data)
    assert quadrants(picture.frames[1].pixels) == quadrants(motif())
    assert picture.frames[1].pixels[32, 42].max() <= 8


def test_colours_over_a_grey_first_frame_stay_colours() -> None:
    """A palette of all greys in order makes Pillow open the file as mode L, and lose the palettes that follow."""
    grey = np.tile(np.arange(256, dtype=np.uint8), (12, 1)).reshape(48, 64)
    first = Image.fromarray(grey)
    data = saved(first, "GIF", save_all=True, append_images=[Image.fromarray(motif()), first], duration=50)
    picture = decode(data)
    assert [frame.index for frame in picture.frames] == [0, 1, 2]
    assert quadrants(picture.frames[1].pixels) == quadrants(motif())
    for frame in (picture.frames[0], picture.frames[2]):
        assert np.abs(frame.pixels.astype(int) - grey[..., None]).max() <= 8


def test_an_animated_gif_without_a_palette_is_refused() -> None:
    """Nobody can say what it shows: each viewer has a palette of its own."""
    screen = b"GIF89a" + bytes([1, 0, 1, 0, 0, 0, 0])
    frame = b"\x2c" + bytes([0, 0, 0, 0, 1, 0, 1, 0, 0]) + b"\x02\x02\x44\x01\x00"
    assert len(decode(screen + frame + b"\x3b").frames) == 1
    with pytest.raises(Undecodable):
        decode(screen + frame + frame + b"\x3b")


def test_an_apng_keeps_the_picture_that_other_viewers_show() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in COLOURS[:3]]
    picture = decode(saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True))
    assert [frame.pixels[0, 0].tolist() for frame in picture.frames] == [list(colour) for colour in COLOURS[:3]]


def test_pages_of_a_tiff_may_differ_in_size() -> None:
    pages = [Image.new("RGB", size, (1, 2, 3)) for size in ((30, 20), (5000, 10), (7, 9))]
    picture = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (picture.width, picture.height) == (30, 20)
    assert [frame.pixels.shape for frame in picture.frames] == [(20, 30, 3), (8, 4096, 3), (9, 7, 3)]
    assert [frame.scale for frame in picture.frames] == [1.0, 4096 / 5000, 1.0]


def test_of_a_multi_picture_jpeg_the_one_that_viewers_show() -> None:
    pictures = [Image.new("RGB", (32, 24), colour) for colour in COLOURS[1:3]]
    picture = decode(saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:]))
    assert (picture.format, picture.frame_count, len(picture.frames)) == ("jpeg", 1, 1)
    assert picture.frames[0].pixels[12, 16, 0] > 150
