"""Compares the images that two decoders read from the same file, the second part of stage 2.

A file can be made so that two programs show two images: one to the models, the other to people. Pillow's image is
the one that is analysed; where OpenCV's differs, or OpenCV finds none, nobody can call the file clean. Runs inside the
decode child, under its limits: OpenCV was seen to take 700 MB for a PNG of 42 bytes.

The first frame is compared, in grey, 64 × 64, before orientation and declared colours are applied. Not compared: HEIC,
which OpenCV does not read, and TIFF, of which it reads other alpha, other colour spaces and other compressions than
Pillow, harmless files included (up to 24 grey levels off). Browsers show neither but Safari.

What it adds to the decode stage's time, 2 busy cores, medians of 9: JPEG of 1, 3 and 11 MP 40, 26 and 18 %, as it is
reduced while it is decoded; PNG, WebP, GIF and AVIF of 1 MP, which cannot be, 30 to 70 %.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from PIL import Image

from assent.core.errors import DecodersDisagree
from assent.media.apng import still_image
from assent.media.bmp import has_odd_fields, laid_out
from assent.media.declared import as_declared, first_frame
from assent.media.decode import Decoded
from assent.media.turns import turned_back

NOT_COMPARED = frozenset({"heic", "tiff"})
_SIDE, _CELL = 64, 8
# Largest mean difference in any of 8 × 8 cells, in grey levels of 255. Seen on 6,418 photos: at most 0.6; on sound
# files of every kind 7: BMP of 5 bits a colour can be widened in two ways (tests/adversarial/test_decode_disagree.py).
TOLERANCE = 8.0
_REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_LEAST = 3 * _SIDE  # of a reduced image's sides: with fewer, the grids of the two shrunk images differ visibly

cv2.setNumThreads(1)  # a pool's stacks would count as the child's memory


def confirm(data: bytes, decoded: Decoded) -> None:
    """Raises DecodersDisagree where OpenCV reads another first frame in `data` than `decoded` has, or none at all."""
    if decoded.format in NOT_COMPARED:
        return
    first, second = _first(decoded), _second(data, decoded)
    if second is None:
        raise DecodersDisagree(f"a second decoder finds no {decoded.format} picture in the file")
    if (off := difference(first, second)) > TOLERANCE and decoded.format == "jpeg":
        whole = _second(data, decoded, reduced=False)  # a halftone's dots are clipped before they are averaged
        off = difference(first, whole) if whole else off
    if off > TOLERANCE:
        raise DecodersDisagree(f"two decoders show two {decoded.format} pictures, {off:.0f} of 255 apart")


def difference(first: Image.Image, second: Image.Image) -> float:
    """Returns the largest mean absolute difference of two 64 × 64 grey images within any of 8 × 8 cells: 0–255."""
    apart = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
    return float(apart.reshape(_CELL, _SIDE // _CELL, _CELL, _SIDE // _CELL).mean(axis=(1, 3)).max())


def _first(decoded: Decoded) -> Image.Image:
    """Returns the first decoded frame as it is stored, small: neither turned nor its colours converted."""
    grey = cv2.cvtColor(decoded.stored, cv2.COLOR_RGB2GRAY)
    return turned_back(_small(grey, grey.shape[1], grey.shape[0]), decoded.orientation)


def _second(data: bytes, decoded: Decoded, reduced: bool = True) -> Image.Image | None:
    """Returns OpenCV's first frame, small, as it is stored; None where it finds none of that size."""
    data = _first_frame(decoded.mended or data, decoded.format)
    width, height = decoded.stored_size
    shrink, flag = 1, cv2.IMREAD_UNCHANGED  # with alpha, and without orientation
    if decoded.format == "jpeg":
        shrink = next((by for by in _REDUCED if reduced and min(width, height) // by >= _LEAST), 1)
        flag = _REDUCED.get(shrink, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = _read(data, flag)
    if pixels is None or pixels.shape[:2] != (-(-height // shrink), -(-width // shrink)):
        return None
    grey = _over_white(as_declared(data, decoded.format, pixels))
    return _small(grey, width / shrink, height / shrink)


def _first_frame(data: bytes, image_format: str) -> bytes:
    """Returns what of a file OpenCV is to read: of a GIF the first frame, since it refuses whole files for the rest; of
    a BMP the bit fields laid out, as it takes them for bytes; of a moving PNG the still image, over which it draws
    other frames, but not where that is none of the frames, so that people see another."""
    match image_format:
        case "png":
            still = still_image(data)
            return still.data if still and still.is_first else data
        case "gif":
            return first_frame(data)
        case "bmp" if has_odd_fields(data):
            return laid_out(data) or data
        case _:
            return data


def _read(data: bytes, flag: int) -> MatLike | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None


def _small(grey: MatLike, width: float, height: float) -> Image.Image:
    """Shrinks to 64 × 64.

    The size is a fraction where a reduced JPEG's last row and column stand for fewer than the others.
    """
    image = Image.fromarray(grey)
    return image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, (0, 0, width, height))


def _over_white(pixels: MatLike) -> MatLike:
    """Converts grey, BGR or BGRA of 8 or 16 bits to grey of 8 bits; alpha is laid over white."""
    if pixels.dtype != np.uint8:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65_535)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    dark = cv2.bitwise_not(cv2.cvtColor(pixels, cv2.COLOR_BGRA2GRAY))
    return cv2.bitwise_not(cv2.multiply(dark, cv2.extractChannel(pixels, 3), scale=1 / 255))
