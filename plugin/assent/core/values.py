"""Defines the values that the pipeline passes on. All are frozen; none does I/O.

Pixels are RGB, uint8, shape (height, width, 3). Boxes are pixels of the oriented image (EXIF orientation applied
once), `(x, y, width, height)`, whatever size a model saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Literal, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from assent.core.errors import AssentError

Box = tuple[int, int, int, int]
Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]
Category = Literal["safety", "face", "scene", "object", "product", "text", "hash", "colour"]
Visibility = Literal["public", "unlisted", "followers", "direct"]
Surface = Literal["post", "avatar", "message", "story"]
EventType = Literal["media.created", "media.updated", "media.deleted"]
Band = Literal["strong", "likely"]
Approval = Literal["never", "others", "always"]
Audience = Literal["platform", "author", "person", "public"]  # who reads a document
ActionName = Literal["allow", "label", "limit", "review", "block"]


class Action(IntEnum):
    """The action that the platform is asked to take, weakest first. The strongest of all rules that hold wins."""

    allow = 0
    label = 1
    limit = 2
    review = 3
    block = 4


class MediaItem(NamedTuple):
    """The name of a media item: the source that brought it, and the id that it has there.

    The same id from two sources is two media items."""

    source: str
    id: str

    def key(self, tenant: str) -> dict[str, str]:
        """Returns the parameters `tenant`, `source` and `media` of a query."""
        return {"tenant": tenant, "source": self.source, "media": self.id}


@dataclass(frozen=True, slots=True)
class MediaRef:
    """One media item of an event, as the platform names it."""

    id: str
    url: str | None  # None: the bytes came with the request
    alt: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event, `assent.event/1`, as its adapter returned it."""

    type: EventType
    media: tuple[MediaRef, ...]
    visibility: Visibility
    surface: Surface
    author: str | None = None
    connections: tuple[str, ...] = ()  # subjects who chose the author, as the platform states
    region: str | None = None
    audience_age: int | None = None
    lang: str | None = None
    revision: int | None = None  # of the media items, where the platform states one
    at: datetime | None = None  # when it happened, by the platform's clock


class Code(NamedTuple):
    """A QR code in a frame: whether it can be read, the label of its purpose where its text has one, and its corners
    (left, top, right, bottom) in pixels of the frame. The text itself is kept nowhere."""

    legible: bool
    purpose: str | None
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame; `scale` is pixels of the frame per pixel of the oriented image (≤ 1). `pdqs`: its PDQ hash,
    32 bytes, then those of its seven turns and mirrorings; none where it has too little detail for one. `codes`: its QR
    codes; None where none were looked for."""

    index: int
    pixels: Pixels
    scale: float
    pdqs: tuple[bytes, ...] = ()
    codes: tuple[Code, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One decoded file: its identity, its oriented size in pixels and the frames that are analysed, with alpha over
    white; `over_black`: those of them that look otherwise over black, analysed as well.

    `partial`: one of its frames is not looked at and differs from all that are. `other_turn`: the EXIF orientation that
    some viewers would apply to its frames, which are analysed in that turn too; 1 where none would."""

    sha256: str
    format: str  # jpeg png webp gif avif heic tiff bmp
    width: int
    height: int
    frame_count: int
    frames: tuple[Frame, ...]
    looked_at: int = 1  # of frame_count
    partial: bool = False
    other_turn: int = 1
    over_black: tuple[Frame, ...] = ()

    @property
    def pdq(self) -> str | None:
        """Returns the first frame's PDQ hash in hex."""
        return self.frames[0].pdqs[0].hex() if self.frames and self.frames[0].pdqs else None


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag that a model returned: dotted label, score 0–1, box or None for the whole frame."""

    name: str
    category: Category
    score: float
    box: Box | None
    frame: int
    model: str  # "<the model's name>@<first 12 of the file's sha256>"


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A detected face. `embedding` (unit length, centred by the model's calibration mean) lives in memory only:
    it has no serialisation, and it is absent where the face is too small to compare."""

    box: Box
    frame: int
    score: float
    quality: float  # 0–1
    sharpness: float = 0.0  # 0–1, as perceive.faces measures it
    pose: float = 0.0  # 0–1, 1 = frontal, 0 = no landmarks found; 1 also where none were looked for
    embedding: Vector | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """The labels of one image by a head in shadow, beside those by the live heads among the labels that it knows."""

    head: str  # sha256 of its manifest
    live: tuple[str, ...]
    candidate: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Perception:
    """All that the models returned for one image, from score 0.05 up. `features` lives in memory only; `trials` is
    counted and stands in no document."""

    tags: tuple[Tag, ...]
    faces: tuple[Face, ...]
    models: tuple[str, ...]
    embedder: str = ""  # the one of `models` that made the embeddings; empty where none were asked for
    # (width,), what heads read, by frame; of a frame over black by ~frame
    features: Mapping[int, Vector] = field(default_factory=dict, repr=False)
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A face recognised as a subject; it is checked against the consent when it is recorded."""

    face: int  # index in Perception.faces
    pseudonym: bytes
    template: UUID
    version: int
    band: Band


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule whose condition held, with a reason that a person can read."""

    id: str
    because: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """A tag left out of an audience view, with the rule, filter or label of the policy that withholds it."""

    audience: Audience
    name: str
    by: str


