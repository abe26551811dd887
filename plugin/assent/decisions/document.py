"""Defines `assent.decision/1`, the decision on a media item as it is stored, sent and shown. Pure.

No identity lies in a stored decision, a job or an outbox message. Subjects are named when a decision is assembled for
an audience (`assemble`), after consents were read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from assent.core.clock import rfc3339
from assent.core.errors import DecisionUnreadable
from assent.core.strict import explain_invalid
from assent.core.values import (
    Action,
    ActionName,
    Analysis,
    Audience,
    Band,
    Box,
    MediaRef,
    ModeratedVerdict,
    Perception,
    PolicyRef,
    Quarantined,
    ReviewQueue,
    Rule,
    Tag,
    Unprocessable,
    Verdict,
)

_T = TypeVar("_T")
SEVERE_QUEUE = ReviewQueue("severe", 100)  # where a media item of a severe list is decided on, before everything else


def _is_absent(part: object) -> bool:
    return part is None


def _is_empty(part: object) -> bool:
    return part == ()


def _never_null(schema: dict[str, Any]) -> None:
    (part,) = (kind for kind in schema.pop("anyOf") if kind != {"type": "null"})
    schema |= part
    del schema["default"]


# Left out of the JSON, not null, where a decision has no such part.
_OPTIONAL = Field(exclude_if=_is_absent, json_schema_extra=_never_null)


@dataclass(frozen=True, slots=True)
class DecidedFrames:
    """The images that the file holds, the number of those looked at, and whether one of the others differs from all."""

    count: int
    looked_at: int
    partial: bool = False


@dataclass(frozen=True, slots=True)
class DecidedMedia:
    """The media item: the platform's id, and what is known of its file; all null where it could not be decoded."""

    id: str
    sha256: str | None = None
    pdq: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    frames: Annotated[DecidedFrames | None, _OPTIONAL] = None  # absent where it was not decoded, and in older decisions


@dataclass(frozen=True, slots=True)
class NamedMatch:
    """A match for an audience that may know the subject: the platform's own id, never a score."""

    subject: str
    band: Band
    state: Literal["suggested", "published"]


@dataclass(frozen=True, slots=True)
class DecidedFace:
    """A face: `(x, y, width, height)` in pixels of the oriented image, quality 0–1."""

    box: Box
    frame: int
    quality: float
    match: NamedMatch | None = None


@dataclass(frozen=True, slots=True)
class WithheldLabels:
    """The number of labels withheld from the platform, and the policy's rule, filter or label that withholds them."""

    by: str
    labels: int


@dataclass(frozen=True, slots=True)
class Automated:
    """The action and rules of models and policy without any moderator."""

    action: ActionName
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModeratedAction:
    """An action that a moderator decided on, and when (RFC 3339)."""

    action: ActionName
    at: str


@dataclass(frozen=True, slots=True)
class Moderation:
    """The effect of moderators' decisions on the same file on this decision.

    It never says who they are, nor on which media item they decided: that one may be deleted before this one.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    decided: ModeratedAction | None
    holds: bool
    new_evidence: Annotated[str | None, Field(alias="news")]
    automated: Annotated[Automated, Field(alias="alone")]
    hidden: Annotated[tuple[Box, ...], Field(exclude_if=_is_empty)] = ()  # areas, left out where there are none


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A moderator's changes to this decision and their time (RFC 3339), never who made them.

    `action` is the last that a moderator decided on, None where they corrected labels only. `hidden` are all the areas
    that moderators hid; it is left out where there are none.
    """

    at: str
    was: ActionName
    action: ActionName | None
    automated: Annotated[Automated, Field(alias="alone")]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    hidden: Annotated[tuple[Box, ...], Field(exclude_if=_is_empty)] = ()


