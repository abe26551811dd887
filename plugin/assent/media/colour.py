"""Converts colours to sRGB, as the networks were trained on and as people see them. Runs in the decode child.

Telephones save images in Display P3, cameras in Adobe RGB; read as sRGB such colours are paler than they were. A file
can also declare a curve that shows what its numbers hide. Profiles are applied by littleCMS, code points by a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

from assent.core.errors import DecodersDisagree
from assent.media.declared_colour import Declared, by_codes, is_profile
from assent.media.transfer import IS_SRGB, SRGB, ColourCoding, in_srgb

Conversion = Callable[[Image.Image], Image.Image]  # L, RGB or CMYK → RGB

# A profile that moves no grey and no colour of a 5 × 5 × 5 grid by more levels is left alone: most are sRGB itself.
SAME = 2
# Where two neighbouring values of 8 bits are shown further apart than this, what a decoder rounds decides what is seen.
STEEPEST = 24
_GRID_POINTS, _CUBE_POINTS = 5, 33
_PROBES, _CELLS = 64, 8  # a side: pixels by which a fast transform is checked, and the cells in which they are compared
_OFF = 8.0  # grey levels: the largest mean difference in a cell
_SPACES = {"L": {b"GRAY", b"RGB "}, "RGB": {b"RGB "}, "CMYK": {b"CMYK"}}  # of profiles that browsers apply to a mode
_TABLES = frozenset({b"A2B0", b"A2B1"})
_FLOATING = frozenset({b"D2B0", b"D2B1", b"D2B2", b"D2B3"})
_BROKEN = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
# As of version 2, since littleCMS otherwise adapts the black points, which browsers do not.
_PLAIN = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_SRGB = ImageCms.ImageCmsProfile(BytesIO(_PLAIN[:8] + bytes([2, 0x40, 0, 0]) + _PLAIN[12:]))


def conversion(found: Declared | None, mode: str, exact: bool, clear: bool) -> Conversion | None:
    """Returns what converts an image of that mode (L, RGB or CMYK) to sRGB as the file declares.

    `exact`: every decoder reads these values of 8 bits; `clear`: parts of the image are transparent.

    None where nothing is declared, where it is sRGB within SAME levels, and where the profile is broken or of another
    colour space, as browsers do it. Raises DecodersDisagree where viewers would show different colours.
    """
    if isinstance(found, bytes):
        tags = _tags(found) if is_profile(found) and found[16:20] in _SPACES[mode] else {}
        if b"cicp" not in tags:
            return _by_profile(found, tags, mode) if tags else None
        found = by_codes(*tags[b"cicp"][8:10].ljust(2, b"\0"))
    if found is None or found == IS_SRGB or mode == "CMYK":
        return None
    if clear and found.nits is not None:
        raise DecodersDisagree("a transparent HDR image, which viewers mix with its backdrop in different ways")
    return _by_coding(found, mode, exact)


def _by_profile(profile: bytes, tags: Mapping[bytes, bytes], mode: str) -> Conversion | None:
    if _FLOATING & tags.keys():
        raise DecodersDisagree("a colour profile of which viewers read different parts")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC if tags.keys() & _TABLES == {b"A2B1"} else ImageCms.Intent.PERCEPTUAL
    exact = _transform(profile, mode, intent, ImageCms.Flags.NOOPTIMIZE)  # built at once, slow to apply

    def convert_exactly(image: Image.Image) -> Image.Image:
        return _applied(image, exact)

    if _is_same(convert_exactly, mode):
        return None
    _refuse_steep(convert_exactly, mode)
    if mode == "L":
        return _by_greys(convert_exactly)
    fast = _transform(profile, mode, intent, ImageCms.Flags.NONE)
    return lambda image: _checked(image, fast, exact if tags.keys() & _TABLES else None)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    count = min(int.from_bytes(profile[128:132]), 100)
    rows = [profile[at : at + 12] for at in range(132, 132 + 12 * count, 12)]
    places = [(row[:4], int.from_bytes(row[4:8]), int.from_bytes(row[8:12])) for row in rows if len(row) == 12]
    return {name: profile[start : start + size] for name, start, size in places}


def _transform(profile: bytes, mode: str, intent: ImageCms.Intent, flags: ImageCms.Flags) -> ImageCms.ImageCmsTransform:
    """Builds littleCMS's transform to sRGB. Tables are resampled, unless the flags forbid it: exact ones are slow."""
    source = "RGB" if profile[16:20] == b"RGB " else mode  # of a grey image too
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.buildTransform(opened, _SRGB, source, "RGB", intent, flags)
    except _BROKEN:
        raise DecodersDisagree("a colour profile that one library reads and another may not") from None


