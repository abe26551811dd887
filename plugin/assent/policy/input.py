"""Builds `PolicyInput/1`, the values that a policy's conditions may ask about, for the CEL evaluator.

`score["nudity.explicit"]` is the strongest score among the tags of that label and of everything below it, 0.0 where
there is none. `near_face[…]` counts only tags with a face close by: a body part alone is often fruit (38 of 300
harmless grocery photos at score 0.25), so it is a matter for review.

Evaluating a condition takes about a microsecond, handing lists over to the evaluator a hundred. So only what a policy
names is built (`Needs`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import dist
from typing import Any, Literal

from pydantic import BaseModel, Field

from assent.core.boxes import area, centre
from assent.core.taxonomy import BY_NAME as LABELS
from assent.core.taxonomy import above as above
from assent.core.values import Category, Event, EventType, Face, Perception, Picture, Surface, Tag, Visibility

# A body part belongs to a face when its centre lies within this many face heights of the face's: an adult stands about
# 7.5 head heights tall, a face box is about three quarters of a head.
NEAR_FACE_HEIGHTS = 8.0
MAX_LIST = 256  # tags or faces that a condition can look through, the strongest first
BY_LABEL = ("score", "near_face")  # what is asked for by label or group


class FaceInput(BaseModel):
    """One face; width and height are shares of the image, 0–1."""

    subject: Literal["known", ""] = Field(description="known: somebody who agreed to be recognised; never who.")
    quality: float
    width: float
    height: float


class FacesInput(BaseModel):
    count: int
    matched: int = Field(description="Faces recognised with consent.")
    each: list[FaceInput] = Field(description="The largest 256.")


class TextInput(BaseModel):
    has_contact: bool
    has_payment: bool
    has_blocked: bool
    has_code: bool


class HashInput(BaseModel):
    listed: bool
    severe: bool


class FramesInput(BaseModel):
    """An animation's frames, a TIFF's pages, the images of one file."""

    count: int
    looked_at: int
    partial: bool = Field(description="Whether one that is not looked at differs from all that are.")


class MediaInput(BaseModel):
    width: int
    height: int
    format: str
    frames: FramesInput


class EventInput(BaseModel):
    """The circumstances of the event; an absent text is "", an absent age -1."""

    type: EventType
    surface: Surface
    visibility: Visibility
    region: str
    lang: str
    audience_age: int


class TagInput(BaseModel):
    name: str
    category: Category
    score: float
    frame: int
    near_face: bool


class PolicyInput(BaseModel):
    """The names that a condition may use. Tags below their label's threshold are in none of them."""

    score: dict[str, float] = Field(description="By label or group, 0.0 where nothing was seen.")
    near_face: dict[str, float] = Field(description="The same of tags with a face close by.")
    faces: FacesInput
    text: TextInput
    hash: HashInput
    media: MediaInput
    event: EventInput
    tags: list[TagInput] = Field(description="The strongest 256.")
    second_opinion: bool = Field(description="Whether a network was asked for `nsfw`, whatever it said.")


# Groups also where no installed model says anything of them, so that a policy does not depend on what is installed.
ROOTS = frozenset(
    {"nudity", "violence", "body", "object", "animal", "food", "scene", "product", "text", "hash", "colour"}
)
SECOND_OPINION = "nsfw"  # the label that is made whatever its score, where its network was asked
# What is asked for as true or false → the label or group of which a tag was seen.
FLAGS = {
    "text.has_contact": "text.contact",
    "text.has_payment": "text.payment",
    "text.has_blocked": "text.blocked",
    "text.has_code": "text.code",
    "hash.listed": "hash.known",
    "hash.severe": "hash.known.severe",
}


@dataclass(frozen=True, slots=True)
class Needs:
    """The names that the conditions of a policy use."""

    roots: frozenset[str]
    score: tuple[str, ...] = ()
    near_face: tuple[str, ...] = ()
    lists: frozenset[str] = frozenset()  # of `tags`, `faces.each`


@cache
def groups() -> frozenset[str]:
    """Returns every label and every group above one: `nudity`, `nudity.explicit`, `nudity.explicit.breast` …"""
    return frozenset(group for label in LABELS for group in above(label)) | ROOTS


