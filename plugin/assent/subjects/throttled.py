"""That an author's pictures are no longer held against a person is noted in the log, for whoever looks into it."""

from __future__ import annotations

from datetime import UTC, datetime

from assent.audit.log import Part, append
from assent.db.pool import Pool, transaction
from assent.decisions.assemble import person_of
from assent.keys.keystore import TenantKeys


def note_throttled(pool: Pool, keys: TenantKeys, author: str, pid: bytes) -> None:
    """One leaf `match.throttled`: the author sealed under the tenant's key, and once more under the person's."""
    with transaction(pool) as conn:
        person = person_of(conn, keys, pid)
        payload = {"author": author}
        parts = [Part(payload), *([Part(payload, pid, person.subject.key)] if person else [])]
        append(conn, keys, "match.throttled", {}, parts, datetime.now(UTC))
