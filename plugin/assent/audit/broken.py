"""Records in the audit log that sealed rows do not open: they were altered or moved, or a file is damaged."""

from __future__ import annotations

import hmac
from datetime import datetime

from assent.audit.log import append
from assent.db.pool import Conn, execute
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys

_Q = named_queries("rotate")


def note_broken(conn: Conn, keys: TenantKeys, kind: str, at: datetime) -> bool:
    """Appends a leaf `seal.broken` that names the kind of row and no subject.

    At most one a minute and kind is written, over all processes.

    Takes the tree's lock, so it comes last in a transaction. Returns True when the leaf was written.
    """
    minute = int(at.timestamp()) // 60
    mac = hmac.digest(keys.seal_key, f"seal.broken\0{kind}\0{minute}".encode(), "sha256")
    if not execute(conn, _Q["first_time"], tenant=keys.tenant, key_mac=mac):
        return False
    append(conn, keys, "seal.broken", {"kind": kind}, [], at)
    return True
