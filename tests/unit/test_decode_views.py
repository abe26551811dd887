"""An animation's frames are told apart as people see them: in declared colours, and over white as over black."""

from __future__ import annotations

import numpy as np
from PIL import Image

from assent.media.decode import decode
from assent.media.frames import MAX_PIXELS_KEPT
from tests.adversarial.declared import gama
from tests.unit.picture_files import saved, wide_gamut

_HEADER = 33  # bytes of a PNG before whatever follows IHDR


def animation(frames: list[Image.Image], pillow_format: str = "PNG", **options: object) -> bytes:
    return saved(frames[0], pillow_format, save_all=True, append_images=frames[1:], duration=50, **options)


def test_frames_that_are_all_white_over_white_are_looked_at_where_they_differ_over_black() -> None:
    clear = [Image.new("RGBA", (32, 24), (255, 255, 255, alpha)) for alpha in (255, 200, 100, 0)]
    picture = decode(animation(clear, blend=0))
    assert [frame.index for frame in picture.frames] == [0, 1, 2, 3]
    assert [frame.index for frame in picture.over_black] == [1, 2, 3]
    assert [int(frame.pixels[0, 0, 0]) for frame in picture.over_black] == [200, 100, 0]
    assert all((frame.pixels == 255).all() for frame in picture.frames)


def test_frames_whose_declared_colours_differ_are_looked_at() -> None:
    """By their numbers they are 2 of 255 apart; shown as light of value ** 200 they are 87 and more."""
    greys = [Image.new("L", (32, 24), value) for value in (250, 252, 254)]
    data = animation(greys)
    plain, declared = decode(data), decode(data[:_HEADER] + gama(500) + data[_HEADER:])
    assert [frame.index for frame in plain.frames] == [0]
    assert [frame.index for frame in declared.frames] == [0, 1, 2]
    shown = [int(frame.pixels[0, 0, 0]) for frame in declared.frames]
    assert shown[0] < shown[1] < shown[2]
    assert shown[2] - shown[0] > 100


def test_each_page_has_its_own_colours() -> None:
    first, second = Image.new("RGB", (32, 24), (10, 10, 10)), Image.new("RGB", (32, 24), (0, 200, 0))
    second.info["icc_profile"] = wide_gamut()
    picture = decode(animation([first, second], "TIFF"))
    alone = decode(saved(second, "TIFF"))
    assert (picture.frames[0].pixels == 10).all()
    assert (picture.frames[1].pixels == alone.frames[0].pixels).all()
    assert (picture.frames[1].pixels != np.asarray(second)).any()


def test_both_views_of_large_frames_fit_what_is_kept() -> None:
    veiled = [Image.new("RGBA", (4096, 3072), (value, value, value, 128)) for value in (0, 120, 240)]
    picture = decode(animation(veiled, compress_level=1, blend=0))
    kept = sum(frame.pixels.size // 3 for frame in (*picture.frames, *picture.over_black))
    assert len(picture.over_black) == len(picture.frames) == 2
    assert kept <= MAX_PIXELS_KEPT
    assert picture.partial
