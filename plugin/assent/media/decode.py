"""Decodes a file's bytes to oriented RGB pixels, stage 2 of the pipeline. Pure; it runs inside the decode child.

Only the eight formats below are opened, each by the one decoder that its first bytes name. The claimed size is
checked before any pixel is decoded.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pi_heif
from PIL import AvifImagePlugin, GifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - an import registers it

from assent.core.errors import MediaUnsupported, PictureTooLarge, Undecodable
from assent.core.values import Frame, Pixels
from assent.media.colour import conversion
from assent.media.declared_colour import Declared, declared
from assent.media.layers import BLACK, WHITE, Layers, differ, over, split

MAX_PIXELS = 50_000_000
MAX_SIDE = 12_000
MAX_PIXELS_LOOKED_AT = 100_000_000
OUTPUT_SIDE = 4_096

# What a signature names: our word for the format, and Pillow's.
_PILLOW = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
    "avif": "AVIF",
    "heic": "HEIF",
    "tiff": "TIFF",
    "bmp": "BMP",
}
FORMATS = frozenset(_PILLOW)
_PREFIXES = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II\x2a\x00": "tiff",
    b"MM\x00\x2a": "tiff",
    b"II\x2b\x00": "tiff",
    b"MM\x00\x2b": "tiff",
    b"BM": "bmp",
}
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_BOTH_BRANDS = frozenset({b"mif1", b"msf1"})

_ANIMATED = frozenset({"png", "webp", "gif", "avif", "tiff"})  # the others show one image, whatever else they hold
_ORIENTED_BY_DECODER = frozenset({"heic", "tiff"})
_PNG_DEPTH = 24
_EXIF_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow and its decoders raise on a broken file; anything else is a fault of ours and ends the child.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    RuntimeError,
    TypeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    struct.error,
)

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # more threads would only raise the child's memory
pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One decoded file: the oriented size of its first decoded frame, its number of frames, and those decoded, in
    order: uint8 (h, w, 3), at most 4,096 pixels a side. `orientation` is the EXIF value that was applied to them here.

    `over_black`: those of them that look otherwise over black than over white. `stored`: the first frame as other
    decoders read it, without its colours being converted.
    """

    format: str
    width: int
    height: int
    frame_count: int
    frames: tuple[Frame, ...]
    orientation: int
    stored: Pixels
    over_black: tuple[Frame, ...] = ()

    @property
    def stored_size(self) -> tuple[int, int]:
        """Returns width and height before orientation."""
        return (self.width, self.height) if self.orientation < 5 else (self.height, self.width)


class _Gif(GifImagePlugin.GifImageFile):
    """Treats a grey palette like any other. Pillow opens a GIF with a grey palette as mode L, and then draws later
    colour frames over it as if their palette indices were greys.
    """

    def _is_palette_needed(self, p: bytes) -> bool:  # noqa: ARG002 - the answer is always the same
        return True


def sniff(data: bytes) -> str:
    """Returns the format that the first bytes name. Raises MediaUnsupported when it is none of the eight."""
    for prefix, name in _PREFIXES.items():
        if data.startswith(prefix):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return _sniff_brand(data)
    raise MediaUnsupported("the file begins like none of the eight formats")


def decode(data: bytes) -> Decoded:
    """Decodes one file to sRGB: its colours as browsers show them, EXIF orientation applied once, alpha over white and,
    where that differs, over black, shrunk to 4,096 pixels a side.

    Of several frames the first, the middle and the last are decoded, as a viewer composes them; of JPEG, HEIC and
    BMP the one that viewers show. Bytes after the image's end are ignored. Raises MediaUnsupported (none of the eight
    formats), PictureTooLarge (claimed size beyond the limits, before pixels are decoded), DecodersDisagree (colours
    that viewers show differently) and Undecodable (broken or cut short); MemoryError where the process may not have
    what it needs.
    """
    name = sniff(data)
    with _broken_is_undecodable(name), _opened(data, name) as image:
        count, looked_at = _gate(image, name)
        colours = declared(image, name, data)
        decoded = [_frame(image, name, index, data, colours) for index in looked_at]
        first = decoded[0]
        return Decoded(
            name,
            *first.size,
            count,
            tuple(frame.over_white for frame in decoded),
            _orientation(image, name),
            first.stored,
            tuple(frame.over_black for frame in decoded if frame.over_black is not None),
        )


def turned_back(image: Image.Image, orientation: int) -> Image.Image:
    """Returns the image as it was before an EXIF orientation was applied to it."""
    back = {6: 8, 8: 6}.get(orientation, orientation)  # every other turn or flip undoes itself
    return image.transpose(_TRANSPOSE[back]) if back in _TRANSPOSE else image


