"""Orders the events of a media item by their arrival, whatever lanes and workers do.

An event is given its number when it is accepted, with the rows of its media items locked. It takes effect when its
decision is stored, a deletion when it is accepted. What a later event has overtaken by then is ignored, and so is an
event with a lower revision than the platform stated since the last deletion. A deletion that states none stands above
all that arrived before it, and above what happened before it by the platform's own clock, where both events say when.

Rows are named by a MAC. After a deletion its row stays, with the highest revision of a decision on the media item.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from assent.audit.log import Part, append
from assent.core.media_errors import MediaAmbiguous
from assent.core.values import Event, MediaItem, MediaRef
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions import search_index
from assent.decisions.acts import is_own_deletion, release_acts
from assent.keys.keystore import TenantKeys

_Q, _RECORD = named_queries("media_items"), named_queries("record")


@dataclass(frozen=True, slots=True)
class MediaKey:
    """A media item of an event: the tenant, the event, its source, the item's number in it, and the event's arrival."""

    tenant: str
    event_id: UUID
    source: str
    n: int
    event: Event
    media: MediaRef
    arrival: int = 0

    @property
    def item(self) -> MediaItem:
        return MediaItem(self.source, self.media.id)

    @property
    def key(self) -> dict[str, Any]:
        return self.item.key(self.tenant)


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


def arrive(conn: Conn, keys: TenantKeys, source: str, event: Event) -> int:
    """Locks an event's media items until the commit, and returns its arrival.

    A revision that the platform states counts from here on, except a deletion's, which `forget` records.
    """
    stated, states = event.revision, {}
    for mac in sorted({item_mac(keys, MediaItem(source, media.id)) for media in event.media}):  # always in one order
        (states[mac],) = fetch(conn, _Q["lock_media_item"], tenant=keys.tenant, mac=mac)
    for mac, state in states.items() if stated is not None and event.type != "media.deleted" else ():
        if stated > state["event_revision"] and not _happened_before_deletion(event, state):
            execute(conn, _Q["record_stated"], tenant=keys.tenant, mac=mac, event_revision=stated)
    (row,) = fetch(conn, _Q["next_arrival"])
    return int(row["arrival"])


def lock_item(conn: Conn, keys: TenantKeys, item: MediaItem) -> Row:
    """Returns what took effect on the media item, locked until the commit."""
    (row,) = fetch(conn, _Q["lock_media_item"], tenant=keys.tenant, mac=item_mac(keys, item))
    return row


def is_overtaken(state: Row, newest: Row | None, media_key: MediaKey) -> bool:
    """Tells whether an event comes too late to take effect on a media item.

    `state` is that of `lock_item`; `newest` is the newest decision's row, whose revision counts where it was stored
    before the order of events was.
    """
    event, stated, highest = media_key.event, media_key.event.revision, state["event_revision"]
    if stated is not None and newest is not None and stated < newest["event_revision"]:
        return True
    if media_key.arrival < state["floor"]:
        return True
    if _happened_before_deletion(event, state):
        return True
    if stated is not None and (stated < highest or (stated == highest and state["deleted"])):
        return True
    return bool(media_key.arrival < state["applied"])


def _happened_before_deletion(event: Event, state: Row) -> bool:
    if event.type == "media.deleted":  # what is deleted twice is deleted, whatever two clocks say
        return False
    return bool(event.at and state["deleted_at"] and event.at < state["deleted_at"])


def highest_revision(conn: Conn, media_key: MediaKey, newest: Row | None) -> int:
    """Returns the revision of a media item's newest decision, or where there is none the highest that was ever told."""
    if newest is not None:
        return int(newest["revision"])
    (row,) = fetch(conn, _RECORD["read_told_revision"], **media_key.key)
    return int(row["revision"])


def is_late(conn: Conn, keys: TenantKeys, media_key: MediaKey) -> bool:
    """Tells, without a lock, whether an event comes too late already: then its image need not be looked at."""
    state = fetch_one(conn, _Q["read_media_item"], tenant=keys.tenant, mac=item_mac(keys, media_key.item))
    newest = fetch_one(conn, _RECORD["read_newest_revision"], **media_key.key)
    return state is not None and is_overtaken(state, newest, media_key)


