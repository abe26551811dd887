"""Shared by tests of harmless files: a photo without sharp edges, and reading by both decoders."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from assent.media.compare import confirm
from assent.media.decode import Decoded, decode

NOISE = np.random.default_rng(20261127).integers(0, 256, (96, 128, 3), np.uint8)
PHOTO = Image.fromarray(NOISE).filter(ImageFilter.GaussianBlur(4))
PIXELS = np.asarray(PHOTO)


def read_by_both(data: bytes) -> Decoded:
    decoded = decode(data)
    confirm(data, decoded)
    return decoded
