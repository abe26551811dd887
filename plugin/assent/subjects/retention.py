"""Ends what is due: consents whose time is over, and all data of subjects who were inactive for too long."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from assent.audit.broken import record_broken_seal
from assent.core.errors import SealBroken
from assent.core.telemetry import log
from assent.db import locks
from assent.db.pool import Conn, Pool, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.seal import unseal
from assent.subjects.consent import expire_due, open_subject
from assent.subjects.erase import erase

_YEAR = timedelta(days=365)  # never longer than a calendar year
# Jurisdiction, or how it begins → how long after the person's last interaction; the longest that fits counts.
TERMS: dict[str, timedelta] = {
    "": 3 * _YEAR,
    "US-IL": 3 * _YEAR,  # BIPA, 740 ILCS 14/15(a): three years after the last interaction at the latest
    "US-TX": 1 * _YEAR,  # Bus. & Com. Code § 503.001(c)(3): one year after the purpose ended at the latest
}
_Q = named_queries("subjects")


def term(jurisdictions: Collection[str]) -> timedelta:
    """Returns how long a subject with consents under these jurisdictions is kept: the shortest of their terms."""
    return min((TERMS[_longest_prefix(jurisdiction)] for jurisdiction in jurisdictions), default=TERMS[""])


def end_due(pool: Pool, keys: TenantKeys, now: datetime) -> None:
    """Does a tenant's hourly round: ends consents whose time is over, erases subjects who were inactive for a term."""
    while True:
        with transaction(pool) as conn:
            if not expire_due(conn, keys, now):
                break
    erase_due(pool, keys, now)


def erase_due(pool: Pool, keys: TenantKeys, now: datetime) -> int:
    """Erases the tenant's subjects whose term is over, each in its own transaction; returns how many."""
    with transaction(pool) as conn:
        rows = fetch(conn, _Q["list_inactive_subjects"], tenant=keys.tenant, since=now - min(TERMS.values()))
    people = [row["pid"] for row in rows if row["interacted_at"] + term(row["jurisdictions"]) <= now]
    return sum(_erase(pool, keys, pseudonym, now) for pseudonym in people)


def _erase(pool: Pool, keys: TenantKeys, pseudonym: bytes, now: datetime) -> bool:
    """Erases one subject whose term is over.

    Returns False where the subject was active meanwhile, is erased already, or their row was altered.
    """
    with transaction(pool) as conn:
        locks.try_lock_exclusive(conn, keys.tenant, pseudonym)
        row = fetch_one(conn, _Q["read_inactive_subject"], tenant=keys.tenant, pid=pseudonym)
        if row is None or row["interacted_at"] + term(row["jurisdictions"]) > now:
            return False
        try:
            ref = _ref(conn, keys, pseudonym, row["sealed"])
        except SealBroken as error:
            log.error("somebody was not erased when their term ended", tenant=keys.tenant, code=error.code)
            record_broken_seal(conn, keys, "subject", datetime.now(UTC))
            return False
        erase(conn, keys, ref)
    return True


def _ref(conn: Conn, keys: TenantKeys, pseudonym: bytes, sealed: bytes) -> str:
    return unseal(open_subject(conn, keys, pseudonym).key, sealed, "ref", keys.tenant, pseudonym).decode()


def _longest_prefix(jurisdiction: str) -> str:
    return max((prefix for prefix in TERMS if jurisdiction.startswith(prefix)), key=len)
