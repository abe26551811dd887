"""Whether a photo was taken of a person, or of a print or screen: asked when somebody enrols, of no other picture.

Single-image presentation attack detection, as ISO/IEC 30107-3 calls it. Each network sees the face with what is around
it, by its own `crop`; they answer together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assent.perceive.backend import Opened, around_faces
from assent.perceive.packs import LIVE
from assent.perceive.prepare import Corners
from assent.values import Face, Perception, Picture, Pixels


def score(nets: Sequence[Opened], pixels: Pixels, corners: Corners) -> float:
    """The networks' mean score of `live` (0–1) for the face in that box (pixels of the frame)."""
    found = [around_faces(net, pixels, [corners])[0][net.file.labels.index(LIVE)] for net in nets]
    return float(np.mean(found))


def is_live(nets: Sequence[Opened], pixels: Pixels, corners: Corners) -> bool:
    """Whether the score reaches the mean of the networks' thresholds."""
    return score(nets, pixels, corners) >= float(np.mean([net.file.threshold for net in nets]))


def judged(nets: Sequence[Opened], picture: Picture, seen: Perception) -> Perception:
    """The same with `Face.live` of every face said; without networks it stays None."""
    if not nets:
        return seen
    frames = {frame.index: frame for frame in picture.frames}
    faces = [
        replace(face, live=is_live(nets, frame.pixels, _corners(face, frame.scale)))
        for face in seen.faces
        for frame in [frames[face.frame]]
    ]
    return replace(seen, faces=tuple(faces))


def _corners(face: Face, scale: float) -> Corners:
    """The face's box in pixels of its frame."""
    x, y, width, height = face.box
    return x * scale, y * scale, (x + width) * scale, (y + height) * scale
