"""Goes on with a log whose database was restored: the one way to sign a tree that does not extend the last signed."""

from __future__ import annotations

from datetime import datetime

from assent.audit import checkpoint, log, tree
from assent.audit.epoch import RESTORED, LogHead, Restoration, stored_epoch
from assent.core.audit_errors import HeadNotRemembered, LogSetBack
from assent.core.clock import rfc3339
from assent.db.pool import Conn, Pool, execute, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys

_Q = named_queries("audit")


def begin_epoch(pool: Pool, keys: TenantKeys, at: datetime) -> Restoration | None:
    """Begins a new epoch of the tenant's log where leaves that were signed are not in the database any more.

    Returns None, and changes nothing, where the log in the database extends the one signed last, and where there is
    none. Call it after a restore and nowhere else, under the tenant's rotation lock. Cut short after its leaf is
    stored, it begins another epoch the next time. Raises HeadNotRemembered, AuditBroken.
    """
    note = checkpoint.read_note(keys)
    if note is None:
        return None
    with transaction(pool) as conn:
        if not execute(conn, _Q["lock_tree"], tenant=keys.tenant):
            return None  # the tenant is younger than the backup
        restoration = _append(conn, keys, checkpoint.open_note(keys, note), at)
        if restoration is None:
            return None
        size, peaks = log.head(conn, keys.tenant)
    # After the commit: what is signed has to stay.
    fresh = checkpoint.sign_checkpoint(keys, size, tree.root(peaks), restoration.restored.epoch)
    if not checkpoint.remember_note(keys, fresh, note):
        raise HeadNotRemembered("another process signed the log meanwhile: stop all of Assent, then try again")
    return restoration


def _append(conn: Conn, keys: TenantKeys, old: checkpoint.Checkpoint, at: datetime) -> Restoration | None:
    """Appends the leaf that begins the epoch; None where nothing that was signed is missing."""
    size, peaks = log.head(conn, keys.tenant)
    try:
        checkpoint.check_extends(conn, keys.tenant, old, log.TreeHead(size, peaks))
    except LogSetBack:
        epoch = max(old.epoch, stored_epoch(conn, keys.tenant)) + 1
        restored = LogHead(epoch, size, tree.root(peaks))
        restoration = Restoration(rfc3339(at), LogHead(old.epoch, old.size, old.root), restored)
        log.append(conn, keys, RESTORED, restoration.body(), [], at)
        return restoration
    return None
