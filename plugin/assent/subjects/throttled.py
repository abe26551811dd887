"""Logs that media items are no longer compared with a subject for a day, for a later inquiry."""

from __future__ import annotations

from datetime import UTC, datetime

from assent.audit.log import Part, append
from assent.db.locks import lock_shared
from assent.db.pool import Pool, transaction
from assent.decisions.assemble import person_of
from assent.keys.keystore import TenantKeys


def note_throttled(pool: Pool, keys: TenantKeys, author: str | None, pseudonym: bytes) -> None:
    """Appends one leaf `match.throttled`.

    The author, None for everybody but the subject, is sealed under the tenant's key and once more under the subject's.
    """
    with transaction(pool) as conn:
        lock_shared(conn, keys.tenant, [pseudonym])
        person = person_of(conn, keys, pseudonym)
        payload = {"author": author}
        parts = [Part(payload), *([Part(payload, pseudonym, person.subject.key)] if person else [])]
        append(conn, keys, "match.throttled", {}, parts, datetime.now(UTC))