def _sniff_brand(data: bytes) -> str:
    size = int.from_bytes(data[:4])
    major, compatible = data[8:12], data[16 : min(size, 256)]
    brands = {compatible[i : i + 4] for i in range(0, len(compatible), 4)}
    if major in _AVIF_BRANDS or (major in _BOTH_BRANDS and brands & _AVIF_BRANDS):
        return "avif"
    if major in _HEIC_BRANDS or major in _BOTH_BRANDS:
        return "heic"
    raise MediaUnsupported("an ISO media file that is neither AVIF nor HEIC")


@contextmanager
def _broken_is_undecodable(name: str) -> Iterator[None]:
    """Turns library errors into Undecodable with no more than their class: their text may quote the file."""
    try:
        yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise PictureTooLarge from None
    except _BROKEN as error:
        raise Undecodable(f"the {name} file is broken or cut short ({type(error).__name__})") from None


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with _Gif(BytesIO(data)) if name == "gif" else Image.open(BytesIO(data), formats=[_PILLOW[name]]) as image:
            yield image


# Sizes, before pixels


def _gate(image: Image.Image, name: str) -> tuple[int, list[int]]:
    """Checks the sizes and returns the number of frames and the indices of those to decode. Raises PictureTooLarge."""
    _check_size(image.size)
    if name not in _ANIMATED:
        return 1, [image.tell()]
    count = getattr(image, "n_frames", 1)
    if name == "gif" and image.mode == "L" and count > 1:
        raise Undecodable("an animated GIF whose first frame has no palette")
    looked_at = sorted({0, count // 2, count - 1})
    total = len(looked_at) * image.width * image.height
    if name == "tiff":  # pages differ in size, the frames of an animation do not
        total = sum(_page_pixels(image, index) for index in looked_at)
    if total > MAX_PIXELS_LOOKED_AT:
        raise PictureTooLarge(f"{len(looked_at)} frames of together {total} pixels")
    return count, looked_at


def _page_pixels(image: Image.Image, index: int) -> int:
    image.seek(index)
    _check_size(image.size)
    return image.width * image.height


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise PictureTooLarge(f"{width} × {height} pixels")
    if min(size) < 1:
        raise Undecodable("a picture without pixels")


def _orientation(image: Image.Image, name: str) -> int:
    """Returns EXIF's 1–8; 1 where the decoder has applied it, where there is none and where EXIF itself is broken."""
    raw = image.info.get("exif")
    if name in _ORIENTED_BY_DECODER or not isinstance(raw, bytes):
        return 1
    exif = Image.Exif()
    try:
        exif.load(raw)
        value = exif.get(_EXIF_ORIENTATION)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1


# Pixels


class _Views(NamedTuple):
    """One frame's views, its oriented size before it was shrunk, and its pixels before colours were converted."""

    size: tuple[int, int]
    over_white: Frame
    over_black: Frame | None
    stored: Pixels


def _frame(image: Image.Image, name: str, index: int, data: bytes, colours: Declared | None) -> _Views:
    image.seek(index)
    claimed = image.size
    if name == "jpeg" and max(claimed) > OUTPUT_SIDE:
        image.draft(None, _fitting(claimed))
    image.load()
    size = claimed if name == "jpeg" else image.size  # a decoder may find another size than the header claimed
    _check_size(size)
    orientation = _orientation(image, name)
    layers = split(image, data if name == "png" else None)
    exact = name == "bmp" or (name == "png" and data[_PNG_DEPTH] <= 8)  # these lose nothing
    convert = conversion(colours, layers.colours.mode.removesuffix("A"), exact, layers.alpha is not None)
    shown = Layers(convert(_without_alpha(layers)), layers.alpha) if convert else layers
    over_white = _finished(over(shown, WHITE), orientation)
    over_black = _finished(over(shown, BLACK), orientation) if shown.alpha and differ(shown.alpha) else None
    stored = over_white
    if convert or layers.keyed:
        stored = _finished(over(Layers(layers.colours) if layers.keyed else layers, WHITE), orientation)
    scale = min(1.0, max(over_white.shape[:2]) / max(size))
    return _Views(
        size if orientation < 5 else (size[1], size[0]),
        Frame(index, over_white, scale),
        None if over_black is None else Frame(index, over_black, scale),
        stored,
    )


def _without_alpha(layers: Layers) -> Image.Image:
    return layers.colours.convert("RGB") if layers.colours.mode == "RGBA" else layers.colours


def _finished(rgb: Image.Image, orientation: int) -> Pixels:
    """Shrinks to what the decoder hands out, and turns."""
    if max(rgb.size) > OUTPUT_SIDE:
        rgb = rgb.resize(_fitting(rgb.size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    if orientation in _TRANSPOSE:
        rgb = rgb.transpose(_TRANSPOSE[orientation])
    return np.asarray(rgb)


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    ratio = min(1.0, OUTPUT_SIDE / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
