"""Stores what is accepted: dedupe row, sealed event and queue job in one transaction, before the answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID, uuid4

from assent.core.errors import DeliveryConflict
from assent.core.values import Event
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import Lane, enqueue_event
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal, unseal
from assent.platforms import event as events

_Q = named_queries("intake")


def live_secrets(conn: Conn, keys: TenantKeys, owner: str, name: str) -> list[str]:
    """Returns the one or two secrets that sign for this source or endpoint now, newest first."""
    rows = fetch(conn, _Q["live_secrets"], tenant=keys.tenant, owner=owner, name=name)
    return [
        unseal(keys.seal_key, row["sealed"], "secret", keys.tenant, owner, name, str(row["id"])).decode()
        for row in rows
    ]


def known_delivery(conn: Conn, keys: TenantKeys, source: str, delivery: str, body: bytes) -> UUID | None:
    """Returns the event that this delivery made when it came first, or None when it is new.

    Raises DeliveryConflict when the id came with another body.
    """
    row = fetch_one(conn, _Q["known_delivery"], tenant=keys.tenant, source=source, delivery=delivery)
    if row is None:
        return None
    if not hmac.compare_digest(row["body_mac"], _mac(keys, body)):
        raise DeliveryConflict
    return UUID(str(row["event_id"]))


def accept_delivery(
    conn: Conn, keys: TenantKeys, source: str, delivery: str, body: bytes, event: Event, lane: Lane
) -> UUID:
    """Stores a verified delivery and queues its event, once. Returns the event's id, the same for every repetition.

    A repetition that arrives meanwhile waits for the first one's commit (unique index) and then finds it. Raises
    DeliveryConflict as `known_delivery` does.
    """
    new = uuid4()
    values = {"tenant": keys.tenant, "source": source, "delivery": delivery, "event": new}
    if not execute(conn, _Q["remember_delivery"], **values, body_mac=_mac(keys, body)):
        known = known_delivery(conn, keys, source, delivery, body)
        # None: its seven days ended between the two statements, so it is new again.
        return known or accept_delivery(conn, keys, source, delivery, body, event, lane)
    store_event(conn, keys, new, source, event, lane)
    return new


def store_event(
    conn: Conn,
    keys: TenantKeys,
    event_id: UUID,
    source: str,
    event: Event,
    lane: Lane,
    uploads: Sequence[bytes] = (),
) -> None:
    """Stores the sealed event and the sealed images that came with it, and queues its job."""
    sealed = seal(keys.seal_key, events.dump(event), "event", keys.tenant, str(event_id))
    store_sealed(conn, keys, event_id, source, sealed, lane, uploads)


def store_sealed(
    conn: Conn,
    keys: TenantKeys,
    event_id: UUID,
    source: str,
    sealed: bytes,
    lane: Lane,
    uploads: Sequence[bytes],
    task: str = "decide",
) -> None:
    """Stores a job's sealed body and its images, and queues the job."""
    values = {"tenant": keys.tenant, "event": event_id}
    execute(conn, _Q["insert_event"], **values, source=source, lane=lane, sealed=sealed)
    for n, picture in enumerate(uploads):
        sealed_picture = seal(keys.seal_key, picture, "upload", keys.tenant, str(event_id), str(n))
        execute(conn, _Q["insert_upload"], **values, n=n, sealed=sealed_picture)
    enqueue_event(conn, keys.tenant, event_id, lane, task)


def open_event(keys: TenantKeys, event_id: UUID, row: Row) -> Event:
    """Opens the event in its row. Raises SealBroken when the row was altered or moved."""
    return events.load_event(unseal(keys.seal_key, row["sealed"], "event", keys.tenant, str(event_id)))


def open_upload(conn: Conn, keys: TenantKeys, event_id: UUID, n: int) -> bytes | None:
    """Returns the image that came with the event, or None when there is none under that number."""
    row = fetch_one(conn, _Q["upload"], tenant=keys.tenant, event=event_id, n=n)
    if row is None:
        return None
    return unseal(keys.seal_key, row["sealed"], "upload", keys.tenant, str(event_id), str(n))


def _mac(keys: TenantKeys, body: bytes) -> bytes:
    # Keyed, so that the row cannot confirm a guess about what was posted.
    return hmac.digest(keys.seal_key, b"assent.body/1" + hashlib.sha256(body).digest(), "sha256")
