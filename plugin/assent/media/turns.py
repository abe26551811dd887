"""Reads and applies EXIF orientations (tag 0x0112, 1–8), and says where viewers differ about one. Pure.

Chromium applies an orientation in JPEG, and in PNG before the pixels, that is written as the standard says: one number
of type SHORT. Others believe any type, in WebP too. So an image has the orientation that Chromium shows it in, and
where another could be read, that one as well: it is looked at both ways, and boxes are those of the first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assent.core.values import Box

UPRIGHT = 1
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TAG, _SHORT = 0x0112, 3
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # EXIF's whole numbers, as struct writes them
_MAX_ENTRIES = 1_000


class ImageTurns(NamedTuple):
    """The orientation that an image is shown in, and another that some viewers read (the same where none does)."""

    shown: int = UPRIGHT
    other: int = UPRIGHT


def read_turns(shown: bytes | None, late: bytes | None, believed: bool) -> ImageTurns:
    """Reads the orientations of an image's EXIF data.

    `shown`: what stands before the pixels; `late`: what is known once they are decoded; `believed`: whether Chromium
    believes EXIF in files of this format. Broken data turns nothing.
    """
    by_standard = [value for kind, value in _orientations(shown or b"") if kind == _SHORT and believed]
    turn = by_standard[-1] if by_standard else UPRIGHT
    others = [value for data in (shown, late) for _, value in _orientations(data or b"") if value != turn]
    return ImageTurns(turn, others[-1] if others else turn)


def _orientations(exif: bytes) -> Iterator[tuple[int, int]]:
    """Yields type and value of each orientation in the first directory (TIFF 6.0), those from 1 to 8 alone."""
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for at in range(start + 2, start + 2 + 12 * min(count, _MAX_ENTRIES), 12):
            tag, kind, length = struct.unpack_from(f"{order}HHI", data, at)
            if tag == _TAG and length == 1 and kind in _NUMBERS:
                (value,) = struct.unpack_from(f"{order}{_NUMBERS[kind]}", data, at + 8)
                if UPRIGHT <= value <= max(TRANSPOSE):
                    yield kind, value
    except struct.error:
        return  # what stood before the break is believed, as viewers do


def turned_back(image: Image.Image, orientation: int) -> Image.Image:
    """Returns the image as it was before an EXIF orientation was applied to it."""
    back = inverse(orientation)
    return image.transpose(TRANSPOSE[back]) if back in TRANSPOSE else image


def inverse(orientation: int) -> int:
    """Returns the orientation that undoes that one."""
    return {6: 8, 8: 6}.get(orientation, orientation)  # every other turn or flip undoes itself


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Applies an orientation to rows and columns (h, w, …); returns a view."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def oriented_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Returns width and height after an orientation."""
    return size if orientation < 5 else (size[1], size[0])


def from_shown(turns: ImageTurns) -> int:
    """Returns the orientation that leads from the image as it is shown to the image in its other turn."""
    stored = np.arange(6).reshape(2, 3)
    shown, other = turned(stored, turns.shown), turned(stored, turns.other)
    return next(value for value in range(1, 9) if np.array_equal(turned(shown, value), other))


def box_before(box: Box, orientation: int, width: int, height: int) -> Box:
    """Returns a box as it was before `orientation` was applied to an image of `width` × `height`."""
    x, y, w, h = box
    across, down = (height, width) if orientation >= 5 else (width, height)  # of the turned image
    if orientation in (2, 3, 6, 7):
        x = across - x - w
    if orientation in (3, 4, 7, 8):
        y = down - y - h
    return (y, x, h, w) if orientation >= 5 else (x, y, w, h)
