"""What the platform knows: its accounts, photos, posts, and the newest decision it was told about each post."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, NamedTuple

from standardwebhooks import Webhook, WebhookVerificationError

from examples.send_event import make_event, post_event

# What a photo may be served as: nothing here can run a script on the platform's own pages.
SERVED_AS = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".avif": "image/avif", ".heic": "image/heic", ".tif": "image/tiff", ".tiff": "image/tiff", ".bmp": "image/bmp",
}  # fmt: skip


class SignatureRefused(Exception):
    """A webhook came whose signature does not fit; nothing of it was read."""


class NotConnected(Exception):
    """The platform does not know yet where Assent is."""


class Connection(NamedTuple):
    """Where events go and the secrets of both directions, as `assent init` printed them."""

    events_url: str
    events_secret: str
    deliveries_secret: str


class Served(NamedTuple):
    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that was received and whose signature verified."""

    id: str
    type: str
    at: float  # time.monotonic()
    data: dict[str, Any]

    @property
    def revision(self) -> int:
        return int(self.data.get("revision", 1))


@dataclass(frozen=True, slots=True)
class Post:
    """One posted photo; `status` and `event` are what Assent answered to its webhook."""

    id: str
    author: str
    title: str
    url: str
    delivery_id: str
    body: bytes = field(repr=False)
    sent_at: float | None = None  # time.monotonic(), just before the webhook left
    status: int | None = None
    event: str | None = None


@dataclass(slots=True)
class Feed:
    """The platform's memory. `changed` guards all of it and is notified whenever a delivery arrives."""

    follows: Mapping[str, Iterable[str]]  # account → the accounts it chose
    connection: Connection | None = None
    photos: dict[str, Served] = field(default_factory=dict)
    posts: dict[str, Post] = field(default_factory=dict)
    newest: dict[str, Delivery] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)  # webhook-id → the media it was about
    repeats: int = 0
    refused: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)


def add_photo(feed: Feed, name: str, data: bytes) -> str:
    """The path at which the file is served from now on; nobody can guess it. Raises ValueError for an odd suffix."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in SERVED_AS:
        raise ValueError(f"no photo is called *{suffix}")
    path = f"/photos/{secrets.token_urlsafe(24)}{suffix}"
    with feed.changed:
        feed.photos[path] = Served(data, SERVED_AS[suffix])
    return path


def write_post(feed: Feed, *, author: str, title: str, url: str) -> Post:
    """A new post, with the event that tells Assent of it: the author's followers are those who chose the author."""
    chose = sorted(account for account, chosen in feed.follows.items() if author in chosen)
    post_id = f"post-{uuid.uuid4()}"
    body = make_event(media_id=post_id, picture_url=url, author=author, connections=chose)
    post = Post(post_id, author, title, url, f"msg_{uuid.uuid4()}", body)
    with feed.changed:
        feed.posts[post.id] = post
    return post


def send(feed: Feed, post: Post) -> Post:
    """Sends the post's event, signed, with retries. The post with what was answered; raises httpx2.TransportError."""
    if feed.connection is None:
        raise NotConnected
    sent_at = time.monotonic()
    answer = post_event(feed.connection.events_url, feed.connection.events_secret, post.delivery_id, post.body)
    event = answer.json().get("event") if answer.is_success else None
    done = replace(post, sent_at=sent_at, status=answer.status_code, event=event)
    with feed.changed:
        feed.posts[post.id] = done
    return done


def receive(feed: Feed, headers: Mapping[str, str], body: bytes) -> Delivery | None:
    """The delivery in a signed webhook, kept if it is the newest of its post; None for one that was here before.

    Raises SignatureRefused when the signature does not fit the body and the present time.
    """
    if feed.connection is None:
        raise NotConnected
    try:
        message = Webhook(feed.connection.deliveries_secret).verify(body, dict(headers))
    except (
        WebhookVerificationError,
        ValueError,
        OverflowError,
    ) as error:  # the library lets its parsing errors through
        with feed.changed:
            feed.refused += 1
        raise SignatureRefused from error
    delivery = Delivery(headers["webhook-id"], message["type"], time.monotonic(), message["data"])
    media = delivery.data["media"]["id"]
    with feed.changed:
        if delivery.id in feed.seen:
            feed.repeats += 1
            return None
        feed.seen[delivery.id] = media
        known = feed.newest.get(media)
        if known is None or delivery.revision >= known.revision:
            feed.newest[media] = delivery
        feed.changed.notify_all()
    return delivery


def action_of(delivery: Delivery) -> str:
    """What the platform does with the post; a picture nobody could look at stays hidden until somebody has."""
    return str(delivery.data.get("action", "review"))