@dataclass(frozen=True, slots=True)
class AudienceView:
    """One audience view: tags by their place in `Perception.tags`, each with the name that this audience reads."""

    tags: tuple[tuple[int, str], ...]
    faces: bool
    matches: bool


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """A queue in which an image waits for a moderator; of one queue, higher priorities come first."""

    queue: str = "default"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class WantedAct:
    """An act at the platform (`policy.acts`) that a rule asks for, and the rule's reason in words, where it has one."""

    act: str
    rule: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The policy's verdict on one analysis; `tags` are those that the platform receives."""

    action: Action
    tags: tuple[Tag, ...]
    rules: tuple[Rule, ...]
    approval: Approval = "never"  # when a match waits for the person's own yes
    audience_views: Mapping[Audience, AudienceView] = field(default_factory=dict)
    withheld: tuple[Withheld, ...] = ()
    redact: tuple[Box, ...] = ()  # what is hidden in the redacted picture, beside faces
    review: ReviewQueue | None = None  # None: nobody has to look
    notify: tuple[Audience, ...] = ()  # whose endpoints hear of it, beside the platform's
    broken: tuple[str, ...] = ()  # rules whose condition could not be evaluated
    acts: tuple[WantedAct, ...] = ()  # what is to be done at the platform itself


@dataclass(frozen=True, slots=True)
class PolicyRef:
    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """The place of an action in the tenant's audit log: the number of its leaf and its time."""

    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ModeratorDecision:
    """An action that a moderator decided on, with what they were shown.

    That is the action of models and policy alone, its rules, and the strongest score of each label in the perception.
    """

    action: Action
    at: datetime
    automated_action: Action
    automated_rules: frozenset[str]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ModerationHistory:
    """All moderator decisions on one file of a tenant: labels confirmed or denied, the action, areas to be hidden."""

    labels: Mapping[str, bool]
    decision: ModeratorDecision | None = None
    hidden: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ModeratedVerdict:
    """A verdict that takes a moderator decision into account.

    `automated` is the verdict of models and policy without it. `perception` is the one that the policy read, its own
    tags first. `new_evidence` says what the moderator was not shown; it is empty where their action holds or they
    decided on none.
    """

    verdict: Verdict
    automated: Verdict
    perception: Perception
    added: tuple[str, ...]
    removed: tuple[str, ...]
    decision: ModeratorDecision | None
    new_evidence: str
    hidden: tuple[Box, ...] = ()  # the areas that moderators hid

    @property
    def holds(self) -> bool:
        """Tells whether the moderator's action is the verdict's."""
        return self.decision is not None and not self.new_evidence


HASH_SEVERE = "hash-severe"  # the rule that no policy can change, and the reason of the review case


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The analysis of one image that went through stages 1 to 6."""

    picture: Picture
    perception: Perception
    matches: tuple[Match, ...]
    verdict: Verdict
    moderated: ModeratedVerdict | None = None  # where moderator decisions on the same file went into the verdict
    unmatched: bool = False  # True: there was no room for a gallery, so no face was compared


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An image on a hash list that is marked severe. No model saw it and no policy was evaluated. Nothing of it but the
    file's sha256 is kept here; the action is `block`, and a person has to act."""

    tags: tuple[Tag, ...]
    rules: tuple[Rule, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Unprocessable:
    """An image that could not be analysed: it is never "clean" and always goes to review."""

    error: AssentError
