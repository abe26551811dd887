"""Opens the database that this installation uses, and the keystore that belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from assent.core.errors import NotInitialised
from assent.core.settings import Settings
from assent.db.health import check_sessions
from assent.db.pool import Pool, fetch_one, transaction
from assent.db.queries import named_queries
from assent.embedded.clusters import embedded
from assent.keys.keystore import Keystore, create_keystore, open_keystore
from assent.keys.root import root_key

_Q = named_queries("instance")


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """Yields the URL of ASSENT_DATABASE_URL or of the embedded server, which runs at least as long as the context.

    Raises DatabaseUnavailable where it is not reached or the embedded server cannot be started, StoreUnsafe where that
    server's folder cannot be used, PoolerUnsupported for a URL of a pooler that shares sessions.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        check_sessions(url)
        yield url
        return
    with embedded(settings.data_dir) as url:
        yield url


def instance(pool: Pool) -> UUID:
    """Returns the database's own id, which the keystore must name. Raises NotInitialised before the first migration."""
    try:
        with transaction(pool) as conn:
            row = fetch_one(conn, _Q["select_instance"])
    except psycopg.errors.UndefinedTable as error:
        raise NotInitialised from error
    if row is None:
        raise NotInitialised
    return UUID(str(row["id"]))


def open_keys(settings: Settings, pool: Pool) -> Keystore:
    """Opens the keystore of this database. Raises KeyMissing (none, damaged, another database's) or NotInitialised."""
    return open_keystore(settings.keys_dir, instance(pool), root_key(settings))


def open_or_create_keys(settings: Settings, pool: Pool) -> Keystore:
    """Opens the keystore as `open_keys` does, or creates one where the database holds no tenant yet."""
    with transaction(pool) as conn:
        row = fetch_one(conn, _Q["count_tenants"])
    if row and row["count"]:
        return open_keys(settings, pool)
    if (settings.keys_dir / "keystore.json").exists():
        return open_keys(settings, pool)
    return create_keystore(settings.keys_dir, instance(pool), root_key(settings))
