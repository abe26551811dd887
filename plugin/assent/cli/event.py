"""`assent event`: follows one event from its row to its delivery."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from assent.audit import checkpoint, log
from assent.core.errors import NotFound
from assent.core.settings import Settings
from assent.core.values import MediaItem
from assent.db.pool import Conn, Row, fetch, fetch_one, open_pool, transaction
from assent.db.queries import named_queries
from assent.keys.installation import database

_RECORD = named_queries("record")


def event(
    event_id: Annotated[UUID, typer.Argument(help="As the webhook was answered.")],
    tenant: Annotated[str, typer.Option(help="Whose event.")] = "default",
) -> None:
    """Show an event's row, job, decisions, audit leaves with their proof, and deliveries, as JSON."""
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        print(json.dumps(_trace(conn, tenant, event_id), indent=2, default=str))


def _trace(conn: Conn, tenant: str, event_id: UUID) -> dict[str, Any]:
    row = fetch_one(conn, named_queries("intake")["read_event"], tenant=tenant, event=event_id)
    if row is None:
        raise NotFound(f"no event {event_id} of tenant {tenant}: never accepted, or past its retention")
    sealed = f"{len(row.pop('sealed'))} bytes, sealed"
    decisions = fetch(conn, _RECORD["list_decisions_of_event"], tenant=tenant, event=event_id)
    return {
        "event": {"id": event_id, **row, "body": sealed},
        "jobs": fetch(conn, named_queries("queue")["list_jobs_of_event"], tenant=tenant, event=str(event_id)),
        "pictures": [_picture(conn, tenant, decision) for decision in decisions],
    }


def _picture(conn: Conn, tenant: str, decision: Row) -> dict[str, Any]:
    item = MediaItem(decision["source"], decision["media_id"])
    size = log.head(conn, tenant).size
    return {
        "decision": decision,
        "leaf": checkpoint.prove_inclusion(conn, tenant, decision["leaf"], size),
        "deliveries": fetch(conn, _RECORD["list_messages_of_media"], **item.key(tenant)),
    }
