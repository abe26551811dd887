"""Checks the database's server: its clock against this process's, its disk's room, and what it lets this role do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from secrets import token_hex

import psycopg

from assent.core.errors import DatabaseUnavailable
from assent.core.host_errors import PoolerUnsupported
from assent.core.http_errors import DiskFull
from assent.db.pool import Conn, execute, fetch, fetch_one
from assent.db.queries import named_queries

_Q = named_queries("health")
_CONNECT_SECONDS = 10
_ROUNDS = 4


def check_sessions(url: str) -> None:
    """Raises PoolerUnsupported where a connection's transactions may run in several sessions of the server.

    LISTEN, advisory locks and settings hold for a session: behind a pooler of transactions they would be another's.
    Raises DatabaseUnavailable where the server does not answer.
    """
    value = token_hex(8)
    try:
        with _connect(url) as one, _connect(url) as other:
            execute(one, _Q["note_in_session"], value=value)
            # A pooler gives the session used last to the next who asks, or all in turn; now and then one is taken.
            values = [(_session_value(one), _session_value(one), _session_value(other)) for _ in range(_ROUNDS)]
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
    if any(own != [value, value] or foreign == value for *own, foreign in values):
        raise PoolerUnsupported("a pooler gives this database's sessions to other connections between transactions")


def _connect(url: str) -> Conn:
    return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS, prepare_threshold=None)


def _session_value(conn: Conn) -> object:
    [row] = fetch(conn, _Q["read_from_session"])
    return row["value"]


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
