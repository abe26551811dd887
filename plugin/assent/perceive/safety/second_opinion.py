"""Asks a network about whole frames whether they are pornographic: the second opinion on nudity.

The detector of body parts sees a part and takes fruit for it; this network sees the picture and makes other mistakes.
What follows from both is the policy's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Tag
from assent.perceive.frames.tiles import tiles
from assent.perceive.networks.backend import LoadedModel, classify

# The score that a part of a frame gives at most: it may confirm what the detector of body parts sees there, and is
# never sure by itself. Of 50 everyday photos at 17 megapixels one has a part of 0.80 and more, none such a whole.
_PART_MOST = 0.5


def ask_about_frames(model: LoadedModel | None, frames: Sequence[Frame]) -> list[list[Tag]]:
    """Returns each frame's tags, one of each label of the network; none without a network.

    A tag is made whatever its score (0–1, four decimals), so that a policy knows that the network was asked. Of a wide
    or large frame the tiles are seen too, as the detector of body parts sees them; the strongest score counts, a tile's
    up to 0.5: what is found in a part is not doubted for being small in the whole."""
    if model is None:
        return [[] for _ in frames]
    parts = tiles(frames)
    rows = classify(model, [*(frame.pixels for frame in frames), *(part.pixels for part in parts)])
    whole, of_parts = rows[: len(frames)], rows[len(frames) :]
    best = [scores.copy() for scores in whole]
    for part, scores in zip(parts, of_parts, strict=True):
        best[part.frame] = np.maximum(best[part.frame], np.minimum(scores, _PART_MOST))
    return [
        [
            Tag(name, BY_NAME[name].category, round(score, 4), None, frame.index, model.id)
            for name, score in zip(model.names, scores.tolist(), strict=True)
            if name is not None
        ]
        for frame, scores in zip(frames, best, strict=True)
    ]
