"""Queues retractions; whom a job is about is sealed in its arguments, which stand beside the times of what it does."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from assent.core.errors import SealBroken
from assent.db.pool import Conn
from assent.db.queue import enqueue_retraction, list_retractions
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant


def queue_retraction(conn: Conn, keys: TenantKeys, pseudonym: bytes, erasure: UUID | None = None) -> None:
    """Queues `retract.retract` with the caller's transaction, which touches no media item."""
    enqueue_retraction(conn, keys.tenant, seal_for_tenant(keys, "retraction", pseudonym, keys.tenant), erasure)


def retracted_pseudonym(keys: TenantKeys, args: Mapping[str, str]) -> bytes | None:
    """Returns whom a retraction job is about, None where it was done. Raises SealBroken."""
    if pid := args.get("pid"):  # queued before pseudonyms were sealed
        return bytes.fromhex(pid)
    if not args.get("sealed"):
        return None
    return unseal_for_tenant(keys, "retraction", bytes.fromhex(args["sealed"]), keys.tenant)


def retraction_waits(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> bool:
    """Tells whether matches of the subject still have to be retracted; a job that was altered is taken for nobody's."""
    for args in list_retractions(conn, keys.tenant):
        with suppress(SealBroken):
            if retracted_pseudonym(keys, args) == pseudonym:
                return True
    return False
