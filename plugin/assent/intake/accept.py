"""Stores what is accepted: dedupe row, sealed event and queue job in one transaction, before the answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from assent.core.errors import DeliveryConflict
from assent.core.values import Event, MediaItem
from assent.db.locks import lock_to_delete
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import Lane, enqueue_event, enqueue_match
from assent.decisions.media_items import MediaKey, arrive, forget, item_mac
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.platforms import event as events

_Q = named_queries("intake")


@dataclass(frozen=True, slots=True)
class ReceivedDelivery:
    """A webhook whose signature was verified.

    `id` is what a repetition is known by, `body` what it shares: the raw body, or what the adapter takes of it.
    """

    source: str
    id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """The source that an event came from, and the lane in which its job waits."""

    source: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class SealedJob:
    """A job of the worker: its sealed body, and the images that came with it, which are sealed as they are stored."""

    origin: Origin
    sealed: bytes = field(repr=False)
    uploads: Sequence[bytes] = field(default=(), repr=False)
    task: str = "decide"
    arrival: int = 0


def live_secrets(conn: Conn, keys: TenantKeys, owner: str, name: str) -> list[str]:
    """Returns the one or two secrets that sign for this source or endpoint now, newest first."""
    rows = fetch(conn, _Q["list_live_secrets"], tenant=keys.tenant, owner=owner, name=name)
    return [
        unseal_for_tenant(keys, "secret", row["sealed"], keys.tenant, owner, name, str(row["id"])).decode()
        for row in rows
    ]


def known_delivery(conn: Conn, keys: TenantKeys, delivery: ReceivedDelivery) -> UUID | None:
    """Returns the event that this delivery made when it came first, or None when it is new.

    Raises DeliveryConflict when the id came with another body.
    """
    row = fetch_one(conn, _Q["read_delivery"], tenant=keys.tenant, source=delivery.source, delivery=delivery.id)
    if row is None:
        return None
    if not hmac.compare_digest(row["body_mac"], _mac(keys, delivery.body)):
        raise DeliveryConflict
    return UUID(str(row["event_id"]))


def accept_delivery(
    conn: Conn, keys: TenantKeys, delivery: ReceivedDelivery, received: Sequence[Event], lane: Lane
) -> UUID:
    """Stores a verified delivery and queues its events, once.

    Returns the id of the first, the same for every repetition.

    A repetition that arrives meanwhile waits for the first one's commit (unique index) and then finds it. Raises
    DeliveryConflict as `known_delivery` does.
    """
    event_id = uuid4()
    values = {"tenant": keys.tenant, "source": delivery.source, "delivery": delivery.id, "event": event_id}
    if not execute(conn, _Q["insert_delivery_once"], **values, body_mac=_mac(keys, delivery.body)):
        first = known_delivery(conn, keys, delivery)
        # None: its seven days ended between the two statements, so it is new again.
        return first or accept_delivery(conn, keys, delivery, received, lane)
    for n, event in enumerate(received):
        store_event(conn, keys, uuid4() if n else event_id, event, Origin(delivery.source, lane))
    return event_id


def store_event(
    conn: Conn, keys: TenantKeys, event_id: UUID, event: Event, origin: Origin, uploads: Sequence[bytes] = ()
) -> None:
    """Stores the sealed event and the sealed images that came with it, and queues its job.

    A deletion takes effect in this transaction: from its commit on nothing of the media items is told or sent.
    """
    if event.type == "media.deleted":
        lock_to_delete(conn, [MediaItem(origin.source, media.id).key(keys.tenant) for media in event.media])
    arrival = arrive(conn, keys, origin.source, event)
    sealed = seal_for_tenant(keys, "event", events.dump(event), keys.tenant, str(event_id))
    job = SealedJob(origin, sealed, uploads, arrival=arrival)
    if event.type != "media.deleted":
        store_job(conn, keys, event_id, job)
        return
    _insert_event(conn, keys, event_id, job)
    media = enumerate(event.media)
    forget(conn, keys, [MediaKey(keys.tenant, event_id, origin.source, n, event, item, arrival) for n, item in media])
    execute(conn, _Q["finish_event"], tenant=keys.tenant, event=event_id)


def store_missed(conn: Conn, keys: TenantKeys, media_key: MediaKey) -> None:
    """Stores, as an event of its own, a media item that was decided without its faces being compared.

    It takes the place of the event that it comes from, so that what arrived later holds against it.
    """
    event_id, event = uuid4(), replace(media_key.event, media=(media_key.media,))
    sealed = seal_for_tenant(keys, "event", events.dump(event), keys.tenant, str(event_id))
    upload = open_upload(conn, keys, media_key.event_id, media_key.n)
    origin = Origin(media_key.source, "backfill")
    job = SealedJob(origin, sealed, () if upload is None else (upload,), arrival=media_key.arrival)
    _insert_event(conn, keys, event_id, job)
    enqueue_match(conn, keys.tenant, event_id, item_mac(keys, media_key.item))


def store_job(conn: Conn, keys: TenantKeys, event_id: UUID, job: SealedJob) -> None:
    """Stores a job's sealed body and its images, and queues the job."""
    _insert_event(conn, keys, event_id, job)
    enqueue_event(conn, keys.tenant, event_id, job.origin.lane, job.task)


def _insert_event(conn: Conn, keys: TenantKeys, event_id: UUID, job: SealedJob) -> None:
    values = {"source": job.origin.source, "lane": job.origin.lane, "sealed": job.sealed, "arrival": job.arrival}
    execute(conn, _Q["insert_event"], tenant=keys.tenant, event=event_id, **values)
    for n, upload in enumerate(job.uploads):
        sealed = seal_for_tenant(keys, "upload", upload, keys.tenant, str(event_id), str(n))
        execute(conn, _Q["insert_upload"], tenant=keys.tenant, event=event_id, n=n, sealed=sealed)


def open_event(keys: TenantKeys, event_id: UUID, row: Row) -> Event:
    """Opens the event in its row. Raises SealBroken when the row was altered or moved."""
    return events.load_event(unseal_for_tenant(keys, "event", row["sealed"], keys.tenant, str(event_id)))


def open_upload(conn: Conn, keys: TenantKeys, event_id: UUID, n: int) -> bytes | None:
    """Returns the image that came with the event, or None when there is none under that number."""
    row = fetch_one(conn, _Q["read_upload"], tenant=keys.tenant, event=event_id, n=n)
    if row is None:
        return None
    return unseal_for_tenant(keys, "upload", row["sealed"], keys.tenant, str(event_id), str(n))


def _mac(keys: TenantKeys, body: bytes) -> bytes:
    # Keyed, so that the row cannot confirm a guess about what was posted.
    return hmac.digest(keys.seal_key, b"assent.body/1" + hashlib.sha256(body).digest(), "sha256")
