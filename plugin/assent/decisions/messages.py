"""Defines the bodies of outgoing webhooks about media items. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from assent.core.values import Band, Box
from assent.decisions.document import DecidedMedia
from assent.decisions.views import AudienceDocument


@dataclass(frozen=True, slots=True)
class DecisionMessage:
    """A decision as the endpoint's audience may read it; `timestamp` (RFC 3339) is when the message was queued."""

    type: Literal["media.tagged", "media.failed", "media.reviewed", "tag.published", "tag.retracted"]
    timestamp: str
    data: AudienceDocument


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A face by its number in the decision, and the subject that is to be asked whether it is theirs."""

    subject: str
    face: int
    box: Box
    band: Band


@dataclass(frozen=True, slots=True)
class SuggestedMatches:
    """The matches in a media item that wait for their subjects' approval; the platform never gets them."""

    source: str
    media: DecidedMedia
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True)
class SuggestionMessage:
    """Suggested matches, for endpoints of audience `person`; `timestamp` (RFC 3339) is when the message was queued."""

    type: Literal["tag.suggested"]
    timestamp: str
    data: SuggestedMatches


_JSON = TypeAdapter[DecisionMessage | SuggestionMessage](DecisionMessage | SuggestionMessage)


def message_json(message: DecisionMessage | SuggestionMessage) -> dict[str, Any]:
    """Returns the message's body as JSON values."""
    body: dict[str, Any] = _JSON.dump_python(message, mode="json", by_alias=True)
    return body
