"""Defines `assent.event/1`, the one form in which adapters return an event and in which platforms may send one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
)
from pydantic_core import PydanticCustomError

from assent.core.clock import parse_rfc3339
from assent.core.errors import BadRequest
from assent.core.names import COUNTRY, name_fault, ref_fault
from assent.core.strict import read_model
from assent.core.values import Event, EventType, MediaRef, Surface, Visibility

MAX_EVENT_MEDIA = 100
# PostgreSQL's text holds no NUL; a name is something a person could type.
TYPEABLE = r"^[^\x00-\x1f\x7f]+$"


def _without(fault: Callable[[str], str | None]) -> AfterValidator:
    """Refuses what `fault` explains, in its words."""

    def check(name: str) -> str:
        if why := fault(name):
            raise PydanticCustomError("name", "{why}", {"why": why})
        return name

    return AfterValidator(check)


StoredId = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=TYPEABLE)]  # taken before
Name = Annotated[StoredId, _without(name_fault)]  # a media item
Ref = Annotated[StoredId, _without(ref_fault)]  # a person
Alt = Annotated[str, StringConstraints(max_length=10_000)]


def _splits(url: str) -> str:
    urlsplit(url)  # raises ValueError
    return url


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise PydanticCustomError("moment", "a time as RFC 3339 has it, with its zone")
    return parse_rfc3339(value.upper())


# Of these years every zone's times are within what a database and a datetime hold.
_RFC3339 = re.compile(r"(19|2\d)\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")
Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=AwareDatetime)]
WebAddress = Annotated[
    str, StringConstraints(max_length=4096, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]"), AfterValidator(_splits)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MediaModel(_Strict):
    """One media item: the platform's id for it, and where it is served."""

    id: Name
    url: WebAddress
    alt: Alt | None = None


class Circumstances(_Strict):
    """The circumstances of an event's post; the same fields come with `POST /v1/images`."""

    author: Ref | None = Field(None, description="Who posted it (form NFC); without an author nobody is matched.")
    connections: Annotated[tuple[Ref, ...], Field(max_length=5_000)] = Field(
        (), description="Subjects who chose the author; their own lists, where they have one, are the limit."
    )
    visibility: Visibility = "public"
    surface: Surface = "post"
    region: Annotated[str, StringConstraints(pattern=f"^{COUNTRY}$")] | None = Field(None, description="ISO 3166-1.")
    audience_age: Annotated[int, Field(ge=0, le=150)] | None = None
    lang: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")] | None = None
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="Of these media items: an event of a lower one than was seen changes nothing."
    )
    at: Moment | None = Field(
        None, description="When it happened (RFC 3339): a deletion stands above what happened before it."
    )


class EventModel(Circumstances):
    """The webhook's body."""

    schema_: Literal["assent.event/1"] = Field("assent.event/1", alias="schema")
    type: EventType
    media: Annotated[tuple[MediaModel, ...], Field(min_length=1, max_length=MAX_EVENT_MEDIA)]


def parse_event(body: bytes) -> Event:
    """Reads the event in a JSON body. Raises BadRequest naming the field that is wrong (never its value)."""
    model = read_model(body, EventModel)
    media = tuple(MediaRef(m.id, m.url, m.alt) for m in model.media)
    if len({m.id for m in media}) != len(media):
        raise BadRequest("media: the same id twice in one event")
    return make_event(model, type=model.type, media=media)


def make_event(circumstances: Circumstances, *, type: EventType, media: tuple[MediaRef, ...]) -> Event:
    """Builds an event of these media items under these circumstances."""
    return Event(
        type=type,
        media=media,
        visibility=circumstances.visibility,
        surface=circumstances.surface,
        author=circumstances.author,
        connections=circumstances.connections,
        region=circumstances.region,
        audience_age=circumstances.audience_age,
        lang=circumstances.lang,
        revision=circumstances.revision,
        at=circumstances.at,
    )


_STORED = TypeAdapter(Event)


def dump(event: Event) -> bytes:
    """Serialises an event for sealing."""
    return _STORED.dump_json(event)


def load_event(stored: bytes) -> Event:
    """Reads an event that `dump` wrote."""
    return _STORED.validate_json(stored)
