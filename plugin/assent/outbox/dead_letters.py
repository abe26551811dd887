"""Lists messages that were given up, and makes them wait again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from assent.db.pool import Conn, Row, fetch
from assent.db.queries import named_queries

_Q = named_queries("outbox")


def list_dead_letters(conn: Conn, tenant: str) -> list[Row]:
    """Returns the dead letters, oldest first.

    Columns: id, endpoint, type, media_id, revision, attempts, created_at, last_error.
    """
    return fetch(conn, _Q["list_dead_letters"], tenant=tenant)


def redrive(conn: Conn, tenant: str, ids: Sequence[UUID] | None) -> list[UUID]:
    """Makes dead letters, all or those named, wait again from their first attempt, and returns their ids."""
    rows = fetch(conn, _Q["redrive_dead_letters"], tenant=tenant, ids=None if ids is None else list(ids))
    return [row["id"] for row in rows]
