"""Makes the second decoder's pixels what the file declares, where OpenCV leaves that out. Pure.

It reads samples of 10 bits as if they were of 16, a GIF's first frame on its background colour, and a BMP's fourth byte
as alpha whether the header names any or not. Nothing here changes the image that is analysed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from cv2.typing import MatLike

from assent.media.iso_media import av1_depth

_TRAILER = b";"
_BACKGROUND = 11  # where a GIF names its background colour
_ALPHA_MASK = 14 + 52  # in a BMP with a header of 56 bytes or more
_BITFIELDS = frozenset({3, 6})


def as_declared(data: bytes, image_format: str, pixels: MatLike) -> MatLike:
    """Returns OpenCV's pixels (h, w[, 3 or 4], uint8 or uint16) as the file declares them."""
    declared = _DECLARED.get(image_format)
    return declared(data, pixels) if declared else pixels


def _avif(data: bytes, pixels: MatLike) -> MatLike:
    if pixels.dtype != np.uint16:
        return pixels
    return cv2.convertScaleAbs(pixels, alpha=255 / ((1 << av1_depth(data)) - 1))


def _bmp(data: bytes, pixels: MatLike) -> MatLike:
    header, compression = int.from_bytes(data[14:18], "little"), int.from_bytes(data[30:34], "little")
    has_alpha = header >= 56 and compression in _BITFIELDS and any(data[_ALPHA_MASK : _ALPHA_MASK + 4])
    return pixels if has_alpha or pixels.ndim == 2 else pixels[:, :, :3]


def _gif(data: bytes, pixels: MatLike) -> MatLike:
    """Clears what lies outside the first frame."""
    left, top, width, height = _first_extent(data)
    if pixels.ndim == 2 or ((left, top) == (0, 0) and (height, width) >= pixels.shape[:2]):
        return pixels
    shown = np.full_like(pixels, 255)
    inside = np.s_[top : top + height, left : left + width]
    shown[inside] = pixels[inside]
    return shown


def first_frame(data: bytes) -> bytes:
    """Returns a GIF file of the first frame alone, on a background of the palette's first colour."""
    at = _first_image(data)
    flags = int.from_bytes(data[at + 9 : at + 10])
    end = _behind_blocks(data, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
    return data[:_BACKGROUND] + b"\0" + data[_BACKGROUND + 1 : end] + _TRAILER


def _first_extent(data: bytes) -> tuple[int, int, int, int]:
    """Returns where the first frame lies: left, top, width, height (GIF89a, 18 to 24)."""
    left, top, width, height = np.frombuffer(data, "<u2", 4, _first_image(data) + 1).tolist()
    return left, top, width, height


def _first_image(data: bytes) -> int:
    """Returns where the first image's descriptor stands."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at : at + 1] == b"!":
        at = _behind_blocks(data, at + 2)
    return at


def _behind_blocks(data: bytes, at: int) -> int:
    """Returns where a row of blocks of data, which begins at `at`, ends."""
    while size := int.from_bytes(data[at : at + 1]):
        at += 1 + size
    return at + 1


_DECLARED: dict[str, Callable[[bytes, MatLike], MatLike]] = {"avif": _avif, "bmp": _bmp, "gif": _gif}
