"""Finds what a post showed before and shows no more: platforms tell what a post has, and seldom what it lost."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from assent.core.values import Event, MediaRef
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.platforms.delivery import ParsedDelivery

_NONE = ""  # the name in the row of a post that shows no media item any more
_Q = named_queries("posts")


@dataclass(frozen=True, slots=True)
class PostChange:
    """The news that a delivery has of its post beside its events: what it shows no more, or that it is too late."""

    dropped: tuple[str, ...] = ()
    outdated: bool = False


def compare_post(conn: Conn, tenant: str, source: str, parsed: ParsedDelivery) -> PostChange:
    """Compares a delivery with what its post showed last, and locks the post until the commit.

    An older state than was seen drops nothing, nor does one of which media items were left out.
    """
    if not parsed.post:
        return PostChange()
    key = {"tenant": tenant, "source": source, "post": parsed.post}
    fetch(conn, _Q["lock_post"], **key)
    rows = fetch(conn, _Q["list_media_of_post"], **key)
    if not parsed.deletes and parsed.state is not None and any(row["state"] > parsed.state for row in rows):
        return PostChange(outdated=True)
    gone = {row["media_id"] for row in rows} - _shown(parsed) - {_NONE}
    return PostChange(() if parsed.left_out else tuple(sorted(gone)))


def record_shown(conn: Conn, tenant: str, source: str, parsed: ParsedDelivery, dropped: bool) -> None:
    """Notes what the delivery's post shows now; nothing of one that was deleted, or that never showed anything."""
    if not parsed.post or not (parsed.events or dropped):
        return
    key = {"tenant": tenant, "source": source, "post": parsed.post}
    if parsed.deletes:
        execute(conn, _Q["delete_media_of_post"], **key, media=[*_shown(parsed), _NONE])
    else:
        shown = sorted(_shown(parsed)) or [_NONE]
        execute(conn, _Q["record_media_of_post"], **key, media=shown, state=parsed.state or 0)


def delete_dropped(
    conn: Conn, keys: TenantKeys, origin: Origin, parsed: ParsedDelivery, dropped: tuple[str, ...]
) -> UUID:
    """Deletes media items that a post shows no more, as if the platform had said so. Returns the event's id."""
    event_id = uuid4()
    media = tuple(MediaRef(media_id, None) for media_id in dropped)
    store_event(conn, keys, event_id, Event("media.deleted", media, "public", "post", at=parsed.at), origin)
    key = {"tenant": keys.tenant, "source": origin.source, "post": parsed.post}
    execute(conn, _Q["delete_media_of_post"], **key, media=list(dropped))
    return event_id


def _shown(parsed: ParsedDelivery) -> set[str]:
    return {media.id for event in parsed.events for media in event.media}
