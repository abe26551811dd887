"""Decodes a file's bytes to oriented RGB pixels, stage 2 of the pipeline. Pure; it runs inside the decode child.

Only the eight formats below are opened, each by the one decoder that its first bytes name. The claimed size is
checked before any pixel is decoded.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from itertools import chain
from typing import NamedTuple

import numpy as np
import pi_heif
from PIL import AvifImagePlugin, GifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401 - an import registers it

from assent.core.errors import DecodersDisagree, MediaUnsupported, PictureTooLarge, Undecodable
from assent.core.values import Frame, Pixels
from assent.media import iso_media, jpeg
from assent.media.apng import Still, still_image, without_unseen
from assent.media.bmp import laid_out
from assent.media.colour import conversion
from assent.media.declared_colour import declared
from assent.media.frames import MAX_PIXELS_SCANNED, MAX_SCANNED, FrameCandidate, FrameChoice, choose
from assent.media.layers import differ, split
from assent.media.turns import ImageTurns, from_shown, oriented_size, read_turns, turned
from assent.media.views import OUTPUT_SIDE, Converter, Views, fitting, small_copies, views

MAX_PIXELS = 50_000_000
MAX_SIDE = 12_000
MAX_PIXELS_LOOKED_AT = 100_000_000

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

_ONE_AFTER_THE_OTHER = frozenset({"jpeg", "heic"})  # their images need not each other, and may differ in all
_ORIENTED_BY_DECODER = frozenset({"heic", "tiff"})
_BELIEVED = frozenset({"jpeg", "png", "avif"})  # where Chromium goes by EXIF (of AVIF, Pillow puts irot and imir there)
_FILLINGS = (bytes([0x55, 0x2A] * 128), bytes([0xAA, 0xD1] * 128))
_PNG_DEPTH = 24
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
    """One decoded file: the oriented size of its first frame, its number of frames, and those that are looked at, in
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
    partial: bool = False  # a frame that is not looked at differs from all that are, or could not be decoded
    other_turn: int = 1  # the orientation that some viewers would apply to these frames; 1 where none would
    mended: bytes | None = None  # the file as its decoder can read it, with the same image

    @property
    def stored_size(self) -> tuple[int, int]:
        """Returns width and height before orientation."""
        return (self.width, self.height) if self.orientation < 5 else (self.height, self.width)


class _Page(NamedTuple):
    """One image of a file, decoded, its size before it was shrunk, and the file itself where it is a PNG."""

    number: int
    image: Image.Image
    size: tuple[int, int]
    turns: ImageTurns
    convert: Converter
    png: bytes | None