def most_specific(tags: Mapping[int, Tag]) -> dict[int, Tag]:
    """Returns the tags without those of the whole frame that a more specific one of their model implies.

    A classifier scores `animal.dog` with whatever it gives to the dogs below it."""
    whole = [tag for tag in tags.values() if tag.box is None]
    implied = {(tag.model, group) for tag in whole for group in above(tag.name) if group != tag.name}
    return {n: tag for n, tag in tags.items() if tag.box is not None or (tag.model, tag.name) not in implied}


def policy_input(
    event: Event,
    picture: Picture,
    perception: Perception,
    tags: Sequence[Tag],
    matched: Collection[int],
    needs: Needs,
) -> dict[str, Any]:
    """Returns the values that the conditions need of one image.

    `tags` are those of the perception that count, `matched` the indices of its faces of people who were recognised.
    """
    faces = perception.faces
    values: dict[str, Any] = {}
    for name in needs.roots:
        match name:
            case "score":
                values[name] = strongest(tags, needs.score)
            case "near_face":
                labels = frozenset(needs.near_face)
                beside = (tag for tag in tags if not labels.isdisjoint(above(tag.name)) and is_near_face(tag, faces))
                values[name] = strongest(beside, needs.near_face)
            case "faces":
                values[name] = _faces(picture, faces, matched, "faces.each" in needs.lists)
            case "text" | "hash":
                values[name] = _flags(tags, f"{name}.")
            case "media":
                values[name] = _media(picture)
            case "event":
                values[name] = _event(event)
            case "tags":
                values[name] = _tags(tags, faces)
            case "second_opinion":
                values[name] = any(tag.name == SECOND_OPINION for tag in perception.tags)
    return values


def strongest(tags: Iterable[Tag], wanted: Iterable[str]) -> dict[str, float]:
    """Returns the highest score of each wanted label or group, 0.0 for those not seen."""
    scores = dict.fromkeys(wanted, 0.0)
    for tag in tags:
        for group in above(tag.name):
            if tag.score > scores.get(group, 1.0):
                scores[group] = tag.score
    return scores


def is_near_face(tag: Tag, faces: Sequence[Face]) -> bool:
    """Tells whether a face of the same frame is close enough for the tag to be a part of that body."""
    box = tag.box
    if box is None:
        return bool(faces)
    return any(
        face.frame == tag.frame and dist(centre(box), centre(face.box)) <= NEAR_FACE_HEIGHTS * face.box[3]
        for face in faces
    )


def _flags(tags: Sequence[Tag], root: str) -> dict[str, bool]:
    labels = {group for tag in tags for group in above(tag.name)}
    return {name.removeprefix(root): group in labels for name, group in FLAGS.items() if name.startswith(root)}


def _faces(picture: Picture, faces: Sequence[Face], matched: Collection[int], listed: bool) -> dict[str, Any]:
    values: dict[str, Any] = {"count": len(faces), "matched": len(matched)}
    if listed:
        largest = sorted(range(len(faces)), key=lambda n: -area(faces[n].box))[:MAX_LIST]
        values["each"] = [
            {
                "subject": "known" if n in matched else "",
                "quality": faces[n].quality,
                "width": faces[n].box[2] / picture.width,
                "height": faces[n].box[3] / picture.height,
            }
            for n in largest
        ]
    return values


def _media(picture: Picture) -> dict[str, Any]:
    return {
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "frames": {"count": picture.frame_count, "looked_at": picture.looked_at, "partial": picture.partial},
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "surface": event.surface,
        "visibility": event.visibility,
        "region": event.region or "",
        "lang": event.lang or "",
        "audience_age": event.audience_age if event.audience_age is not None else -1,
    }


def _tags(tags: Sequence[Tag], faces: Sequence[Face]) -> list[dict[str, Any]]:
    return [
        {
            "name": tag.name,
            "category": tag.category,
            "score": tag.score,
            "frame": tag.frame,
            "near_face": is_near_face(tag, faces),
        }
        for tag in sorted(tags, key=lambda tag: -tag.score)[:MAX_LIST]
    ]
