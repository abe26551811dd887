"""Lists every view of an image that somebody may be shown, for the models, and joins what they return. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from assent.core.values import Perception, Picture
from assent.perceive.backdrops import joined_backdrops, with_backdrops
from assent.perceive.turned import joined_turns, with_turns


def every_view(pictures: Sequence[Picture]) -> list[Picture]:
    """Returns each image in both turns and over both backdrops, where these differ."""
    return with_backdrops(with_turns(pictures))


def joined_views(pictures: Sequence[Picture], perceptions: Sequence[Perception]) -> tuple[Perception, ...]:
    """Returns one perception for each image, from those of `every_view`."""
    return tuple(joined_turns(pictures, [*joined_backdrops(with_turns(pictures), perceptions)]))
