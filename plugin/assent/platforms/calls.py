"""Defines how an act at a platform is written down: as steps that yield calls and receive replies, without I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from assent.decisions.acts import PostRef

Method = Literal["GET", "POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request: its path and query below the platform's address, its body, and statuses other than 2xx to read."""

    method: Method
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reads: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ApiReply:
    """The reply to a call: a status of 2xx, or one that the call reads; the JSON value, None for an empty body."""

    status: int
    value: Any = None

    def field(self, *path: str) -> str:
        """Returns a field of the JSON object as text. Raises ActUnclear where it is not there."""
        value = self.value
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or (isinstance(value, Mapping | Sequence) and not isinstance(value, str)):
            raise ActUnclear(f"the answer has no {'.'.join(path)}")
        return str(value)


@dataclass(frozen=True, slots=True)
class ActTarget:
    """An act to do or undo: its id with us, its rule and the rule's reason, the media item and the post there.

    `site` is the platform's address.
    `handle` is what doing it left for undoing it; `round` is how often it was undone and wanted again.
    """

    id: UUID
    act: str
    source: str
    site: str
    media: str
    rule: str
    words: str
    post: PostRef | None
    at: datetime
    round: int = 0
    handle: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Returns the id under which the platform sees this round of the act."""
        return f"{self.id.hex}-{self.round}"


@dataclass(frozen=True, slots=True)
class ActDone:
    """An act that was done or undone: what changed, in words, and what an undo needs."""

    changed: str
    handle: Mapping[str, Any] = field(default_factory=dict)


class ActImpossible(Exception):
    """The platform will not do it, however often it is asked; the reason is the message."""


class ActUnclear(Exception):
    """The reply does not tell whether it was done; the reason is the message."""


ActSteps = Generator[ApiCall, ApiReply, ActDone]
FindSteps = Generator[ApiCall, ApiReply, ActDone | None]
_Found = TypeVar("_Found")
ReadingSteps = Generator[ApiCall, ApiReply, _Found]  # steps that change nothing


@dataclass(frozen=True, slots=True)
class ActingAdapter:
    """The calls of a platform: the headers that authorise one, doing, finding out, undoing.

    `find` is asked after a call whose answer was lost; it returns None where nothing was done.
    """

    headers: Callable[[ActCredentials, ApiCall], Mapping[str, str]]
    do: Callable[[ActTarget], ActSteps]
    find: Callable[[ActTarget], FindSteps]
    undo: Callable[[ActTarget], ActSteps]


@dataclass(frozen=True, slots=True)
class ActCredentials:
    """The address of a platform's API without a slash at its end, the token, and the account it belongs to."""

    url: str
    token: str = field(repr=False)
    user: str = ""


def form_call(method: Method, path: str, fields: Sequence[tuple[str, str]], *reads: int) -> ApiCall:
    """Builds a call with a form as its body: each platform reads one, and none mistakes its booleans."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return ApiCall(method, path, urlencode(fields).encode(), headers, frozenset(reads))


def json_call(path: str, value: Mapping[str, Any]) -> ApiCall:
    """Builds a POST of a JSON object."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return ApiCall("POST", path, body, {"content-type": "application/json"})


def get_call(path: str, *reads: int) -> ApiCall:
    """Builds a GET."""
    return ApiCall("GET", path, reads=frozenset(reads))


def post_id(target: ActTarget) -> str:
    """Returns the id of the target's post. Raises ActImpossible where the event named none."""
    if target.post is None or not target.post.id:
        raise ActImpossible("the picture belongs to no post")
    return target.post.id


def account_id(target: ActTarget) -> str:
    """Returns the id of the target's account. Raises ActImpossible where the event named none."""
    if target.post is None or not target.post.account:
        raise ActImpossible("no account is known here")
    return target.post.account
