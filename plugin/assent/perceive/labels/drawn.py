"""Tells drawings from photos: classifiers of whole frames know photos alone, and call a cake that is drawn a joystick.

Pure. Of 227 drawings (letters, symbols, icons, cartoons) a label reached 0.5 on 44, and was right on 10 of these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assent.core.values import Pixels, Tag

# Of 6,885 photos (groceries, clothes, everyday, faces) none is so flat, 4 from 0.5 up; of the 44 drawings 33. Chosen on
# a third of these photos and on those drawings: `python -m tests.bench.drawn`.
_FLAT = 0.6
_SIDE = 256  # of every so many pixels one is looked at: in a large blurred photo neighbours are equal too
_LEAST_PAIRS = 0.002  # of all pairs: below, there is nothing but a background
# A network's photos of these were drawn as well.
_DRAWN_LABELS = ("scene.screenshot", "object.document.comic", "object.document.crossword")


def without_drawings(tags: Sequence[Tag], pixels: Pixels) -> list[Tag]:
    """Returns those tags of a frame, by classifiers of the whole of it, that may be said although it is drawn."""
    kept = [tag for tag in tags if tag.name in _DRAWN_LABELS]
    return kept if len(kept) < len(tags) and is_drawn(pixels) else list(tags)


def is_drawn(pixels: Pixels) -> bool:
    """Tells whether a frame is too flat for a photo."""
    return flatness(pixels) > _FLAT


def flatness(pixels: Pixels) -> float:
    """Returns the share (0–1) of neighbours beside the background that have one colour; 1 where all is background.

    The background is the colour that the border has most. A camera's noise leaves few such neighbours, also in a photo
    that was cut out and put on white."""
    step = -(-max(pixels.shape) // _SIDE)
    small = pixels[::step, ::step].astype(np.int32)
    colours = small[..., 0] << 16 | small[..., 1] << 8 | small[..., 2]
    border, counts = np.unique(
        np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]]), return_counts=True
    )
    foreground = colours != border[counts.argmax()]
    pairs = foreground[:, 1:] & foreground[:, :-1]
    if pairs.sum() < max(1.0, _LEAST_PAIRS * pairs.size):
        return 1.0
    return float((colours[:, 1:] == colours[:, :-1])[pairs].mean())
