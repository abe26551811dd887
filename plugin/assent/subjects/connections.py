"""Stores a subject's connections: the accounts in whose posts the subject may be recognised.

The platform states the whole list. For FRESH from the hour in which it was stated it permits by itself, so that an
account that is no longer chosen drops out. However old, it is the limit of what an event's `connections` may state;
only where no list is on record does the event decide alone. Authors are stored as keyed hashes: the rows are no graph
of people.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from assent.core.clock import coarse
from assent.core.errors import TooManyConnections
from assent.db.pool import Conn, Pool, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects.consent import active_consent

MOST_CONNECTIONS = 5_000
FRESH = timedelta(hours=24)
_Q = named_queries("connections")


def author_mac(keys: TenantKeys, author: str) -> bytes:
    """Returns the 16 bytes of an HMAC-SHA256 that stand for an author in a row.

    No name holds a NUL, so no author's hash equals a pseudonym.
    """
    return hmac.digest(keys.pseudonym_key, b"connection\x00" + author.encode(), hashlib.sha256)[:16]


def state_connections(conn: Conn, keys: TenantKeys, ref: str, authors: Collection[str], stated_at: datetime) -> int:
    """Replaces a subject's connections by these accounts, and returns how many there are.

    Raises TooManyConnections beyond MOST_CONNECTIONS, and ConsentMissing for a person without a consent in force.
    """
    if len(authors) > MOST_CONNECTIONS:
        raise TooManyConnections(f"{len(authors)} connections")
    pseudonym = derive_pseudonym(keys, ref)
    active_consent(conn, keys, pseudonym)
    macs = sorted({author_mac(keys, author) for author in authors})
    subject = {"tenant": keys.tenant, "pid": pseudonym}
    execute(conn, _Q["set_connection_list"], **subject, at=coarse(stated_at))
    execute(conn, _Q["delete_other_connections"], **subject, authors=macs)
    execute(conn, _Q["insert_connections"], **subject, authors=macs)
    return len(macs)


def list_connected_subjects(
    conn: Conn, keys: TenantKeys, author: str, stated: Sequence[bytes], now: datetime
) -> list[bytes]:
    """Returns the pseudonyms of those who may be recognised in this author's post. One query.

    They are those whose list, stated within FRESH before `now`, holds the author, and of `stated`, the event's
    `connections`, those whose list of any age holds the author or who have none.
    """
    values = {"tenant": keys.tenant, "author": author_mac(keys, author), "stated": list(stated), "since": now - FRESH}
    return [row["pid"] for row in fetch(conn, _Q["list_connected_subjects"], **values)]


def connected_subjects(pool: Pool, keys: TenantKeys, author: str, stated: Sequence[bytes]) -> list[bytes]:
    """Returns the subjects connected to this author at this moment. Raises DatabaseUnavailable."""
    with transaction(pool) as conn:
        return list_connected_subjects(conn, keys, author, stated, database_time(conn))
