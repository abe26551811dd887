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


class View(NamedTuple):
    """A way to alter images. `name` is part of the cache key: another way of drawing needs another name."""

    name: str
    draw: Callable[[Pixels, np.random.Generator], Pixels]

    def of(self, pixels: Pixels, sha256: str) -> Pixels:
        """Returns the altered copy of the image (h, w, 3) in the file with that hash, always the same one."""
        return self.draw(pixels, np.random.default_rng(int(sha256[:16], 16)))


# Of images of none alone: a garment with large letters over it may be passed over.
LETTERED = View("lettered", lettered)
# Of images of a label: what is worn or sold is so either way round.
MIRRORED = View("mirrored", lambda pixels, _: pixels[:, ::-1])
