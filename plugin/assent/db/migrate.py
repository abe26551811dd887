"""Brings a database to the newest schema with the files of `migrations/` (yoyo keeps which were applied)."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from yoyo import get_backend, read_migrations

from assent.core.errors import DatabaseUnavailable
from assent.core.resources import resource

OLDEST_SERVER = 15  # PostgreSQL's major version: the oldest on which the integration tests were seen to pass


def migrate(url: str) -> list[str]:
    """Applies the missing migrations and returns their names; each file and its record are one transaction.

    `url` is a `postgresql://` URL. Raises DatabaseUnavailable when the server cannot be reached.
    """
    _name_account()
    with _migration_lock(url), _backend(url) as backend:
        backend.break_lock()  # yoyo's own is a row, which stays behind when its process is killed
        backend.ensure_internal_schema_updated()
        pending = backend.to_apply(_read_all())
        for migration in pending:
            with backend.transaction():
                migration.process_steps(backend, "apply")
                backend.mark_one(migration)
    return [migration.id for migration in pending]


def missing_migrations(url: str) -> list[str]:
    """Returns the names of the migrations that this database lacks. Raises DatabaseUnavailable."""
    with _backend(url) as backend:
        return [migration.id for migration in backend.to_apply(_read_all())]


def _name_account() -> None:
    """Names an account without a passwd entry, as a container's may be: yoyo records who migrates, and fails on it."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # KeyError before Python 3.13
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


@contextmanager
def _migration_lock(url: str) -> Iterator[None]:
    """Lets one process migrate at a time; the lock ends with its connection, however that ends."""
    try:
        with psycopg.connect(url) as conn:
            conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('assent/migrate', 0))")
            yield
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error


def _read_all() -> Any:
    # schema.sql, which shows what they come to, lies beside them.
    return read_migrations(str(resource("migrations"))).filter(lambda migration: migration.id != "schema")


def _backend(url: str) -> Any:
    # yoyo names psycopg 3 in the scheme.
    try:
        return get_backend(urlunsplit(urlsplit(url)._replace(scheme="postgresql+psycopg")))
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
