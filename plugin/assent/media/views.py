"""Converts a decoded image to what is looked at: its views over white and over black, in sRGB. Pure; for stage 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from assent.core.values import Frame, Pixels
from assent.media.colour import Conversion
from assent.media.frames import SIDE
from assent.media.layers import BLACK, WHITE, ImageLayers, differ, over
from assent.media.turns import TRANSPOSE

OUTPUT_SIDE = 4_096  # pixels
Converter = Callable[[str, bool], Conversion | None]  # of an image's mode, and whether parts of it are transparent


class Views(NamedTuple):
    """One image as it is looked at. `over_black` is None where it looks there as it does over white. `stored`: its
    pixels over white before colours were converted."""

    over_white: Frame
    over_black: Frame | None
    stored: Pixels


def views(layers: ImageLayers, convert: Converter, index: int, size: tuple[int, int], orientation: int) -> Views:
    """Converts, orients and shrinks one image; `size` is its own, before its decoder shrank it."""
    shown = _in_srgb(layers, convert)
    over_white = _finished(over(shown, WHITE), orientation)
    over_black = _finished(over(shown, BLACK), orientation) if shown.alpha and differ(shown.alpha) else None
    stored = over_white
    if index == 0 and (shown is not layers or layers.keyed):  # of other images none is compared
        stored = _finished(over(ImageLayers(layers.colours) if layers.keyed else layers, WHITE), orientation)
    scale = min(1.0, max(over_white.shape[:2]) / max(size))
    black = None if over_black is None else Frame(index, over_black, scale)
    return Views(Frame(index, over_white, scale), black, stored)


def small_copies(layers: ImageLayers, convert: Converter) -> tuple[Pixels, Pixels]:
    """Returns an image's copies of (16, 16, 3) over white and over black, in sRGB, not oriented."""
    shown = _in_srgb(layers, convert)
    if shown.colours.mode in {"L", "RGB", "RGBA"} and (shown.alpha is None or shown.alpha is shown.colours):
        small = shown.colours.resize((SIDE, SIDE), Image.Resampling.BOX)
        shown = ImageLayers(small, small if shown.alpha else None)
    white, black = (
        np.asarray(over(shown, backdrop).resize((SIDE, SIDE), Image.Resampling.BOX)) for backdrop in (WHITE, BLACK)
    )
    return white, black


def fitting(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size, shrunk to OUTPUT_SIDE where it is larger."""
    ratio = min(1.0, OUTPUT_SIDE / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def _in_srgb(layers: ImageLayers, convert: Converter) -> ImageLayers:
    """Returns the layers themselves where nothing is to be converted."""
    conversion = convert(layers.colours.mode.removesuffix("A"), layers.alpha is not None)
    if conversion is None:
        return layers
    colours = layers.colours
    return ImageLayers(conversion(colours.convert("RGB") if colours.mode == "RGBA" else colours), layers.alpha)


def _finished(rgb: Image.Image, orientation: int) -> Pixels:
    """Shrinks to what the decoder hands out, and turns."""
    if max(rgb.size) > OUTPUT_SIDE:
        rgb = rgb.resize(fitting(rgb.size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    if orientation in TRANSPOSE:
        rgb = rgb.transpose(TRANSPOSE[orientation])
    return np.asarray(rgb)
