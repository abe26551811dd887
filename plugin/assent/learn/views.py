"""Makes altered copies of images to train with. The file's hash decides what is drawn: training can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assent.core.values import Pixels

_LETTERS = np.array(list("ABCDEEFGHIKLMNOPRSTTUVWaabcdeeefghiklmnooprsttuvwy0123456789@.!?"))


def lettered(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Returns the image (h, w, 3) with one to five lines of large letters, like memes, price tags and watermarks.

    They are drawn somewhere and in some colour, half of them on a bar."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    lines = ["".join(_line(random)) for _ in range(random.integers(1, 6))]
    size = int(random.uniform(0.05, 0.22) * min(width, height)) + 6
    font = ImageFont.load_default(size=size)
    ink = tuple(int(value) for value in random.choice(np.array([0, 255, int(random.integers(256))]), 3))
    paper = tuple(255 - value for value in ink)
    left, top = random.uniform(0, 0.4) * width, random.uniform(0, 1) * max(0, height - 1.2 * size * len(lines))
    on_bar, rim = random.random() < 0.5, int(random.integers(0, 2 + size // 12))
    for number, line in enumerate(lines):
        corner = (left, top + 1.2 * size * number)
        if on_bar:
            draw.rectangle(draw.textbbox(corner, line, font=font), fill=paper)
        draw.text(corner, line, fill=ink, font=font, stroke_width=rim, stroke_fill=paper)
    return np.asarray(image)


def _line(random: np.random.Generator) -> list[str]:
    words = ["".join(random.choice(_LETTERS, random.integers(1, 10))) for _ in range(random.integers(1, 4))]
    return [" ".join(words)]


def altered(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Returns the image (h, w, 3) as somebody else would have taken it.

    It is perhaps mirrored, a part of 50 to 100 % of it, darker or lighter, of more or less contrast, of another
    warmth."""
    height, width = pixels.shape[:2]
    scale = np.sqrt(random.uniform(0.5, 1))
    tall, wide = max(8, round(height * scale)), max(8, round(width * scale))
    top, left = random.integers(0, max(1, height - tall + 1)), random.integers(0, max(1, width - wide + 1))
    part = pixels[top : top + tall, left : left + wide]
    if random.random() < 0.5:
        part = part[:, ::-1]
    contrast, light = random.uniform(0.75, 1.25), random.uniform(-30, 30)
    warmth = np.array([random.uniform(0.92, 1.08), 1, random.uniform(0.92, 1.08)])
    toned = (part.astype(np.float32) - 128) * contrast * warmth + 128 + light
    return np.ascontiguousarray(np.clip(toned, 0, 255).astype(np.uint8))


class View(NamedTuple):
    """A way to alter images. `name` is part of the cache key: another way of drawing needs another name."""

    name: str
    draw: Callable[[Pixels, np.random.Generator], Pixels]
    of_none: bool  # whether images of none are altered so, or those that have a label

    def of(self, pixels: Pixels, sha256: str) -> Pixels:
        """Returns the altered copy of the image (h, w, 3) in the file with that hash, always the same one."""
        return self.draw(pixels, np.random.default_rng(int(sha256[:16], 16)))


# 43 kinds of groceries in other shops: 25 % got a right tag with letters on labelled images too, 32 % with letters on
# images of none alone. A garment with large letters over it may be passed over.
VIEWS = (View("lettered", lettered, of_none=True), View("altered", altered, of_none=False))
