"""Draws coloured things: shaded shapes with folds, highlights and noise, on backgrounds, in three lights."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assent.core.values import Pixels

Floats = NDArray[np.float64]

# What the things are painted with, by the basic term that a person says: sRGB in daylight.
PAINTS: dict[str, tuple[str, ...]] = {
    "black": ("1a1a1a", "222428", "241f1e"),
    "white": ("f4f4f2", "eeebe6", "f0f3f6"),
    "grey": ("808080", "9a9c9e", "6e6c6a"),
    "red": ("c8102e", "a6192e", "d22630"),
    "orange": ("f57f20", "ff8200", "e57200"),
    "yellow": ("ffd100", "f6d10e", "fbe122"),
    "green": ("2e8b3d", "006b3f", "78be20"),
    "blue": ("1d4f9c", "0072ce", "7ba7d7"),
    "purple": ("5f259f", "7d3f98", "8b5fbf"),
    "pink": ("f4a6c0", "f06eaa", "e8b4c8"),
    "brown": ("6b4226", "7b4b2a", "5c3d2e"),
}
BACKGROUNDS = {"table": "e8e6e1", "grey": "9b9b9b", "wood": "a9794f", "cloth": "8c1d40"}
SHAPES = ("ball", "cup", "shirt")
# Chromaticities (x, y) of CIE's illuminants D65, A (a lamp, 2,856 K) and D75 (a cloudy sky, 7,500 K).
LIGHTS = {"daylight": (0.31272, 0.32903), "warm": (0.44757, 0.40745), "cool": (0.29902, 0.31485)}
SIDE = 160  # pixels
_SEEN = 0.3  # share of a light's cast that a camera leaves, which balances white, but not wholly
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def product_pictures() -> Iterator[tuple[str, str, Pixels]]:
    """Yields light, term and picture: every paint in every light, on shapes and backgrounds by turns."""
    for light in LIGHTS:
        for term, paints in PAINTS.items():
            for number, paint in enumerate(paints):
                for turn, shape in enumerate(SHAPES):
                    backgrounds = [name for name in BACKGROUNDS if not _alike(paint, BACKGROUNDS[name])]
                    yield light, term, product(shape, paint, backgrounds[(number + turn) % len(backgrounds)], light)


def product(shape: str, paint: str, background: str, light: str) -> Pixels:
    """Draws one thing of a paint (sRGB in hex), 160 × 160, saved as JPEG and opened again."""
    rng = np.random.default_rng([ord(letter) for letter in shape + paint + background + light])
    y, x = (axis / (SIDE - 1) * 2 - 1 for axis in np.mgrid[:SIDE, :SIDE].astype(float))
    mask, shading, highlight = _drawn(shape, x, y)
    behind = _linear(BACKGROUNDS[background]) * (0.85 - 0.15 * (x + y))[..., None]
    if background == "wood":
        behind *= (0.9 + 0.1 * np.sin(40 * y + 3 * np.sin(3 * x)))[..., None]
    shadow = np.exp(-(((x - 0.15) / 0.7) ** 2) - ((y - 0.75) / 0.25) ** 2)
    behind *= (1 - 0.5 * shadow)[..., None]
    thing = _linear(paint) * shading[..., None] + highlight[..., None]
    scene = np.where(mask[..., None], thing, behind) @ _cast(light).T
    scene += rng.normal(0, 0.008, scene.shape)
    return _saved(np.rint(255 * np.clip(scene, 0, 1) ** (1 / 2.2)).astype(np.uint8))


def _drawn(shape: str, x: Floats, y: Floats) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Returns where the thing is, how much light falls on it, and what of the light it mirrors."""
    if shape == "ball":
        height = np.sqrt(np.clip(0.36 - x**2 - y**2, 0, None)) / 0.6
        lit = np.clip((-0.5 * x - 0.6 * y) / 0.6 * 0.6 + 0.8 * height, 0, 1)
        return x**2 + y**2 < 0.36, 0.3 + 0.7 * lit, 0.6 * np.clip(lit - 0.93, 0, 1) / 0.07
    if shape == "cup":
        body = (np.abs(x) < 0.42 - 0.06 * y) & (np.abs(y) < 0.55)
        ring = np.hypot(x - 0.5, y)
        handle = (ring > 0.16) & (ring < 0.25) & (x > 0.4)
        lit = np.clip(0.55 + 0.45 * np.cos(2.2 * (x + 0.25)), 0, 1)
        return body | handle, 0.25 + 0.75 * lit, 0.5 * np.exp(-(((x + 0.25) / 0.04) ** 2))
    trunk = (np.abs(x) < 0.42) & (np.abs(y) < 0.65)
    sleeves = (np.abs(x) < 0.78) & (y > -0.65 + 0.35 * (np.abs(x) - 0.42)) & (y < -0.2 + 0.35 * (np.abs(x) - 0.42))
    folds = 0.78 + 0.12 * np.sin(9 * x + 4 * y) + 0.1 * np.sin(23 * x - 6 * y * y)
    neck = x**2 + (y + 0.72) ** 2 < 0.03
    return (trunk | sleeves) & ~neck, folds, np.zeros_like(x)


def _cast(light: str) -> Floats:
    """Returns what a light that is not wholly balanced does to linear sRGB, (3, 3), by Bradford's adaptation."""
    cones = [_BRADFORD @ np.array([x / y, 1, (1 - x - y) / y]) for x, y in (LIGHTS["daylight"], LIGHTS[light])]
    gains = (cones[1] / cones[0]) ** _SEEN
    return np.asarray(np.linalg.inv(_XYZ) @ np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ _XYZ)


def _linear(code: str) -> Floats:
    return (np.array(list(bytes.fromhex(code))) / 255) ** 2.2


def _alike(one: str, other: str) -> bool:
    return bool(np.abs(_linear(one) - _linear(other)).max() < 0.2)


def _saved(pixels: Pixels) -> Pixels:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB"))
