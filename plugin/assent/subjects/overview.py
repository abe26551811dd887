"""Reports what is on record about a subject, as the platform may see it: no face, no photo, no connection's name."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from uuid import UUID

from assent.core.clock import rfc3339
from assent.core.errors import NotFound
from assent.db.pool import Conn, Row, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym

_Q = named_queries("subjects")
_CONNECTIONS = named_queries("connections")


def consent_record(conn: Conn, keys: TenantKeys, consent: UUID) -> dict[str, Any]:
    """Returns one consent.

    Raises NotFound for a consent that this tenant does not have, or that was erased with its subject.
    """
    rows = fetch(conn, _Q["list_consent_records"], tenant=keys.tenant, id=consent, pid=None)
    if not rows:
        raise NotFound("no such consent")
    return _record(rows[0])


def subject_record(conn: Conn, keys: TenantKeys, ref: str) -> dict[str, Any]:
    """Returns a subject's consents, newest first, their templates by model, and their number of connections.

    The connections come with the time they were stated. Raises NotFound for a person who never consented or was erased.
    """
    who = {"tenant": keys.tenant, "pid": derive_pseudonym(keys, ref)}
    consents = fetch(conn, _Q["list_consent_records"], **who, id=None)
    if not consents:
        raise NotFound("no such subject")
    connections = fetch_one(conn, _CONNECTIONS["count_connections"], **who)
    by_model = groupby(fetch(conn, _Q["list_templates"], **who), lambda row: row["model"])
    return {
        "subject": ref,
        "consents": [_record(row) for row in consents],
        "templates": [{"model": model, "photos": [_template(row) for row in rows]} for model, rows in by_model],
        "connections": connections and {"count": connections["count"], "stated_at": rfc3339(connections["stated_at"])},
    }


def _record(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "purpose": row["purpose"],
        "scope": row["scope"],
        "state": row["state"],
        "notice_sha256": row["notice_sha256"].hex(),
        "notice_version": row["notice_version"],
        "jurisdiction": row["jurisdiction"],
        "method": row["method"],
        "age": row["age"],
        "evidence": row["evidence"],
        "given_at": rfc3339(row["given_at"]),
        "expires_at": rfc3339(row["expires_at"]),
        "ended_at": row["ended_at"] and rfc3339(row["ended_at"]),
    }


def _template(row: Row) -> dict[str, Any]:
    return {"quality": round(row["quality"], 2), "enrolled_at": rfc3339(row["enrolled_at"])}
