"""What a policy's conditions may ask about: precomputed scalars, one dictionary for the CEL evaluator.

`score["nudity.explicit"]` is the strongest score among the tags of that label and of everything below it, 0.0 where
there is none; `near_face[…]` counts only tags with a face close by: a body part alone is often fruit
(38 of 300 harmless grocery photos at score 0.25), so it is a matter for review.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from math import dist
from typing import Any

from assent.taxonomy import BY_NAME as LABELS
from assent.values import Box, Event, Face, Perception, Picture, Tag

# A body part belongs to a face when its centre lies within this many face heights of the face's: an adult stands about
# 7.5 head heights tall, a face box is about three quarters of a head.
NEAR_FACE_HEIGHTS = 8.0


@cache
def groups() -> tuple[str, ...]:
    """Every label and every label above it: `nudity`, `nudity.explicit`, `nudity.explicit.breast` …"""
    return tuple(sorted({group for label in LABELS for group in above(label)}))


@cache
def above(label: str) -> tuple[str, ...]:
    """The label and all labels above it, longest last."""
    parts = label.split(".")
    return tuple(".".join(parts[: n + 1]) for n in range(len(parts)))


def policy_input(event: Event, picture: Picture, seen: Perception, matched: int = 0) -> dict[str, Any]:
    """The names a condition may use, with their values for this picture."""
    return {
        "score": strongest(seen.tags),
        "near_face": strongest(tag for tag in seen.tags if is_near(tag, seen.faces)),
        "faces": {"count": len(seen.faces), "matched": matched},
        "media": {
            "width": picture.width,
            "height": picture.height,
            "format": picture.format,
            "frames": picture.frame_count,
        },
        "event": {
            "type": event.type,
            "surface": event.surface,
            "visibility": event.visibility,
            "region": event.region or "",
            "lang": event.lang or "",
            "audience_age": event.audience_age if event.audience_age is not None else -1,
        },
    }


def strongest(tags: Iterable[Tag]) -> dict[str, float]:
    """The highest score by label and group, 0.0 for those not seen."""
    scores = dict.fromkeys(groups(), 0.0)
    for tag in tags:
        for group in above(tag.name):
            scores[group] = max(scores.get(group, 0.0), tag.score)
    return scores


def is_near(tag: Tag, faces: Sequence[Face]) -> bool:
    """Whether a face of the same frame is close enough for the tag to be a part of that body."""
    box = tag.box
    if box is None:
        return bool(faces)
    return any(
        face.frame == tag.frame and dist(_centre(box), _centre(face.box)) <= NEAR_FACE_HEIGHTS * face.box[3]
        for face in faces
    )


def _centre(box: Box) -> tuple[float, float]:
    x, y, width, height = box
    return x + width / 2, y + height / 2
