"""Begins jobs in fair turns: the tenants of a queue have their next ones by turns, however many each has waiting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from psycopg.sql import SQL

from assent.db.queries import named_queries

_FETCH: SQL = named_queries("queue")["fetch_job_in_turn"]


class FairJobs(JobManager):
    """Fetches jobs; remembers in which order it served the tenants of each queue."""

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._served: dict[str, list[str]] = defaultdict(list)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Begins the next job in turn, of the first queue that has one, and returns it; None where none is due."""
        for queue in queues or ():
            if job := await self._fetch(queue, worker_id):
                return job
        return None

    async def _fetch(self, queue: str, worker_id: int) -> Job | None:
        served = self._served[queue]
        rows = await self.connector.execute_query_all_async(
            query=_FETCH,  # type: ignore[arg-type]  # psycopg takes it as it takes a string
            queue=queue,
            worker_id=worker_id,
            served=served,
        )
        for row in rows:
            tenant = row["args"]["tenant"]
            if tenant in served:
                served.remove(tenant)
            served.append(tenant)
            return Job.from_row(row)
        return None
