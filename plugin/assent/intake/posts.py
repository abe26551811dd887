"""Finds what a post showed before and shows no more: platforms tell what a post has, and seldom what it lost."""

from __future__ import annotations

from uuid import UUID, uuid4

from assent.core.values import Event, MediaRef
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.platforms.delivery import ParsedDelivery

_Q = named_queries("posts")


def dropped_media(conn: Conn, tenant: str, source: str, parsed: ParsedDelivery) -> list[str]:
    """Returns the media items that the delivery's post showed before and shows no more; locks their rows.

    An older state than was seen drops nothing, nor does one of which media items were left out.
    """
    if not parsed.post or parsed.left_out:
        return []
    rows = fetch(conn, _Q["lock_media_of_post"], tenant=tenant, source=source, post=parsed.post)
    if not parsed.deletes and any(row["state"] > parsed.state for row in rows):
        return []
    return [row["media_id"] for row in rows if row["media_id"] not in _shown(parsed)]


def record_shown(conn: Conn, tenant: str, source: str, parsed: ParsedDelivery) -> None:
    """Notes what the delivery's post shows now; nothing of a post that was deleted."""
    if not parsed.post or not parsed.events:
        return
    key = {"tenant": tenant, "source": source, "post": parsed.post, "media": sorted(_shown(parsed))}
    if parsed.deletes:
        execute(conn, _Q["delete_media_of_post"], **key)
    else:
        execute(conn, _Q["record_media_of_post"], **key, state=parsed.state)


def delete_dropped(conn: Conn, keys: TenantKeys, origin: Origin, parsed: ParsedDelivery, dropped: list[str]) -> UUID:
    """Deletes media items that a post shows no more, as if the platform had said so. Returns the event's id."""
    event_id = uuid4()
    media = tuple(MediaRef(media_id, None) for media_id in dropped)
    store_event(conn, keys, event_id, Event("media.deleted", media, "public", "post", at=parsed.at), origin)
    key = {"tenant": keys.tenant, "source": origin.source, "post": parsed.post}
    execute(conn, _Q["delete_media_of_post"], **key, media=dropped)
    return event_id


def _shown(parsed: ParsedDelivery) -> set[str]:
    return {media.id for event in parsed.events for media in event.media}
