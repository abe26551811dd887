"""Checks the database's server: its clock against this process's, its disk's room, and what it lets this role do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg

from assent.core.http_errors import DiskFull
from assent.db.pool import Conn, execute, fetch, fetch_one
from assent.db.queries import named_queries

_Q = named_queries("health")


def clock_difference(conn: Conn) -> timedelta:
    """Returns by how much the server's clock is ahead of this process's; negative where it is behind.

    What the answer took on its way does not count: a time between the question and its answer is no difference.
    """
    asked = datetime.now(UTC)
    [row] = fetch(conn, _Q["read_clock"])
    answered = datetime.now(UTC)
    at: datetime = row["at"]
    return at - asked if at < asked else max(at - answered, timedelta())


def superuser_name(conn: Conn) -> str | None:
    """Returns the name of this connection's role where it is a superuser, else None."""
    row = fetch_one(conn, _Q["read_role"])
    return str(row["name"]) if row and row["superuser"] else None


def check_room(conn: Conn) -> None:
    """Raises DiskFull where the server can write no new file; the transaction has to be rolled back then."""
    try:
        execute(conn, _Q["keep_little_in_memory"])
        execute(conn, _Q["write_temporary_file"])
    except psycopg.errors.DiskFull as error:
        raise DiskFull("the database's disk has no room left") from error
