"""Splits an opened image into colours and alpha, and lays it over white and over black. Pure; for stage 2.

A page may be light or dark, so what is transparent is looked at over both, where they differ.
"""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, TiffImagePlugin

from assent.core.errors import DecodersDisagree
from assent.core.values import Pixels

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Over white and over black an image differs by 255 − alpha; it is looked at over both where that is more than this, on
# average, in any of 64 × 64 cells.
_DIFFERENT, _CELLS = 8, 64
_GREY, _RGB = 0, 2  # colour types of PNG that have a colour key
_PHOTOMETRIC = 262  # a tag of TIFF


class ImageLayers(NamedTuple):
    """An image as L, RGB, RGBA or CMYK of 8 bits, and where it is seen: L, or the image itself for its own alpha.

    `keyed`: it is a grey PNG that is clear where it has the grey that its tRNS names; OpenCV leaves that out."""

    colours: Image.Image
    alpha: Image.Image | None = None
    keyed: bool = False


def split(image: Image.Image, png: bytes | None) -> ImageLayers:
    """Splits a loaded image; `png`: the file's bytes, where it is a PNG."""
    colours = _of_eight_bits(image)
    if png is not None and (alpha := _keyed(image, colours, png)) is not None:
        return ImageLayers(colours, alpha, keyed=png[25] == _GREY)
    if image.mode == "LA":
        return ImageLayers(image.getchannel("L"), image.getchannel("A"))
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        return ImageLayers(layer, layer)
    return ImageLayers(colours if colours.mode in {"L", "RGB", "CMYK"} else colours.convert("RGB"))


def over(layers: ImageLayers, backdrop: tuple[int, int, int]) -> Image.Image:
    """Returns RGB: the image over a backdrop."""
    if layers.alpha is None:
        return layers.colours if layers.colours.mode == "RGB" else layers.colours.convert("RGB")
    canvas = Image.new("RGB", layers.colours.size, backdrop)
    colours = layers.colours
    canvas.paste(colours if colours.mode in {"RGB", "RGBA"} else colours.convert("RGB"), mask=layers.alpha)
    return canvas


def differ(alpha: Image.Image) -> bool:
    """Tells whether an image of that alpha looks otherwise over black than over white."""
    band = alpha if alpha.mode == "L" else alpha.getchannel("A")
    least, _ = band.resize((_CELLS, _CELLS), Image.Resampling.BOX).getextrema()
    return isinstance(least, int | float) and least < 255 - _DIFFERENT


def _of_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0:  # 0 is white
            grey = 255 - grey  # Pillow does it for 8 bits alone
        return Image.fromarray(grey)
    if image.mode in {"I", "F"}:
        return Image.fromarray(_by_range(np.asarray(image)))
    return image.convert("L") if image.mode == "1" else image


def _by_range(samples: NDArray[np.int32] | NDArray[np.float32]) -> Pixels:
    """Scales grey samples of undeclared range: 0–1 (floats), 0–255 or 0–65,535 if they fit, else lowest to highest."""
    values = np.nan_to_num(samples.astype(np.float32), copy=False, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    tops = [255.0, 65_535.0] if samples.dtype.kind == "i" else [1.0, 255.0, 65_535.0]
    top = next((top for top in tops if low >= 0 and high <= top), None)
    if top is None:
        values -= low
        top = max(high - low, 1.0)
    values *= 255.0 / top
    return np.rint(values, out=values).astype(np.uint8)


def _keyed(image: Image.Image, colours: Image.Image, png: bytes) -> Image.Image | None:
    """Returns the alpha that a PNG's colour key makes (L): 0 where a pixel has exactly that colour, of all its bits."""
    key = image.info.get("transparency")
    depth, kind = png[24], png[25]
    most = (1 << depth) - 1
    if kind == _GREY and isinstance(key, int):
        if depth == 16:
            return Image.fromarray(np.where(np.asarray(image) == key, 0, 255).astype(np.uint8))
        return _unless([colours], [(key & most) * 255 // most])
    if kind == _RGB and isinstance(key, tuple):
        if depth == 8:
            return _unless(colours.split(), [part & most for part in key])
        low = _low_bytes(png)
        return _unless([*colours.split(), *low.split()], [*(part >> 8 for part in key), *(part & 255 for part in key)])
    return None


def _low_bytes(png: bytes) -> Image.Image:
    """Decodes a PNG of 16 bits once more, for the lower byte of each sample: what stands first counts as the lower one
    elsewhere."""
    with Image.open(BytesIO(png), formats=["PNG"]) as image:
        if getattr(image, "is_animated", False):
            raise DecodersDisagree("an animated PNG with a colour key of 16 bits")
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        image.load()
        return image.convert("RGB")


def _unless(bands: list[Image.Image] | tuple[Image.Image, ...], key: list[int]) -> Image.Image:
    """Returns 0 where each band has its value of the key, else 255."""
    differing = [
        band.point([0 if value == part else 255 for value in range(256)]) for band, part in zip(bands, key, strict=True)
    ]
    alpha = differing[0]
    for band in differing[1:]:
        alpha = ImageChops.lighter(alpha, band)
    return alpha
