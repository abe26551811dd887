"""Records in the audit log that stored rows were altered: sealed ones that do not open, decisions that are none."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from assent.audit.log import append
from assent.core.errors import DecisionUnreadable, SealBroken
from assent.db.pool import Conn, Pool, execute, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys

ALTERED = (SealBroken, DecisionUnreadable)
_Q = named_queries("rotate")


def record_broken_seal(conn: Conn, keys: TenantKeys, kind: str, at: datetime) -> bool:
    """Appends a leaf `seal.broken` that names the kind of row, or where it was read, and no subject.

    Returns True when it was written: at most one a minute and kind, over all processes. The tree is locked, so call it
    last in a transaction.
    """
    minute = int(at.timestamp()) // 60
    mac = hmac.digest(keys.seal_key, f"seal.broken\0{kind}\0{minute}".encode(), "sha256")
    if not execute(conn, _Q["insert_broken_note_once"], tenant=keys.tenant, key_mac=mac):
        return False
    append(conn, keys, "seal.broken", {"kind": kind}, [], at)
    return True


def note_altered_row(pool: Pool, keys: TenantKeys, kind: str) -> None:
    """Records an altered row in a transaction of its own: the one in which it was found is rolled back, or over."""
    with transaction(pool) as conn:
        record_broken_seal(conn, keys, kind, datetime.now(UTC))


@contextmanager
def noting_altered_rows(pool: Pool, keys: TenantKeys, kind: str) -> Iterator[None]:
    """Records an altered row that ends the work inside; its error goes on to the caller."""
    try:
        yield
    except ALTERED:
        note_altered_row(pool, keys, kind)
        raise