def record_applied(conn: Conn, keys: TenantKeys, media_key: MediaKey) -> None:
    """Records that an event took effect."""
    values = {"arrival": media_key.arrival, "event_revision": media_key.event.revision}
    execute(conn, _Q["record_applied"], tenant=keys.tenant, mac=item_mac(keys, media_key.item), **values)


def forget(conn: Conn, keys: TenantKeys, media_keys: Iterable[MediaKey]) -> None:
    """Deletes all data about media items that the platform deleted.

    These are decisions, matches, messages, a kept copy, moderators' corrections of its labels and its id in review
    cases. Its highest revision stays, under a MAC. A deletion that a later event has overtaken is only noted in the
    log, and so is one that an act of ours was. The log is written last: its tree stays locked until the commit.
    """
    overtaken, deleted = [], []
    for media_key in media_keys:
        if not lock_open_event(conn, media_key):
            continue
        newest = fetch_one(conn, _RECORD["read_newest_revision"], **media_key.key)
        late = is_overtaken(lock_item(conn, keys, media_key.item), newest, media_key)
        if late or is_own_deletion(conn, keys, media_key.item):
            overtaken.append(media_key)
        elif _delete(conn, keys, media_key, highest_revision(conn, media_key, newest)):
            deleted.append(media_key)
    for media_key in overtaken:
        log_superseded(conn, keys, media_key)
    for media_key in deleted:
        payload = {"event": str(media_key.event_id), "media": media_key.media.id}
        append(conn, keys, "media.deleted", {}, [Part(payload)], datetime.now(UTC))


def _delete(conn: Conn, keys: TenantKeys, media_key: MediaKey, highest: int) -> bool:
    """Deletes a media item's rows but for its tombstone; tells whether there was a decision."""
    event = media_key.event
    values = {"arrival": media_key.arrival, "event_revision": event.revision, "at": event.at, "revision": highest}
    execute(conn, _Q["record_deleted"], tenant=keys.tenant, mac=item_mac(keys, media_key.item), **values)
    execute(conn, _RECORD["delete_matches"], **media_key.key)
    execute(conn, _RECORD["delete_messages"], **media_key.key)
    execute(conn, _RECORD["clear_cases"], **media_key.key)
    execute(conn, _RECORD["delete_retained_copy"], **media_key.key)
    execute(conn, _RECORD["delete_corrections"], **media_key.key)
    execute(conn, _RECORD["delete_undo"], **media_key.key)
    execute(conn, _RECORD["delete_face_vetoes"], **media_key.key)
    execute(conn, _RECORD["delete_trial_labels"], **media_key.key)
    execute(conn, _Q["delete_missed_events"], tenant=keys.tenant, media=item_mac(keys, media_key.item).hex())
    release_acts(conn, keys, media_key.item)
    search_index.remove(conn, keys.tenant, media_key.item)
    return execute(conn, _RECORD["delete_decisions"], **media_key.key) > 0


def lock_open_event(conn: Conn, media_key: MediaKey) -> bool:
    """Locks the event and its media item; returns False when the event is over.

    A worker that was stopped past its lease comes back here after another one ended the event. By then the media item
    may have been decided anew or deleted: its old analysis must change neither.
    """
    if fetch_one(conn, _RECORD["lock_open_event"], tenant=media_key.tenant, event=media_key.event_id) is None:
        return False
    execute(conn, _RECORD["lock_media"], **media_key.key)
    return True


def log_superseded(conn: Conn, keys: TenantKeys, media_key: MediaKey) -> None:
    payload = {
        "event": str(media_key.event_id),
        "media": media_key.media.id,
        "event_revision": media_key.event.revision,
    }
    append(conn, keys, "media.superseded", {}, [Part(payload)], datetime.now(UTC))


def item_mac(keys: TenantKeys, item: MediaItem) -> bytes:
    """Returns the MAC by which a media item's row is named."""
    message = f"media\x00{item.source}\x00{item.id}".encode()
    return hmac.digest(keys.pseudonym_key, message, hashlib.sha256)
