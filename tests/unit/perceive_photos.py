"""Real photos that come inside installed packages, and the default pack opened on them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from assent.core.values import Frame, Picture, Pixels
from assent.media.codes import find_codes
from tests.installed import need, package_file
from tests.photos import FACES

if TYPE_CHECKING:
    from assent.perceive import Models

SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "page.png", "text.png")
INSIGHTFACE = ("t1.jpg", "Tom_Hanks_54745.png", "mask_black.jpg", "mask_blue.jpg", "mask_green.jpg", "mask_white.jpg")


def photo_path(name: str) -> Path:
    package, folder = ("insightface", "data/images") if name in INSIGHTFACE else ("skimage", "data")
    return package_file(package, f"{folder}/{name}")


@cache
def photo(name: str) -> Pixels:
    return read(photo_path(name))


def read(path: Path) -> Pixels:
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    pixels.flags.writeable = False
    return pixels


def with_code(text: str, side: int = 200) -> Pixels:
    """A photo with a QR code of that side at (300, 100)."""
    code = Image.fromarray(np.asarray(cv2.QRCodeEncoder.create().encode(text)))
    image = Image.fromarray(photo("coffee.png"))
    image.paste(code.resize((side, side), Image.Resampling.NEAREST), (300, 100))
    return np.asarray(image)


def picture(*frames: Pixels, scale: float = 1.0) -> Picture:
    """A picture of frames, each `scale` pixels per pixel of the oriented image."""
    height, width = frames[0].shape[:2]
    made = tuple(Frame(index, pixels, scale, codes=find_codes(pixels)) for index, pixels in enumerate(frames))
    return Picture("0" * 64, "png", round(width / scale), round(height / scale), len(frames), made)


def known_people() -> dict[str, list[Path]]:
    """Photos by person, from the developers' data folder; skips where that is not at hand."""
    root = Path(os.environ.get("ASSENT_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "faces"
    if not root.is_dir():
        need("needs photos of known people in ASSENT_TEST_DATA/faces/<person>/")
    return {folder.name: sorted(folder.iterdir()) for folder in sorted(root.iterdir()) if folder.is_dir()}


@cache
def models(folder: Path) -> Models:
    from assent.perceive import load_models  # here, so that tests of pixels alone wait for no network library

    return load_models(folder, threads=2)


def head(name: str) -> Pixels:
    """One of the six people, 150 pixels wide."""
    x, y, width, height = FACES[name]
    part = photo("t1.jpg")[max(0, y - height // 3) : y + height * 4 // 3, max(0, x - width // 3) : x + width * 4 // 3]
    return np.asarray(cv2.resize(part, (150, 150)), np.uint8)


def noisy(pixels: Pixels) -> Pixels:
    """Those pixels with noise of a standard deviation of 25 of 255."""
    added = np.random.default_rng(3).normal(0, 25, pixels.shape)
    return np.asarray(np.clip(pixels + added, 0, 255), np.uint8)
