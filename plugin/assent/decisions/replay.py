"""Converts the values that a decision was made from for storage, and reads them back. Pure.

Beside the perception lie the circumstances that a condition may ask about, and nothing else of the event: not the
author, not the image's address, not its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from assent.core.boxes import read_box
from assent.core.values import Box, Event, Face, Perception, Picture, Tag
from assent.decisions.document import from_json

_LOOKED_AT_BEFORE = 3  # first, middle and last, as decisions were made that do not say it


class Recorded(NamedTuple):
    """The arguments of `decide` for a recorded decision; `exact` is false where the circumstances were not kept."""

    event: Event
    picture: Picture
    perception: Perception
    matched: frozenset[int]
    exact: bool


def circumstances(event: Event, picture: Picture) -> dict[str, Any]:
    """Returns the circumstances of a decision as they are stored."""
    return {
        "type": event.type,
        "surface": event.surface,
        "visibility": event.visibility,
        "region": event.region,
        "lang": event.lang,
        "audience_age": event.audience_age,
        "frames": picture.frame_count,
        "looked_at": picture.looked_at,
        "partial": picture.partial,
    }


def recorded(row: Mapping[str, Any]) -> Recorded | None:
    """Reads a row of `decision` with the faces recorded as recognised; None where the image was not analysed."""
    perceptions, media = row["perceptions"], from_json(row["document"]).media
    if not perceptions:
        return None
    given = row["given"] or {"type": "media.created", "surface": "post", "visibility": "public", "frames": 1}
    event = Event(
        given["type"],
        (),
        given["visibility"],
        given["surface"],
        region=given.get("region"),
        lang=given.get("lang"),
        audience_age=given.get("audience_age"),
    )
    size = (media.width or 0, media.height or 0)
    count = given["frames"]
    looked_at = given.get("looked_at", min(count, _LOOKED_AT_BEFORE))
    picture = Picture(media.sha256 or "", media.format or "", *size, count, (), looked_at, given.get("partial", False))
    tags = tuple(
        Tag(tag["name"], tag["category"], tag["score"], _box(tag), tag["frame"], tag["model"])
        for tag in perceptions["tags"]
    )
    faces = tuple(
        Face(read_box(face["box"]), face["frame"], face["score"], face["quality"]) for face in perceptions["faces"]
    )
    perception = Perception(tags, faces, tuple(perceptions["models"]))
    return Recorded(event, picture, perception, frozenset(row["matched"]), row["given"] is not None)


def _box(tag: Mapping[str, Any]) -> Box | None:
    return None if tag["box"] is None else read_box(tag["box"])
