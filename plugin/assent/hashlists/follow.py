"""Keeps each tenant's hash lists in memory, in step with the database."""

from __future__ import annotations

import time
from threading import Lock

from assent.core.values import Picture
from assent.db.pool import Pool, transaction
from assent.hashlists import lists
from assent.hashlists.search import HashList, Hit, find_hits

FRESH_SECONDS = 1.0  # how long the lists in memory count as those in the database


class TenantHashLists:
    """Searches a tenant's hash lists for its images, from any thread.

    Asks the database for the lists' versions at most once a second, and reads a list again when its version is another.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = Lock()
        self._lists: dict[str, tuple[HashList, ...]] = {}
        self._read_at: dict[str, float] = {}

    def __call__(self, tenant: str, picture: Picture) -> tuple[Hit, ...]:
        """Returns a hit for each list with the image.

        Raises DatabaseUnavailable: without the lists no image is called unlisted.
        """
        return find_hits(self._current(tenant), picture)

    def _current(self, tenant: str) -> tuple[HashList, ...]:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at.get(tenant, -FRESH_SECONDS) >= FRESH_SECONDS:
                self._lists[tenant] = self._read_again(tenant)
                self._read_at[tenant] = now
            return self._lists[tenant]

    def _read_again(self, tenant: str) -> tuple[HashList, ...]:
        by_version = {hash_list.version: hash_list for hash_list in self._lists.get(tenant, ())}
        with transaction(self._pool) as conn:
            # A list that changes between these statements has another version by then, and is soon read again.
            rows = lists.list_versions(conn, tenant)
            changed = [row for row in rows if row["version"] not in by_version]
            by_version |= {hash_list.version: hash_list for hash_list in lists.read_hash_lists(conn, tenant, changed)}
        return tuple(by_version[row["version"]] for row in rows)
