"""Counts rejected webhooks and appends one audit leaf a minute, so that a flood of them does not fill the log."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

from assent.audit.log import append
from assent.core.errors import DatabaseUnavailable
from assent.core.telemetry import REJECTED, log
from assent.db.pool import Pool, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import Keystore

SECONDS = 60
UNKNOWN = ""  # counts together what came for names that are no source's
_SOURCES = 1_000  # distinct names kept between two leaves: what fails before its name is looked up may be made up


class Rejects:
    """Counts rejected webhooks by source and code until they are written."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, source: str, code: str) -> None:
        REJECTED.labels(code).inc()
        if (source, code) in self._counts or len(self._counts) < _SOURCES:
            self._counts[source, code] += 1

    def write(self, pool: Pool, keystore: Keystore) -> None:
        """Appends one leaf for each known source that was sent something unacceptable since the last time.

        Raises DatabaseUnavailable; what was not written by then is kept for the next time.
        """
        counts, self._counts = self._counts, Counter()
        try:
            for source in sorted({source for source, _ in counts}):
                rejected = {code: n for (name, code), n in counts.items() if name == source}
                _append(pool, keystore, source, rejected)
                for code in rejected:
                    del counts[source, code]
        finally:
            self._counts.update(counts)

    async def keep_writing(self, pool: Pool, keystore: Keystore) -> None:
        """Writes the counts every minute until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            try:
                await asyncio.to_thread(self.write, pool, keystore)
            except DatabaseUnavailable:
                log.warning("rejected webhooks could not be noted: the database is away")


def _append(pool: Pool, keystore: Keystore, source: str, rejected: dict[str, int]) -> None:
    with transaction(pool) as conn:
        row = fetch_one(conn, named_queries("intake")["read_source"], source=source)
        if row is not None:
            keys = keystore.tenant(row["tenant"])
            append(conn, keys, "intake.rejected", {"source": source, "rejected": rejected}, [], datetime.now(UTC))
