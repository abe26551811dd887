"""Builds one document per audience: the platform's, cut down to what the policy lets others know. Pure.

The platform gets the decision as it is. The author gets what was found in their image and why, without scores. The
person in it gets their own face. The public gets what everybody may know, the action and the tags' names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from assent.core.errors import DecisionUnreadable
from assent.core.taxonomy import above
from assent.core.values import ActionName, Audience, AudienceView, Box, Category, Perception, PolicyRef, Tag, Verdict
from assent.decisions.document import Decision, NamedMatch, read_stored
from assent.policy.views import SHOWN


@dataclass(frozen=True, slots=True)
class ViewedMedia:
    id: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class PublicTag:
    name: str
    category: Category


@dataclass(frozen=True, slots=True)
class LocatedTag(PublicTag):
    """A tag with its place: box `(x, y, width, height)` in pixels of the oriented image, None for the whole frame."""

    box: Box | None
    frame: int


@dataclass(frozen=True, slots=True)
class ViewedFace:
    box: Box
    frame: int
    match: NamedMatch | None


@dataclass(frozen=True, slots=True)
class RuleName:
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A decision as another audience than the platform may read it, in the order of its JSON."""

    schema: Literal["assent.decision/1"]
    event: str | None
    tenant: str
    revision: int
    audience: Audience
    media: ViewedMedia
    tags: Sequence[PublicTag]
    faces: tuple[ViewedFace, ...]
    action: ActionName
    policy: PolicyRef
    decided_at: str  # RFC 3339


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicView(_View):
    """A decision as the person in it, or the public, may read it."""

    audience: Literal["person", "public"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorView(_View):
    """A decision as the author may read it: also with the tags' boxes, the rules, and the notice of the restriction."""

    audience: Literal["author"]
    tags: Sequence[LocatedTag]
    rules: tuple[RuleName, ...]
    statement: str | None
    notice: dict[str, str]  # by language


# An `assent.decision/1` of any audience.
AudienceDocument = Annotated[Decision | AuthorView | PublicView, Field(discriminator="audience")]


@dataclass(frozen=True, slots=True)
class _StoredView:
    tags: tuple[int | tuple[int, str], ...]
    faces: bool
    matches: bool


@dataclass(frozen=True, slots=True)
class _StoredTags:
    tags: tuple[Tag, ...] = ()


_STORED_VIEWS = TypeAdapter[dict[Audience, _StoredView] | None](dict[Audience, _StoredView] | None)
_STORED_TAGS = TypeAdapter(_StoredTags)
_JSON = TypeAdapter[Decision | AuthorView | PublicView](AudienceDocument)


def stored_views(verdict: Verdict, perception: Perception) -> dict[str, Any]:
    """Returns the audience views as they are stored beside the perception.

    A tag is stored as its index, with its name where that is another one.
    """
    return {
        audience: _stored(view.tags, perception.tags, view.faces, view.matches)
        for audience, view in verdict.audience_views.items()
    }


def audience_view(row: Mapping[str, Any], audience: Audience) -> AudienceView:
    """Returns an audience's view from a row of `decision`. Raises DecisionUnreadable.

    Only the platform is told of an image that was not analysed, or that was decided before views were stored.
    """
    stored = (read_stored(_STORED_VIEWS, row["audiences"]) or {}).get(audience)
    if stored is None:
        faces, matches = SHOWN[audience] if audience == "platform" else (False, False)
        return AudienceView((), faces, matches)
    return AudienceView(_told(stored, stored_tags(row["perceptions"])), stored.faces, stored.matches)


def stored_tags(perceptions: Mapping[str, Any]) -> tuple[Tag, ...]:
    """Reads the tags of a stored perception; none of an image that was not analysed. Raises DecisionUnreadable."""
    return read_stored(_STORED_TAGS, perceptions).tags


def _told(view: _StoredView, perceived: Sequence[Tag]) -> tuple[tuple[int, str], ...]:
    """Returns each tag's index and the name that it is told by. Raises DecisionUnreadable for one that is not there."""
    places = [one if isinstance(one, int) else one[0] for one in view.tags]
    if not all(0 <= n < len(perceived) for n in places):
        raise DecisionUnreadable("an audience is told of a tag that is not there")
    return tuple((one, perceived[one].name) if isinstance(one, int) else one for one in view.tags)


def without_labels(row: Mapping[str, Any], labels: Collection[str]) -> dict[str, Any] | None:
    """Returns the audience views in a row of `decision` without the tags of those labels.

    A tag is left out whether the label is its own name, one above it, or the name that it is told by.
    Raises DecisionUnreadable.
    """
    stored = read_stored(_STORED_VIEWS, row["audiences"])
    if stored is None:
        return None
    perceived = stored_tags(row["perceptions"])

    def stay(view: _StoredView) -> list[tuple[int, str]]:
        told = _told(view, perceived)
        return [(n, name) for n, name in told if not {*above(perceived[n].name), name} & set(labels)]

    return {audience: _stored(stay(view), perceived, view.faces, view.matches) for audience, view in stored.items()}


def _stored(tags: Iterable[tuple[int, str]], perceived: Sequence[Tag], faces: bool, matches: bool) -> dict[str, Any]:
    stored = [n if perceived[n].name == name else [n, name] for n, name in tags]
    return {"tags": stored, "faces": faces, "matches": matches}


def public_view(
    decision: Decision, perceptions: Mapping[str, Any], audience: Audience, view: AudienceView
) -> PublicView:
    """Returns a decision for the person in it or the public; its faces are those that they may know of.

    Raises DecisionUnreadable.
    """
    perceived = stored_tags(perceptions)
    viewed = tuple(PublicTag(name, perceived[n].category) for n, name in view.tags)
    return PublicView(**_parts(decision, audience), tags=viewed)


def author_view(
    decision: Decision, perceptions: Mapping[str, Any], view: AudienceView, notice: Mapping[str, str]
) -> AuthorView:
    """Returns a decision for its author, with the notice of the restriction by language.

    Its faces are those that the author may know of. Raises DecisionUnreadable.
    """
    perceived = stored_tags(perceptions)
    tags = (replace(perceived[n], name=name) for n, name in view.tags)
    return AuthorView(
        **_parts(decision, "author"),
        tags=tuple(LocatedTag(tag.name, tag.category, tag.box, tag.frame) for tag in tags),
        rules=tuple(RuleName(rule.id) for rule in decision.rules),
        statement=decision.statement,
        notice=dict(notice),
    )


def document_json(document: AudienceDocument) -> dict[str, Any]:
    """Returns the document as JSON values."""
    values: dict[str, Any] = _JSON.dump_python(document, mode="json", by_alias=True)
    return values


def _parts(decision: Decision, audience: Audience) -> dict[str, Any]:
    media = decision.media
    return {
        "schema": decision.schema,
        "event": decision.event,
        "tenant": decision.tenant,
        "revision": decision.revision,
        "audience": audience,
        "media": ViewedMedia(media.id, media.width, media.height),
        "faces": tuple(ViewedFace(face.box, face.frame, face.match) for face in decision.faces),
        "action": decision.action,
        "policy": decision.policy,
        "decided_at": decision.decided_at,
    }
