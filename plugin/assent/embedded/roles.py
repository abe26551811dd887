"""Gives the application a role on the embedded server that is no superuser and owns its database.

The server's own role makes that role and backs the server up. Both log in over the socket; the application's password
is derived from the other, so that a data folder, and a backup of it, keeps one password.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from assent.core.errors import DatabaseUnavailable
from assent.db.pool import Conn
from assent.db.queries import named_queries

APPLICATION = "application"
# The application owns the database, its settings and the schema `public`: the superuser looks up nothing there by name.
_OPTIONS = "-c search_path=pg_catalog -c role=none -c lock_timeout=10s"
_CONNECT_SECONDS, _PAUSE_SECONDS = 10.0, 0.1  # it may be recovering from the death of one of its processes
_Q = named_queries("roles")


def give_application(superuser_url: str) -> str:
    """Makes the application's role and gives it the database with all that is in it; returns its URL.

    Where both are done nothing is written. Raises DatabaseUnavailable.
    """
    parts = urlsplit(superuser_url)
    password = hmac.new((parts.password or "").encode(), APPLICATION.encode(), sha256).hexdigest()
    try:
        with _connect(superuser_url) as conn:
            if conn.execute(_Q["is_application_made"]).fetchone() is None:
                conn.execute(_Q["create_application"].format(password=sql.Literal(password)))
            conn.execute(_Q["give_to_application"])
    except psycopg.errors.LockNotAvailable as error:
        raise DatabaseUnavailable("an earlier version is at work in the database: stop its processes") from error
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"the database could not be given to the role {APPLICATION}: {error}") from error
    return urlunsplit(parts._replace(netloc=f"{APPLICATION}:{password}@"))


def _connect(url: str) -> Conn:
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            return psycopg.connect(url, options=_OPTIONS, connect_timeout=int(_CONNECT_SECONDS))
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
