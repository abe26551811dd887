"""Tells whether a face was taken from a living person, or from a print or a screen that was photographed.

This is presentation attack detection on a single image (ISO/IEC 30107-3), by all networks of the role `liveness`
together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assent.core.boxes import corners_of
from assent.core.values import Face, Picture
from assent.perceive.networks.backend import LoadedModel, around_faces


def is_live(nets: Sequence[LoadedModel], picture: Picture, face: Face) -> bool:
    """Tells whether the networks' mean probability of their class `live` reaches the manifest's threshold.

    Without a network every face counts as live. `face` is one of that image."""
    if not nets:
        return True
    frame = next(frame for frame in picture.frames if frame.index == face.frame)
    corners = corners_of(face.box, frame.scale)
    scores = [around_faces(net, frame.pixels, [corners])[0][net.file.labels.index("live")] for net in nets]
    return float(np.mean(scores)) >= nets[0].file.threshold
