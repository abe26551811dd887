"""Of a file with several pictures those that differ are looked at, as a viewer composes them; others are counted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from assent.core.errors import Undecodable
from assent.media.decode import Decoded, decode
from tests.adversarial.generate import gif_of
from tests.unit.picture_files import encoded, heic_of_two, motif, quadrants, saved

COLOURS = [(20, 20, 20), (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200), (230, 230, 230)]


def animation(pillow_format: str, count: int = 7, **options: object) -> Decoded:
    frames = [Image.new("RGB", (32, 24), colour) for colour in COLOURS[:count]]
    return decode(saved(frames[0], pillow_format, save_all=True, append_images=frames[1:], duration=50, **options))


@pytest.mark.parametrize("pillow_format", ["GIF", "WEBP", "AVIF", "PNG", "TIFF"])
def test_each_frame_that_differs_is_looked_at(pillow_format: str) -> None:
    picture = animation(pillow_format)
    assert (picture.frame_count, picture.partial) == (7, False)
    assert [frame.index for frame in picture.frames] == [*range(7)]
    for frame in picture.frames:
        assert np.abs(frame.pixels[12, 16].astype(int) - COLOURS[frame.index]).max() <= 6


@pytest.mark.parametrize(("count", "indices"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3])])
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
    assert [frame.index for frame in picture.frames] == [0, 1]  # the third is the first again
    assert quadrants(picture.frames[1].pixels) == quadrants(motif())
    assert np.abs(picture.frames[0].pixels.astype(int) - grey[..., None]).max() <= 8


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
    sizes = ((30, 20), (5000, 10), (7, 9))
    pages = [Image.new("RGB", size, colour) for size, colour in zip(sizes, COLOURS, strict=False)]
    picture = decode(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (picture.width, picture.height) == (30, 20)
    assert [frame.pixels.shape for frame in picture.frames] == [(20, 30, 3), (8, 4096, 3), (9, 7, 3)]
    assert [frame.scale for frame in picture.frames] == [1.0, 4096 / 5000, 1.0]


def test_of_a_multi_picture_jpeg_all_beginning_with_the_one_that_viewers_show() -> None:
    pictures = [Image.new("RGB", (32, 24), colour) for colour in COLOURS[1:3]]
    picture = decode(saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:]))
    assert (picture.format, picture.frame_count, picture.partial) == ("jpeg", 2, False)
    assert [int(frame.pixels[12, 16].argmax()) for frame in picture.frames] == [0, 1]


@pytest.mark.parametrize("between", [b"", b"a video" * 99 + b"\xff\xd8\xff in it"])
def test_a_jpeg_behind_a_jpeg_is_looked_at(between: bytes) -> None:
    first, second = (encoded(np.full((24, 32, 3), colour, np.uint8), "JPEG") for colour in COLOURS[:2])
    picture = decode(first + between + second)
    assert (picture.frame_count, len(picture.frames), picture.partial) == (2, 2, False)
    assert picture.frames[1].pixels[12, 16, 0] > 150
    cut = decode(first + between + second[:-4])
    assert (cut.frame_count, len(cut.frames), cut.partial) == (2, 1, True)  # counted, and nobody saw it


def test_a_gain_map_is_part_of_its_photo() -> None:
    photo, gains = (encoded(np.full((24, 32, 3), colour, np.uint8), "JPEG") for colour in COLOURS[:2])
    said = b"http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version='1.0'/>"
    marked = gains[:2] + b"\xff\xe1" + (len(said) + 2).to_bytes(2) + said + gains[2:]
    assert decode(photo + marked).frame_count == 1
    assert decode(photo + gains).frame_count == 2


def test_the_other_images_of_a_heic_file_follow_its_primary_one() -> None:
    two = decode(heic_of_two())
    assert (two.width, two.height, two.frame_count, two.partial) == (64, 64, 2, False)
    assert [frame.index for frame in two.frames] == [0, 1]
    assert [int(frame.pixels[32, 32].argmax()) for frame in two.frames] == [2, 0]  # blue is primary, and the second


@pytest.mark.parametrize("pillow_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_no_frame_is_hidden_between_the_first_the_middle_and_the_last(pillow_format: str) -> None:
    plain, other = np.full((48, 64, 3), 240, np.uint8), motif()
    frames = [Image.fromarray(other if 3 <= n < 8 else plain) for n in range(41)]
    picture = decode(saved(frames[0], pillow_format, save_all=True, append_images=frames[1:], duration=50))
    seen = [frame.pixels for frame in picture.frames]
    assert len(seen) == 2
    assert quadrants(seen[1]) == quadrants(motif())
    assert not picture.partial


def test_of_many_different_frames_sixteen_are_looked_at_and_the_rest_is_said() -> None:
    rng = np.random.default_rng(5)
    noise = [rng.integers(0, 256, (4, 4, 3), np.uint8) for _ in range(60)]
    frames = [Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST) for pixels in noise]
    picture = decode(saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50))
    assert (picture.frame_count, len(picture.frames), picture.partial) == (60, 16, True)
    assert picture.frames[0].index == 0


def test_ten_thousand_frames_and_more_are_counted() -> None:
    assert (decode(gif_of(64, 64, 10_000)).frame_count, decode(gif_of(64, 64, 10_000)).partial) == (10_000, False)
    more = decode(gif_of(64, 64, 10_001))
    assert (more.frame_count, len(more.frames), more.partial) == (10_001, 1, True)
