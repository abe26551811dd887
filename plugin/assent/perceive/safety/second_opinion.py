"""Asks a network about whole frames whether they are pornographic: the second opinion on nudity.

The detector of body parts sees a part and takes fruit for it; this network sees the picture and makes other mistakes.
What follows from both is the policy's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Tag
from assent.perceive.frames.tiles import tiles
from assent.perceive.networks.backend import LoadedModel, classify


def ask_about_frames(model: LoadedModel | None, frames: Sequence[Frame]) -> list[list[Tag]]:
    """Returns each frame's tags, one of each label of the network; none without a network.

    A tag is made whatever its score (0–1, four decimals), so that a policy knows that the network was asked. Of a wide
    or large frame the tiles are seen too, as the detector of body parts sees them, and the strongest score counts: what
    is found in a part is not doubted for being small in the whole."""
    if model is None:
        return [[] for _ in frames]
    parts = tiles(frames)
    rows = classify(model, [*(frame.pixels for frame in frames), *(part.pixels for part in parts)])
    owners = [*range(len(frames)), *(part.frame for part in parts)]
    best: list[dict[str, float]] = [{} for _ in frames]
    for owner, scores in zip(owners, rows, strict=True):
        for name, score in zip(model.names, scores.tolist(), strict=True):
            if name is not None:
                best[owner][name] = max(score, best[owner].get(name, 0.0))
    return [
        [Tag(name, BY_NAME[name].category, round(score, 4), None, frame.index, model.id) for name, score in own.items()]
        for frame, own in zip(frames, best, strict=True)
    ]
