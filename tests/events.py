"""Events in a test's installation: storing them, and what the database holds of them afterwards."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from assent.core.values import Event, MediaItem, MediaRef
from assent.db.pool import Pool, transaction
from assent.decisions.assemble import assemble
from assent.decisions.document import to_json
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.worker.jobs import WorkerContext
from tests.contract_files import hold_decision_to_contract

SOURCE = "platform"  # that brings the tests' media items


def media_item(media_id: str) -> MediaItem:
    """Names the media item that `store` stores an event about."""
    return MediaItem(SOURCE, media_id)


def store(bench: WorkerContext, keys: TenantKeys, media: MediaRef, upload: bytes | None = None, **said: Any) -> UUID:
    """Stores an event about one media item, as the intake does; returns the event's id."""
    event_id = uuid4()
    event = Event(said.pop("type", "media.created"), (media,), "public", "post", **said)
    with transaction(bench.pool) as conn:
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"), [upload] if upload is not None else [])
    return event_id


def rows(where: WorkerContext | Pool, query: str, *values: Any) -> list[Any]:
    """Runs a query in a transaction of its own; returns its rows."""
    with transaction(where.pool if isinstance(where, WorkerContext) else where) as conn:
        return conn.execute(query, values or None).fetchall()


def decision(bench: WorkerContext, keys: TenantKeys, media_id: str) -> dict[str, Any]:
    """Assembles the document that the platform gets of a media item, held to its schema; fails where there is none."""
    with transaction(bench.pool) as conn:
        found = assemble(conn, keys, media_item(media_id))
    assert found is not None
    return hold_decision_to_contract(to_json(found))


def names(document: dict[str, Any]) -> list[str]:
    """Lists a document's tags by name."""
    return sorted(tag["name"] for tag in document["tags"])


def leaves(where: WorkerContext | Pool, action: str, tenant: str = "default") -> list[dict[str, Any]]:
    """Lists the audit log's leaves of one action, oldest first."""
    stored = rows(where, "SELECT leaf FROM audit_leaf WHERE tenant = %s ORDER BY seq", tenant)
    return [leaf for leaf in (json.loads(bytes(row[0])) for row in stored) if leaf["action"] == action]


def everything(bench: WorkerContext | Pool) -> str:
    """Prints all rows of all tables as text."""
    return "\n".join(str(table) for table in _tables(bench))


def everything_bytes(bench: WorkerContext | Pool) -> bytes:
    """Joins all values of all tables, as they lie there."""
    values = (value for table in _tables(bench) for row in table for value in row)
    return b"\n".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in values)


def _tables(bench: WorkerContext | Pool) -> list[list[Any]]:
    names = rows(bench, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    return [rows(bench, f'SELECT * FROM "{name}"') for (name,) in names]  # noqa: S608 - our own tables


def is_anybody_locked_out(pool: Pool) -> bool:
    """Tells whether somebody waits for a person's or a media item's lock."""
    return bool(rows(pool, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
