"""Changes rows that give power as who has the keys would: with their MACs."""

from __future__ import annotations

from assent.audit.authority import seal_rows
from assent.db.pool import Conn
from assent.keys.authority import Authority
from assent.keys.keystore import TenantKeys


def reseal(conn: Conn, keys: TenantKeys, kind: Authority) -> None:
    """Gives all rows of that table new MACs, after a test changed some by SQL."""
    conn.execute(f"UPDATE {kind} SET mac = NULL WHERE tenant = %s", [keys.tenant])  # noqa: S608 - our own tables
    seal_rows(conn, keys, kind)


def move_endpoints(conn: Conn, keys: TenantKeys, url: str) -> None:
    """Has all messages of the tenant sent to that address."""
    conn.execute("UPDATE endpoint SET url = %s WHERE tenant = %s", [url, keys.tenant])
    reseal(conn, keys, "endpoint")