def _applied(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    source = image if image.mode == transform.input_mode else image.convert(transform.input_mode)
    return transform.apply(source)


def _checked(
    image: Image.Image, fast: ImageCms.ImageCmsTransform, exact: ImageCms.ImageCmsTransform | None
) -> Image.Image:
    """Applies the fast transform, and the exact one to a few pixels, at places that nobody can foresee.

    Raises DecodersDisagree where the two show two images."""
    converted = _applied(image, fast)
    if exact is None:
        return converted
    places = [np.linspace(0, side, _PROBES, endpoint=False) for side in (image.height, image.width)]
    rng = np.random.default_rng()
    down, across = (
        np.minimum(place + rng.random(_PROBES) * side / _PROBES, side - 1).astype(int)
        for place, side in zip(places, (image.height, image.width), strict=True)
    )
    few = np.ix_(down, across)
    wanted = np.asarray(_applied(Image.fromarray(np.asarray(image)[few], image.mode), exact), np.int16)
    apart = np.abs(wanted - np.asarray(converted)[few]).reshape(_CELLS, _PROBES // _CELLS, _CELLS, -1)
    if apart.mean(axis=(1, 3)).max() > _OFF:
        raise DecodersDisagree("a colour profile that libraries apply in different ways")
    return converted


def _by_coding(coding: ColourCoding, mode: str, exact: bool) -> Conversion | None:
    """Converts by 256 levels where the bands are independent of each other, else by 33 × 33 × 33 colours."""
    independent = mode == "L" or (coding.primaries == SRGB and coding.nits is None)
    convert = _by_levels(coding) if independent else _by_cube(coding)
    if _is_same(convert, mode):
        return None
    if not (exact and independent):
        _refuse_steep(convert, mode)
    return convert


def _by_greys(convert: Conversion) -> Conversion:
    """Returns the conversion of a grey image by the colours of its 256 greys."""
    bands = [
        np.asarray(band).ravel().tolist()
        for band in convert(Image.fromarray(np.arange(256, dtype=np.uint8)[None])).split()
    ]
    return lambda image: Image.merge("RGB", [image.point(band) for band in bands])


def _by_levels(coding: ColourCoding) -> Conversion:
    levels = np.rint(in_srgb(np.linspace(0, 1, 256)[:, None], coding) * 255).astype(int).ravel().tolist()
    return lambda image: image.point(levels * len(image.getbands())).convert("RGB")


def _by_cube(coding: ColourCoding) -> Conversion:
    axis = np.linspace(0, 1, _CUBE_POINTS)
    colours = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)[:, ::-1]  # red runs first
    cube = ImageFilter.Color3DLUT(_CUBE_POINTS, in_srgb(colours, coding).astype(np.float32).ravel())
    return lambda image: image.filter(cube)


def _is_same(convert: Conversion, mode: str) -> bool:
    if mode == "CMYK":
        return False
    greys, axis = np.arange(256, dtype=np.uint8), np.linspace(0, 255, _GRID_POINTS).astype(np.uint8)
    colours = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    colours = np.vstack([np.repeat(greys[:, None], 3, axis=1), colours[: 0 if mode == "L" else None]])
    image = Image.fromarray(colours[None]) if mode == "RGB" else Image.fromarray(colours[None, :, 0])
    return bool(np.abs(np.asarray(convert(image), np.int16)[0] - colours).max() <= SAME)


def _refuse_steep(convert: Conversion, mode: str) -> None:
    """Raises DecodersDisagree where a step of one level in all bands, or in one of them, is shown as a jump."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    rises = [np.eye(bands, dtype=np.uint8)[band] for band in range(bands)] + [np.ones(bands, np.uint8)]
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    rows = np.stack([base + ramp * rise for rise in rises for base in _bases(rise)])
    shown = np.asarray(convert(Image.fromarray(rows[..., 0] if bands == 1 else rows, mode)), np.int16)
    if np.abs(np.diff(shown, axis=1)).max() > STEEPEST:
        raise DecodersDisagree("colours declared so steeply that what is rounded decides what is seen")


def _bases(rise: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Returns black, and white in the bands that do not rise."""
    return [np.zeros_like(rise), np.where(rise, 0, 255).astype(np.uint8)]
