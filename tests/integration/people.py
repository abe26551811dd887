"""People who opted in, without photos or models: their templates are drawn at random."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from assent.audit.log import open_part, part_pid
from assent.gallery.keys import TenantKeys
from assent.gallery.keys import pid as pid_of
from assent.gallery.template import seal_template
from assent.store.pool import Conn, Pool, transaction
from assent.subjects import consent
from assent.subjects.consent import Given, active_consent, open_subject

MODEL = "test-128@000000000000"
NOTICE = "We recognise you in photos."


def given(subject: str, **changes: Any) -> Given:
    """What somebody agrees to who leaves everything as it is."""
    said: dict[str, Any] = {"scope": "connections", "notice": NOTICE, "jurisdiction": "DE", "method": "test"}
    said |= {"valid_for": timedelta(days=365), "notice_version": "2026-11", "age": "adult"}
    return Given(subject, **{**said, **changes})


def give(pool: Pool, keys: TenantKeys, subject: str, declared: str | None = None, **changes: Any) -> UUID:
    with transaction(pool) as conn:
        return consent.give(conn, keys, given(subject, **changes), declared)


def enrol(conn: Conn, keys: TenantKeys, subject: str, seed: int = 0) -> UUID:
    """One more template under the consent in force. Raises ConsentMissing as the job does."""
    pid = pid_of(keys, subject)
    stands_on = active_consent(conn, keys, pid)
    face = np.random.default_rng(seed).standard_normal(128).astype(np.float32)
    key, row = open_subject(conn, keys, pid), uuid4()
    sealed = seal_template(key, row, MODEL, face / np.linalg.norm(face))
    values = {"tenant": keys.tenant, "id": row, "pid": pid, "consent": stands_on, "model": MODEL, "sealed": sealed}
    conn.execute(
        "INSERT INTO template (tenant, id, pid, consent_id, model, sealed, quality)"
        " VALUES (%(tenant)s, %(id)s, %(pid)s, %(consent)s, %(model)s, %(sealed)s, 0.75)",
        values,
    )
    return row


def rows(pool: Pool, query: str, *values: Any) -> list[Any]:
    with transaction(pool) as conn:
        return conn.execute(query, values).fetchall()


def said(pool: Pool, keys: TenantKeys, action: str) -> list[dict[str, Any]]:
    """The payloads of that action's leaves about people, opened, oldest first."""
    found = []
    with transaction(pool) as conn:
        leaves = conn.execute("SELECT seq, leaf FROM audit_leaf WHERE tenant = %s ORDER BY seq", [keys.tenant])
        for seq, leaf in leaves.fetchall():
            body = json.loads(bytes(leaf))
            if body["action"] == action:
                found.append(_payload(conn, keys, seq, body))
    return found


def _payload(conn: Conn, keys: TenantKeys, seq: int, body: dict[str, Any]) -> dict[str, Any]:
    row = conn.execute(
        "SELECT epoch, locator, sealed FROM audit_payload WHERE tenant = %s AND seq = %s AND part = 0",
        [keys.tenant, seq],
    ).fetchone()
    assert row is not None
    key = keys.seal_key
    if row[1] is not None:
        key = open_subject(conn, keys, part_pid(keys, seq, 0, row[0], row[1])).key
    opened: dict[str, Any] = json.loads(
        open_part(key, keys.tenant, seq, 0, row[2], bytes.fromhex(body["commitments"][0]))
    )
    return opened
