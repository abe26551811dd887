"""Opens connections to the primary database and runs statements on them in three ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import IdleInTransactionSessionTimeout
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from assent.core.errors import DatabaseUnavailable

Row = dict[str, Any]
Conn = psycopg.Connection[Any]
Pool = ConnectionPool[Conn]
# How long a transaction may do nothing before the server ends it: a process that is stopped in one would hold its
# locks, the audit tree's among them, against all others.
IDLE_LIMIT = sql.SQL("SET idle_in_transaction_session_timeout = '10s'")
LOST = (PoolTimeout, psycopg.OperationalError, IdleInTransactionSessionTimeout)


def open_pool(url: str, *, size: int = 10) -> Pool:
    """Opens a pool of at most `size` connections, made as needed. Raises DatabaseUnavailable if none opens in 10 s."""
    # Left alone, attempts to connect again become rarer for five minutes. Given up early, whoever asks makes a new one.
    pool: Pool = ConnectionPool(
        url, min_size=1, max_size=size, timeout=5, reconnect_timeout=2, configure=_configure, open=False, name="assent"
    )
    try:
        pool.open(wait=True, timeout=10)
    except PoolTimeout as error:
        pool.close()
        raise DatabaseUnavailable from error
    return pool


def _configure(conn: Conn) -> None:
    conn.execute(IDLE_LIMIT)
    conn.commit()


@contextmanager
def transaction(pool: Pool) -> Iterator[Conn]:
    """Runs one transaction: committed at the end, rolled back by any error.

    Raises DatabaseUnavailable when no connection can be opened or it is lost. Then nothing was stored, or, where it was
    lost during the commit, perhaps all: a caller that repeats it has to find out.
    """
    try:
        with pool.connection() as conn:
            yield conn
    except LOST as error:
        raise DatabaseUnavailable from error


def fetch(conn: Conn, statement: sql.SQL, **values: object) -> list[Row]:
    """Returns all rows, as dictionaries by column name."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchall()


def fetch_one(conn: Conn, statement: sql.SQL, **values: object) -> Row | None:
    """Returns the first row, or None."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchone()


def execute(conn: Conn, statement: sql.SQL, **values: object) -> int:
    """Runs a statement and returns how many rows it touched."""
    return conn.execute(statement, values).rowcount