@dataclass(frozen=True, slots=True)
class DecisionError:
    """The reason that a media item could not be analysed: the error's code and detail."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class LeafRef:
    """The decision's leaf in the tenant's audit log, and the log's signed checkpoint when the decision was sent."""

    leaf: int
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One `assent.decision/1`, in the order of its JSON. Parts with a default may be missing from older decisions."""

    schema: Literal["assent.decision/1"] = "assent.decision/1"
    event: str | None
    tenant: str
    revision: int
    audience: Literal["platform"] = "platform"
    source: Annotated[str | None, _OPTIONAL] = None  # of the media item; filled in when it is assembled
    media: DecidedMedia
    tags: tuple[Tag, ...]
    faces: tuple[DecidedFace, ...]
    action: ActionName
    rules: tuple[Rule, ...]
    withheld: tuple[WithheldLabels, ...] = ()
    redact: tuple[Box, ...] = ()
    review: ReviewQueue | None = None
    notify: tuple[Audience, ...] = ()
    statement: str | None = None  # the statement of reasons' puid, once it is recorded
    policy: PolicyRef
    matching: Annotated[Literal["unavailable"] | None, _OPTIONAL] = None  # no gallery: a later revision has the matches
    moderation: Annotated[
        Moderation | None, Field(alias="heeded", exclude_if=_is_absent, json_schema_extra=_never_null)
    ] = None
    error: Annotated[DecisionError | None, _OPTIONAL] = None
    reviewed: Annotated[Reviewed | None, _OPTIONAL] = None
    audit: Annotated[LeafRef | None, _OPTIONAL] = None
    decided_at: Annotated[str | None, _OPTIONAL] = None  # RFC 3339


JSON = TypeAdapter(Decision)


def to_json(decision: Decision) -> dict[str, Any]:
    """Returns the decision as JSON values, its parts in the order of the class."""
    document: dict[str, Any] = JSON.dump_python(decision, mode="json", by_alias=True)
    return document


def from_json(document: Mapping[str, Any]) -> Decision:
    """Reads a decision that `to_json` wrote, this version's or an older one's. Raises DecisionUnreadable."""
    return read_stored(JSON, document)


def read_stored(kind: TypeAdapter[_T], value: object) -> _T:
    """Reads JSON that lies in the clear. Raises DecisionUnreadable where it was altered to what is none of that kind.

    So it does for a number beyond what a float holds: it is read as infinity, which JSON does not have.
    """
    try:
        json.dumps(value, allow_nan=False)
        return kind.validate_python(value)
    except ValidationError as error:
        raise DecisionUnreadable(explain_invalid(error)) from error
    except ValueError as error:
        raise DecisionUnreadable("a number that JSON does not have") from error


def decision_of(
    tenant: str,
    event: UUID | None,
    media: MediaRef,
    revision: int,
    outcome: Analysis | Quarantined | Unprocessable,
    policy: PolicyRef,
) -> Decision:
    """Builds the decision on a media item from any outcome; nobody is named in it."""
    head: dict[str, Any] = {"event": str(event) if event else None, "tenant": tenant, "revision": revision}
    head |= {"policy": policy}
    if isinstance(outcome, Analysis):
        return _of_analysis(media, outcome, head)
    if isinstance(outcome, Quarantined):
        return Decision(
            **head,
            media=DecidedMedia(media.id),
            tags=tuple(map(_rounded, outcome.tags)),
            faces=(),
            action="block",
            rules=outcome.rules,
            review=SEVERE_QUEUE,
        )
    return Decision(
        **head,
        media=DecidedMedia(media.id),
        tags=(),
        faces=(),
        action="review",
        rules=(Rule("not-looked-at", outcome.error.code),),
        review=ReviewQueue(),
        error=DecisionError(outcome.error.code, outcome.error.detail),
    )


def _of_analysis(media: MediaRef, analysis: Analysis, head: dict[str, Any]) -> Decision:
    picture, verdict = analysis.picture, analysis.verdict
    file = (picture.sha256, picture.pdq, picture.width, picture.height, picture.format)
    return Decision(
        **head,
        media=DecidedMedia(media.id, *file, DecidedFrames(picture.frame_count, picture.looked_at, picture.partial)),
        tags=tuple(map(_rounded, verdict.tags)),
        faces=tuple(DecidedFace(face.box, face.frame, round(face.quality, 2)) for face in analysis.perception.faces),
        action=_name(verdict.action),
        rules=verdict.rules,
        withheld=_withheld(verdict),
        redact=verdict.redact,
        review=verdict.review,
        notify=verdict.notify,
        matching="unavailable" if analysis.unmatched else None,
        moderation=_moderation(analysis.moderated) if analysis.moderated else None,
    )


def _moderation(moderated: ModeratedVerdict) -> Moderation:
    decision, automated = moderated.decision, moderated.automated
    return Moderation(
        added=moderated.added,
        removed=moderated.removed,
        decided=ModeratedAction(_name(decision.action), rfc3339(decision.at)) if decision else None,
        holds=moderated.holds,
        new_evidence=moderated.new_evidence or None,
        automated=Automated(_name(automated.action), tuple(rule.id for rule in automated.rules)),
        hidden=moderated.hidden,
    )


def _withheld(verdict: Verdict) -> tuple[WithheldLabels, ...]:
    """Counts the labels withheld from the platform; their names would reveal them."""
    counts = Counter(one.by for one in verdict.withheld if one.audience == "platform")
    return tuple(WithheldLabels(by, count) for by, count in counts.items())


def _name(action: Action) -> ActionName:
    name: ActionName = action.name  # type: ignore[assignment]  # a test holds the two lists together
    return name


def _rounded(tag: Tag) -> Tag:
    return replace(tag, score=round(tag.score, 4))


def perception_json(perception: Perception) -> dict[str, Any]:
    """Returns the perception from score 0.05 up, so that another policy can be tried on it; no embedding.

    Nothing is rounded: a score next to a threshold has to fall on the same side again.
    """
    return {
        "models": list(perception.models),
        "tags": [{**asdict(tag), "box": list(tag.box) if tag.box else None} for tag in perception.tags],
        "faces": [
            {
                "box": list(face.box),
                "frame": face.frame,
                "quality": face.quality,
                "match": None,
                "score": face.score,
            }
            for face in perception.faces
        ],
    }
