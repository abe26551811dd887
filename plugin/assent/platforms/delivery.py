"""Defines what adapters return, what a source sets, and how they read a platform's JSON without trusting its shape."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from assent.core.errors import SignatureInvalid
from assent.core.strict import load_strict
from assent.core.values import Event, EventType, MediaRef, Surface, Visibility
from assent.platforms.event import MAX_EVENT_MEDIA, Moment, WebAddress

MAX_DELIVERY_MEDIA = 1_000  # of one delivery; it becomes several events
MAX_ALT = 10_000
STATES_FROM = datetime(2016, 1, 1, tzinfo=UTC)  # times as numbers count seconds from here: 31 bits last until 2084
PREVIEW = "/preview"  # ends the id of a video's still image: the video itself is not looked at
IgnoreReason = Literal[
    "unreadable",  # a verified body that is no JSON object
    "template",  # a body without the fields that the platform itself sends
    "ping",  # a test
    "report",  # a report, of ours or of others
    "visibility",  # a post that the source does not show us
    "no_media",
    "outdated",  # an older state of a post than was seen
    "no_text",  # an edit that came without the text
    "unwanted",  # an event that concerns no media item
    "too_many_media",  # beyond MAX_DELIVERY_MEDIA, of which the first were taken
]
# What points to a mistake in the platform's settings, rather than to a post that is none of ours.
MISTAKES = ("unreadable", "template", "too_many_media")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """The settings of a webhook source: the platform's own address, and what of it is looked at."""

    url: str = ""  # the platform's address, without a slash at its end
    visibilities: tuple[Visibility, ...] = ("public", "unlisted")
    link_cards: bool = False  # whether images of link previews are looked at
    file_hosts: tuple[str, ...] = ()  # other hosts that serve the platform's own files


@dataclass(frozen=True, slots=True)
class ParsedDelivery:
    """A verified delivery: the id under which a repetition is known, the content that a repetition shares, the events.

    `left_out` counts media items beyond MAX_DELIVERY_MEDIA. Where the platform shows all that a post has, `post` names
    it, and there may be no event: then the post has no media item, and may have lost those that it had. Of two states
    of a post the higher number is the later; None is later than all. `watched` names the author's account where the
    platform has to be asked whether the post still exists.
    """

    id: str
    content: bytes = field(repr=False)
    events: tuple[Event, ...]
    left_out: int = 0
    post: str = ""
    state: int | None = None
    at: datetime | None = None
    watched: str = ""

    @property
    def deletes(self) -> bool:
        return any(event.type == "media.deleted" for event in self.events)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A verified delivery that concerns us not: it is answered as accepted, and counted by its reason."""

    reason: IgnoreReason
    topic: str = ""  # whose first post was edited, and is to be read where the platform can be asked


Parsed = ParsedDelivery | Ignored
JsonFields = Mapping[str, Any]
_URL: TypeAdapter[str] = TypeAdapter(WebAddress)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
_SETTINGS = TypeAdapter(SourceSettings)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
HEX_HMAC = "`sha256=<hex of HMAC-SHA256(secret, body)>`, over the raw body."


def load_source_settings(stored: bytes) -> SourceSettings:
    """Reads settings that `dump_source_settings` wrote."""
    return _SETTINGS.validate_json(stored)


def dump_source_settings(settings: SourceSettings) -> bytes:
    """Writes the settings of a source as JSON, for sealing."""
    return _SETTINGS.dump_json(settings)


def verify_hex_hmac(signature: str | None, raw: bytes, live_secrets: Sequence[str]) -> None:
    """Checks a signature of the form HEX_HMAC. Raises SignatureInvalid."""
    given = (signature or "").strip().lower().encode("utf-8", "replace")
    if not any(hmac.compare_digest(given, hex_hmac(raw, secret).encode()) for secret in live_secrets):
        raise SignatureInvalid


def hex_hmac(raw: bytes, secret: str) -> str:
    """Signs a body in the form HEX_HMAC."""
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def read_object(raw: bytes) -> JsonFields | None:
    """Returns the JSON object in a body, or None where it holds none."""
    try:
        value = load_strict(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def sub_object(value: object, name: str) -> JsonFields:
    """Returns a field that holds an object, or an empty one."""
    part = value.get(name) if isinstance(value, Mapping) else None
    return part if isinstance(part, dict) else {}


def sub_objects(value: JsonFields, name: str) -> list[JsonFields]:
    """Returns the objects in a field that holds a list, or none."""
    part = value.get(name)
    return [item for item in part if isinstance(item, dict)] if isinstance(part, list) else []


def sub_text(value: JsonFields, name: str) -> str:
    """Returns a field that holds text, or an empty one. What UTF-8 cannot carry becomes `?`."""
    part = value.get(name)
    return part.encode("utf-8", "replace").decode() if isinstance(part, str) else ""


def sub_id(value: JsonFields, name: str) -> str:
    """Returns a field that holds an id, 1 to 64 of letters, digits, _ and -, or an empty text."""
    part = value.get(name)
    text = str(part) if isinstance(part, str | int) and not isinstance(part, bool) else ""
    return text if _ID.fullmatch(text) else ""


def sub_moment(value: JsonFields, name: str) -> datetime | None:
    """Returns a field that holds a time by RFC 3339, or None."""
    try:
        return _MOMENT.validate_python(value.get(name))
    except (ValidationError, ValueError):
        return None


def web_address(url: object) -> str | None:
    """Returns an http or https address of at most 4,096 characters, or None for anything else."""
    try:
        return _URL.validate_python(url)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class PostedMedia:
    """The media items of a post, an avatar or a message, and the circumstances that its events share."""

    media: Iterable[MediaRef]
    type: EventType
    surface: Surface
    visibility: Visibility
    author: str | None = None
    lang: str | None = None
    revision: int | None = None
    at: datetime | None = None
    beyond: int = 0  # media items that were not even named
    post: str = ""  # whose media items these are, all of them
    watched: bool = False  # the platform tells of no deletion, and shows the post to everybody


def as_delivery(key: Sequence[object], posted: PostedMedia) -> Parsed:
    """Returns the delivery of what was posted, known by the hash of `key` (JSON values); no media item twice.

    Without media items it is ignored, unless it says that a post has none.

    The key names what was posted and all of it that matters: a repetition has the same, whatever its counters say.
    """
    unique = {media.id: media for media in posted.media}
    if not unique and not posted.post:
        return Ignored("no_media")
    media = list(unique.values())
    taken = media[:MAX_DELIVERY_MEDIA]
    parts = [tuple(taken[n : n + MAX_EVENT_MEDIA]) for n in range(0, len(taken), MAX_EVENT_MEDIA)]
    events = tuple(
        Event(
            posted.type,
            part,
            posted.visibility,
            posted.surface,
            author=posted.author,
            lang=posted.lang,
            revision=posted.revision,
            at=posted.at,
        )
        for part in parts
    )
    content = json.dumps([posted.type == "media.deleted", *key], separators=(",", ":")).encode()
    state = round((posted.at - STATES_FROM).total_seconds() * 1000) if posted.at else None
    digest = hashlib.sha256(content).hexdigest()
    left_out = len(media) - len(taken) + posted.beyond
    watched = posted.author if posted.watched and posted.author and posted.post else ""
    return ParsedDelivery(f"sha256:{digest}", content, events, left_out, posted.post, state, posted.at, watched)