class _Gif(GifImagePlugin.GifImageFile):
    """Treats a grey palette like any other, and leaves clear what lies around the first frame, as viewers do.

    Pillow opens a GIF with a grey palette as mode L, and then draws later colour frames over it as if their palette
    indices were greys; around a first frame that is smaller than the screen it draws the palette's first colour.
    """

    def _is_palette_needed(self, p: bytes) -> bool:  # noqa: ARG002 - the answer is always the same
        return True

    def load_end(self) -> None:
        super().load_end()
        if self.tell() == 0 and self.mode == "P" and self.dispose_extent not in (None, (0, 0, *self.size)):
            shown = Image.new("RGBA", self.size, (0, 0, 0, 0))
            shown.paste(self.copy().convert("RGBA").crop(self.dispose_extent), self.dispose_extent)
            self.im, self._mode = shown.im, shown.mode
            self.info.pop("transparency", None)


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

    Of several images (an animation's frames as a viewer composes them, a TIFF's pages, what else lies in a HEIC file
    or behind a JPEG) the first is the one that viewers show; those that differ most are looked at (`frames.choose`).
    Other bytes after the image's end are ignored; a JPEG may lack its end marker where no pixel is missing.
    Raises MediaUnsupported (none of the eight formats), PictureTooLarge (claimed size beyond the limits, before pixels
    are decoded), DecodersDisagree (colours that viewers show differently) and Undecodable (broken or cut short);
    MemoryError where the process may not have what it needs.
    """
    name = sniff(data)
    with _broken_is_undecodable(name):
        try:
            return _decoded(data, name)
        except (OSError, SyntaxError, ValueError):
            if (mended := _mended(data, name)) is None:
                raise
            return mended


def _decoded(data: bytes, name: str) -> Decoded:
    with _opened(data, name) as image:
        _check_size(image.size)
        count, at = _images(image, data, name)
        _gate(image, name, count)
        pages = _pages(name, data, count, at)
        first = next(pages)
        if count == 1:
            choice = FrameChoice((_views(first),), passed=1, partial=False)
        else:
            choice = choose(map(_candidate, chain([first], pages)))
    count += _not_opened(data, name, count)
    return Decoded(
        name,
        *oriented_size(first.size, first.turns.shown),
        count,
        tuple(frame.over_white for frame in choice.frames),
        first.turns.shown,
        choice.frames[0].stored,
        tuple(frame.over_black for frame in choice.frames if frame.over_black is not None),
        partial=choice.partial or choice.passed < count,
        other_turn=from_shown(first.turns),
    )


def _mended(data: bytes, name: str) -> Decoded | None:
    """Decodes a file that its decoder refused for what viewers pass over; None where there is none of that."""
    if name == "jpeg" and (rest := jpeg.without_end(data)) is not None:
        return _ended(rest)
    if name == "png" and (still := still_image(data)) is not None:
        return _still(still)
    if name == "png" and (seen := without_unseen(data)) is not None:
        return replace(_decoded(seen, name), mended=seen)
    if name == "bmp" and (plain := laid_out(data)) is not None:
        return replace(_decoded(plain, name), mended=plain)
    return None


def _still(still: Still) -> Decoded:
    """Decodes the image that viewers show of a moving PNG whose animation is broken; nobody looked at its frames."""
    return replace(_decoded(still.data, "png"), frame_count=max(2, still.frames), partial=True, mended=still.data)


def _ended(rest: bytes) -> Decoded:
    """Decodes a JPEG without its end marker. Were data of the image missing, what is put in its place would be seen."""
    whole, *filled = (_decoded(rest + filling + jpeg.END, "jpeg") for filling in (b"", *_FILLINGS))
    if not all(np.array_equal(whole.frames[0].pixels, other.frames[0].pixels) for other in filled):
        raise Undecodable("the jpeg file is cut short")
    return replace(whole, mended=rest + jpeg.END)


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


# The images of a file, and sizes before pixels


def _images(image: Image.Image, data: bytes, name: str) -> tuple[int, Callable[[int], Image.Image]]:
    """Returns the number of images that can be opened, and what opens each; the first is the one that viewers show."""
    if name == "jpeg":
        return len(images := [image, *_jpegs_behind(data)]), images.__getitem__
    shown = image.tell()  # of HEIC the primary image, wherever it lies

    def at(index: int) -> Image.Image:
        image.seek(shown if index == 0 else index - (index <= shown))
        return image

    return getattr(image, "n_frames", 1), at


def _jpegs_behind(data: bytes) -> Iterator[Image.Image]:
    for rest in jpeg.jpegs_behind(data):
        with suppress(*_BROKEN, Image.DecompressionBombWarning, Image.DecompressionBombError):
            if not jpeg.is_gain_map(rest):
                yield Image.open(BytesIO(rest), formats=["JPEG"])


def _not_opened(data: bytes, name: str, count: int) -> int:
    """Returns how many images the file holds beside the `count` that its decoder opens."""
    if name == "heic":
        return iso_media.frames_in_tracks(data)
    if name == "avif" and count == 1:
        return iso_media.further_items(data) + max(0, iso_media.frames_in_tracks(data) - 1)
    return 0


def _gate(image: Image.Image, name: str, count: int) -> None:
    """Refuses what is too large, or shown by nobody alike. Raises PictureTooLarge, Undecodable."""
    if name == "gif" and image.mode == "L" and count > 1:
        raise Undecodable("an animated GIF whose first frame has no palette")
    at_least = min(count, 3)  # of an animation all frames have one size
    if name not in {*_ONE_AFTER_THE_OTHER, "tiff"} and at_least * image.width * image.height > MAX_PIXELS_LOOKED_AT:
        raise PictureTooLarge(f"{at_least} frames of together {at_least * image.width * image.height} pixels")


def _pages(name: str, data: bytes, count: int, at: Callable[[int], Image.Image]) -> Iterator[_Page]:
    """Yields the images one after the other, decoded, until there are enough of them to choose from."""
    known, scanned = None, 0
    for index in range(min(count, MAX_SCANNED)):
        image = at(index)
        scanned += image.width * image.height
        if index and scanned > MAX_PIXELS_SCANNED:
            return
        try:
            page = _page(image, name, data, index, known)
        except (*_BROKEN, PictureTooLarge, Undecodable, DecodersDisagree):
            if index == 0 or name not in _ONE_AFTER_THE_OTHER:
                raise
            continue  # counted, and not looked at
        known = None if name == "jpeg" else page
        yield page


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise PictureTooLarge(f"{width} × {height} pixels")
    if min(size) < 1:
        raise Undecodable("a picture without pixels")


# Pixels


def _page(image: Image.Image, name: str, data: bytes, index: int, known: _Page | None) -> _Page:
    """Decodes one image. `known`: another of the same file, turned and coloured alike."""
    claimed, early = image.size, image.info.get("exif")
    _check_size(claimed)
    convert = known.convert if known and name != "tiff" else _converter(image, name, data)
    if name == "jpeg" and max(claimed) > OUTPUT_SIDE:
        image.draft(None, fitting(claimed))
    image.load()
    size = claimed if name == "jpeg" else image.size  # a decoder may find another size than the header claimed
    _check_size(size)
    if known:
        turns = known.turns
    elif name in _ORIENTED_BY_DECODER:
        turns = ImageTurns()
    else:
        turns = read_turns(early, image.info.get("exif"), name in _BELIEVED)
    return _Page(index, _as_shown(image, name), size, turns, convert, data if name == "png" else None)


def _converter(image: Image.Image, name: str, data: bytes) -> Converter:
    """Returns what chooses the conversion to sRGB that an opened image declares, before its pixels are read."""
    colours = declared(image, name, data)
    exact = name == "bmp" or (name == "png" and data[_PNG_DEPTH] <= 8)  # these lose nothing
    return cache(lambda mode, clear: conversion(colours, mode, exact, clear))


def _as_shown(image: Image.Image, name: str) -> Image.Image:
    """Returns a BMP without an alpha that is clear everywhere, as browsers show it."""
    is_clear = name == "bmp" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)
    return image.convert("RGB") if is_clear else image


def _candidate(page: _Page) -> FrameCandidate[Views]:
    layers, turn = split(page.image, page.png), page.turns.shown
    width, height = fitting(page.size)
    pixels = width * height * (2 if layers.alpha and differ(layers.alpha) else 1)
    small = tuple(turned(copy, turn) for copy in small_copies(layers, page.convert))
    return FrameCandidate(page.number, np.stack(small), pixels, partial(_views, page))


def _views(page: _Page) -> Views:
    layers, size = split(page.image, page.png), page.size
    return views(layers, page.convert, page.number, size, page.turns.shown)
