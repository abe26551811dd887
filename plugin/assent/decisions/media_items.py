"""Orders the events of a media item by their arrival, whatever lanes and workers do.

An event is given its number when it is accepted, with the rows of its media items locked. It takes effect when its
decision is stored, a deletion when it is accepted. What a later event has overtaken by then is ignored. A revision that
the platform states counts more than the arrival; a deletion that states none stands above all that arrived before it.
A deletion also stands above what happened before it by the platform's own clock, where both events say when.

Rows are named by a MAC. After a deletion its row stays, with the highest revision of a decision on the media item.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from assent.core.media_errors import MediaAmbiguous
from assent.core.values import Event, MediaItem
from assent.db.pool import Conn, Row, execute, fetch
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys

_Q = named_queries("media_items")


def find_item(conn: Conn, tenant: str, media_id: str, source: str | None) -> MediaItem:
    """Returns the media item of that id, from that source or from the only one that brought it.

    Raises MediaAmbiguous where several sources did and none is said.
    """
    if source is not None:
        return MediaItem(source, media_id)
    sources = [row["source"] for row in fetch(conn, _Q["list_sources_of_media"], tenant=tenant, media=media_id)]
    if len(sources) > 1:
        raise MediaAmbiguous(f"{', '.join(sources)} have one of that id: say which with source")
    return MediaItem(sources[0] if sources else "", media_id)


def arrive(conn: Conn, keys: TenantKeys, items: Iterable[MediaItem]) -> int:
    """Locks these media items until the commit, and returns the arrival of an event of theirs."""
    for mac in sorted(_mac(keys, item) for item in items):  # always in one order
        execute(conn, _Q["lock_media_item"], tenant=keys.tenant, mac=mac)
    (row,) = fetch(conn, _Q["next_arrival"])
    return int(row["arrival"])


def lock_item(conn: Conn, keys: TenantKeys, item: MediaItem) -> Row:
    """Returns what took effect on the media item, locked until the commit."""
    (row,) = fetch(conn, _Q["lock_media_item"], tenant=keys.tenant, mac=_mac(keys, item))
    return row


def is_overtaken(state: Row, event: Event, arrival: int) -> bool:
    """Tells whether an event comes too late to take effect on a media item in that state (of `lock_item`)."""
    stated, highest = event.revision, state["event_revision"]
    if arrival < state["floor"]:
        return True
    if event.at and state["deleted_at"] and event.at < state["deleted_at"]:
        return True
    if stated is not None and highest:
        if stated != highest:
            return bool(stated < highest)
        if state["deleted"]:
            return True
    return bool(arrival < state["applied"])


def record_applied(conn: Conn, keys: TenantKeys, item: MediaItem, event: Event, arrival: int) -> None:
    """Records that an event took effect."""
    values = {"mac": _mac(keys, item), "arrival": arrival, "event_revision": event.revision}
    execute(conn, _Q["record_applied"], tenant=keys.tenant, **values)


def record_deleted(conn: Conn, keys: TenantKeys, item: MediaItem, event: Event, arrival: int, revision: int) -> None:
    """Records that a deletion took effect; `revision` is that of the newest decision, 0 without one."""
    values = {"mac": _mac(keys, item), "arrival": arrival, "event_revision": event.revision, "at": event.at}
    execute(conn, _Q["record_deleted"], tenant=keys.tenant, **values, revision=revision)


def _mac(keys: TenantKeys, item: MediaItem) -> bytes:
    message = f"media\x00{item.source}\x00{item.id}".encode()
    return hmac.digest(keys.pseudonym_key, message, hashlib.sha256)
