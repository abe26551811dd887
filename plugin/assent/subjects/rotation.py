"""Rotates epochs because of erasures and of consents that ended.

Within the hour the epoch key under which the person's old rows lie is destroyed; the receipt of an erasure records it.
"""

from __future__ import annotations

import structlog

from assent.audit.broken import noting_altered_rows
from assent.core.errors import AssentError, RotationUnderWay
from assent.db.pool import Pool, fetch, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import Keystore
from assent.subjects.erase import complete_erasures
from assent.subjects.rotate import Rotated, RotationProgress, discard_progress, rotate_epoch

# The first one is waited for by nobody; those after it share a rotation, so that a rush of them makes few.
PAUSE_SECONDS = 20 * 60
_Q = named_queries("rotate")
_log = structlog.get_logger(__name__)


def rotate(pool: Pool, keystore: Keystore, tenant: str, progress: RotationProgress = discard_progress) -> Rotated:
    """Rotates the epoch, then signs the receipts of the erasures it covers. Raises what `rotate_epoch` raises."""
    rotated = rotate_epoch(pool, keystore, tenant, progress)
    keys = keystore.tenant(tenant)
    with noting_altered_rows(pool, keys, "receipt"), transaction(pool) as conn:
        complete_erasures(conn, keys, rotated.old)
    return rotated


def rotate_due(pool: Pool, keystore: Keystore) -> int:
    """Rotates each tenant in which an erasure or an ended consent waits for it, and returns how many tenants that were.

    A rotation that fails is tried again with the next call. Raises DatabaseUnavailable when nothing can be read.
    """
    with transaction(pool) as conn:
        tenants = [row["tenant"] for row in fetch(conn, _Q["list_tenants_due"], pause=PAUSE_SECONDS)]
    return sum(_try(pool, keystore, tenant) for tenant in tenants)


def _try(pool: Pool, keystore: Keystore, tenant: str) -> bool:
    try:
        rotated = rotate(pool, keystore, tenant)
    except RotationUnderWay:
        return False
    except AssentError as error:
        _log.error("epoch not rotated", tenant=tenant, code=error.code, detail=error.detail)
        return False
    counts = {"old": rotated.old, "new": rotated.new, "people": rotated.people, "broken": rotated.broken}
    _log.info("epoch rotated", tenant=tenant, **counts)
    return True
