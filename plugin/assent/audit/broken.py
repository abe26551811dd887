"""Records in the audit log that sealed rows do not open: they were altered or moved, or a file is damaged."""

from __future__ import annotations

import hmac
from datetime import datetime

from assent.audit.log import append
from assent.db.pool import Conn, execute
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys

_Q = named_queries("rotate")


def record_broken_seal(conn: Conn, keys: TenantKeys, kind: str, at: datetime) -> bool:
    """Appends a leaf `seal.broken` that names the kind of row and no subject; returns True when it was written.

    At most one a minute and kind is written, over all processes. The tree is locked, so call it last in a transaction.
    """
    minute = int(at.timestamp()) // 60
    mac = hmac.digest(keys.seal_key, f"seal.broken\0{kind}\0{minute}".encode(), "sha256")
    if not execute(conn, _Q["insert_broken_note_once"], tenant=keys.tenant, key_mac=mac):
        return False
    append(conn, keys, "seal.broken", {"kind": kind}, [], at)
    return True
