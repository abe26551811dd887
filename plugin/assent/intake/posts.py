"""Finds what a post showed before and shows no more: platforms tell what a post has, and seldom what it lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from assent.core.values import Event, MediaRef
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.intake.accept import Origin, ReceivedDelivery, accept_delivery, known_delivery, store_event
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.platforms.delivery import Ignored, ParsedDelivery

_NONE = ""  # the name in the row of a post that shows no media item any more
_Q, _CHECKS = named_queries("posts"), named_queries("post_checks")


@dataclass(frozen=True, slots=True)
class PostChange:
    """The news that a delivery has of its post beside its events: what it shows no more, or that it is too late."""

    dropped: tuple[str, ...] = ()
    outdated: bool = False
    known: bool = False  # this state of the post, or a later one, was seen


def compare_post(conn: Conn, tenant: str, source: str, parsed: ParsedDelivery) -> PostChange:
    """Compares a delivery with what its post showed last, and locks the post until the commit.

    An older state than was seen drops nothing, nor does one of which media items were left out.
    """
    if not parsed.post:
        return PostChange()
    key = {"tenant": tenant, "source": source, "post": parsed.post}
    fetch(conn, _Q["lock_post"], **key)
    rows = fetch(conn, _Q["list_media_of_post"], **key)
    newest = max((row["state"] for row in rows), default=-1)
    known = parsed.state is not None and newest >= parsed.state
    if not parsed.deletes and parsed.state is not None and newest > parsed.state:
        return PostChange(outdated=True, known=True)
    gone = {row["media_id"] for row in rows} - _shown(parsed) - {_NONE}
    return PostChange(() if parsed.left_out else tuple(sorted(gone)), known=known)


def store_delivery(
    conn: Conn, keys: TenantKeys, origin: Origin, parsed: ParsedDelivery, change: PostChange
) -> UUID | Ignored:
    """Stores what a delivery brings, and deletes what its post shows no more; returns the event, or why there is none.

    Raises DeliveryConflict as `accept_delivery` does.
    """
    delivery = ReceivedDelivery(origin.source, parsed.id, parsed.content)
    if change.outdated:
        return known_delivery(conn, keys, delivery) or Ignored("outdated")
    deletion = _delete_media(conn, keys, origin, parsed.post, change.dropped, parsed.at) if change.dropped else None
    _record_shown(conn, keys, origin.source, parsed, bool(change.dropped))
    if not parsed.events:
        return deletion or Ignored("no_media")
    return accept_delivery(conn, keys, delivery, parsed.events, origin.lane)


def store_read_post(conn: Conn, keys: TenantKeys, origin: Origin, parsed: ParsedDelivery) -> bool:
    """Stores a post that was read from its platform, unless its webhook came; tells whether there was anything new."""
    change = compare_post(conn, keys.tenant, origin.source, parsed)
    delivery = ReceivedDelivery(origin.source, parsed.id, parsed.content)
    if change.known or known_delivery(conn, keys, delivery) is not None:
        return False
    return not isinstance(store_delivery(conn, keys, origin, parsed, change), Ignored)


def delete_missing_post(conn: Conn, keys: TenantKeys, origin: Origin, post: str, since: datetime) -> bool:
    """Deletes all media items of a post that the platform shows no more since then, as if it had said so.

    Returns False where the platform sent the post again meanwhile.
    """
    key = {"tenant": keys.tenant, "source": origin.source, "post": post}
    fetch(conn, _Q["lock_post"], **key)
    if not execute(conn, _CHECKS["end_check_of_post"], **key, since=since):
        return False
    media = tuple(row["media_id"] for row in fetch(conn, _Q["list_media_of_post"], **key) if row["media_id"] != _NONE)
    if media:
        _delete_media(conn, keys, origin, post, media, None)
    execute(conn, _Q["delete_media_of_post"], **key, media=[_NONE])
    return True


def open_watched_account(keys: TenantKeys, source: str, post: str, sealed: bytes) -> str:
    """Opens the account of a watched post's author. Raises SealBroken where its row was altered."""
    return unseal_for_tenant(keys, "event", sealed, keys.tenant, "watched", source, post).decode()


def _record_shown(conn: Conn, keys: TenantKeys, source: str, parsed: ParsedDelivery, dropped: bool) -> None:
    """Notes what the delivery's post shows now; nothing of one that was deleted, or that never showed anything."""
    if not parsed.post or not (parsed.events or dropped):
        return
    key = {"tenant": keys.tenant, "source": source, "post": parsed.post}
    if parsed.deletes:
        execute(conn, _Q["delete_media_of_post"], **key, media=[*_shown(parsed), _NONE])
        return
    shown = sorted(_shown(parsed)) or [_NONE]
    execute(conn, _Q["record_media_of_post"], **key, media=shown, state=parsed.state or 0)
    if parsed.watched:
        account = seal_for_tenant(keys, "event", parsed.watched.encode(), keys.tenant, "watched", source, parsed.post)
        execute(conn, _CHECKS["watch_post"], **key, account=account)


def _delete_media(
    conn: Conn, keys: TenantKeys, origin: Origin, post: str, dropped: tuple[str, ...], at: datetime | None
) -> UUID:
    """Deletes media items that a post shows no more, as if the platform had said so. Returns the event's id."""
    event_id = uuid4()
    media = tuple(MediaRef(media_id, None) for media_id in dropped)
    store_event(conn, keys, event_id, Event("media.deleted", media, "public", "post", at=at), origin)
    key = {"tenant": keys.tenant, "source": origin.source, "post": post}
    execute(conn, _Q["delete_media_of_post"], **key, media=list(dropped))
    return event_id


def _shown(parsed: ParsedDelivery) -> set[str]:
    return {media.id for event in parsed.events for media in event.media}
