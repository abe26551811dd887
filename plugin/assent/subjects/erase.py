"""Erases a person: all rows go at once, and a signed receipt follows when the old keys are destroyed.

Copies of the rows in old files (backups, WAL) cannot be opened once the epoch whose key wrapped the subject's own key
is destroyed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import rfc8785

from assent.audit import checkpoint, log
from assent.audit import receipt as receipts
from assent.audit.log import Part, append
from assent.core.clock import rfc3339
from assent.core.encoding import encode_base64
from assent.core.errors import AuditBroken
from assent.db.locks import try_lock_exclusive
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.retraction_jobs import queue_retraction
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects.connections import author_mac
from assent.subjects.consent import end_consents
from assent.subjects.waiting import drop_waiting

ROTATION = timedelta(hours=1)  # after the request the epoch that was live then is destroyed
_Q = named_queries("erase")


@dataclass(frozen=True, slots=True)
class Erasure:
    """A request for erasure.

    The token (256 bits, base64url) gives access to the receipt and is not stored.
    """

    id: UUID
    token: str = field(repr=False)
    requested_at: datetime

    @property
    def rotation_by(self) -> datetime:
        return self.requested_at + ROTATION


def erase(conn: Conn, keys: TenantKeys, ref: str) -> Erasure:
    """Removes all rows of the person with this platform id, known or not, and queues the retraction of their tags.

    From the commit on nobody is matched with them. The same steps are taken for an unknown person; a repeated erasure
    gives another receipt.
    """
    pseudonym = derive_pseudonym(keys, ref)
    try_lock_exclusive(conn, keys.tenant, pseudonym)
    keys = keys.now()  # the epoch that is live when nobody says anything about the person any more
    epoch = _drop_rows(conn, keys, pseudonym, ref)
    erasure = Erasure(uuid4(), secrets.token_urlsafe(32), datetime.now(UTC))
    queue_retraction(conn, keys, pseudonym, erasure.id)
    leaf = append(conn, keys, receipts.ACTION, {}, [Part({"erasure": str(erasure.id)})], erasure.requested_at)
    # The tree's lock is the last one taken; inserting our own new row afterwards waits for nobody.
    execute(
        conn,
        _Q["insert_erasure"],
        tenant=keys.tenant,
        id=erasure.id,
        token_sha256=_sha256(erasure.token),
        leaf=leaf.seq,
        epoch=epoch,
        requested_at=erasure.requested_at,
    )
    return erasure


def complete_erasures(conn: Conn, keys: TenantKeys, retired_epoch: int) -> int:
    """Signs the receipts of erasures whose tags are retracted and whose epoch's key is destroyed; returns how many.

    Every epoch up to `retired_epoch` counts as destroyed. Do not call it in a transaction that appended a leaf: a
    checkpoint is signed. Raises AuditBroken where the log is damaged.
    """
    rows = fetch(conn, _Q["lock_completable_erasures"], tenant=keys.tenant, retired_epoch=retired_epoch)
    if not rows:
        return 0
    note, now = checkpoint.current_checkpoint(conn, keys), datetime.now(UTC)
    size = checkpoint.verify_checkpoint(note, checkpoint.verifier(keys)).size
    for row in rows:
        statement = _receipt(conn, keys, row, size, retired_epoch)
        signed = receipts.sign_receipt(keys, {**statement, "checkpoint": note, "completed_at": rfc3339(now)})
        values = {"tenant": keys.tenant, "id": row["id"], "completed_at": now}
        execute(conn, _Q["complete_erasure"], **values, receipt=rfc8785.dumps(signed).decode())
    return len(rows)


def receipt(conn: Conn, keys: TenantKeys | None, token: str) -> dict[str, Any] | None:
    """Returns the receipt, identical each time; before it is ready `{"state": "pending", "rotation_by": …}`.

    Returns None for a token that is not known to the tenant, or, without `keys`, to any tenant.
    """
    tenant = keys.tenant if keys else None
    row = fetch_one(conn, _Q["read_receipt"], tenant=tenant, token_sha256=_sha256(token))
    if row is None:
        return None
    if row["receipt"] is None:
        return {"state": "pending", "rotation_by": rfc3339(row["requested_at"] + ROTATION)}
    ready: dict[str, Any] = row["receipt"]
    return ready


def _drop_rows(conn: Conn, keys: TenantKeys, pseudonym: bytes, ref: str) -> int:
    """Removes the person's rows and returns the epoch that has to be destroyed."""
    who = {"tenant": keys.tenant, "pid": pseudonym}
    # The key's own epoch, since a rotation under way may have wrapped it anew after these keys were read.
    key = fetch_one(conn, _Q["delete_subject_key"], **who)
    end_consents(conn, keys, pseudonym)
    execute(conn, _Q["delete_connections"], **who, author_mac=author_mac(keys, ref))
    execute(conn, _Q["delete_links"], **who)
    execute(conn, _Q["keep_ended_consents"], **who)
    execute(conn, _Q["delete_subject"], **who)
    drop_waiting(conn, keys, [pseudonym])
    return max(keys.epoch, key["epoch"] if key else 0)


def _receipt(conn: Conn, keys: TenantKeys, row: Row, size: int, retired_epoch: int) -> dict[str, Any]:
    proof = checkpoint.prove_inclusion(conn, keys.tenant, row["leaf"], size)
    part = fetch_one(conn, _Q["read_leaf_payload"], tenant=keys.tenant, leaf=row["leaf"])
    if part is None:
        raise AuditBroken(f"the payload of leaf {row['leaf']} is missing")
    opening = log.open_salted(keys, keys.tenant, row["leaf"], 0, part["sealed"])
    return {
        "tenant": keys.tenant,
        "erasure": str(row["id"]),
        "requested_at": rfc3339(row["requested_at"]),
        "destroyed_epochs": list(range(row["epoch"], retired_epoch + 1)),
        "leaf": {
            "index": proof["index"],
            "bytes": proof["leaf"],
            "opening": encode_base64(opening),
            "proof": proof["hashes"],
        },
    }


def _sha256(token: str) -> bytes:
    return sha256(token.encode()).digest()
