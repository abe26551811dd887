"""Begins jobs in fair turns: the tenants of a queue have their next ones by turns, however many each has waiting."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback
from psycopg.sql import SQL

from assent.db.queries import named_queries

_FETCH: SQL = named_queries("queue")["fetch_job_in_turn"]


class FairJobs(JobManager):
    """Fetches jobs; remembers in which order it served the tenants of each queue.

    Of the `places` of a queue a worker gives one tenant all but one, so that another's next job begins at once. A
    queue that was looked at while a tenant had its most is looked at again when a job ends, and only then: what is
    announced while the queue library looks is found a second later.
    """

    def __init__(self, connector: BaseConnector, places: Mapping[str, int]) -> None:
        super().__init__(connector)
        self._of_tenant = {queue: max(number - 1, 1) for queue, number in places.items()}
        self._served: dict[str, list[str]] = defaultdict(list)
        self._begun = Counter[tuple[str, str]]()  # by queue and tenant
        self._held: set[str] = set()  # queues last looked at while a tenant had its most
        self._listening: dict[str, NotificationCallback] = {}

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listens as the queue library does, and remembers whom to tell that a job ended."""
        self._listening |= dict.fromkeys(queues or (), on_notification)
        await super().listen_for_jobs(on_notification=on_notification, queues=queues)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Ends a job; its queue may be looked at again."""
        await super().finish_job(job, status, delete_job)
        await self._look_again(job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Makes a job wait again; the queue that it was in may be looked at again."""
        await super().retry_job(job, retry_at, priority, queue, lock)
        await self._look_again(job)

    async def _look_again(self, job: Job) -> None:
        key = job.queue, str(job.task_kwargs["tenant"])
        self._begun[key] -= 1
        self._begun = +self._begun
        if job.queue in self._held and (tell := self._listening.get(job.queue)) and job.id:
            await tell(channel="", notification={"type": "job_inserted", "job_id": job.id})

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Begins the next job in turn, of the first queue that has one, and returns it; None where none is due."""
        for queue in queues or ():
            if job := await self._fetch(queue, worker_id):
                return job
        return None

    async def _fetch(self, queue: str, worker_id: int) -> Job | None:
        served = self._served[queue]
        if any(begun >= self._of_tenant[queue] for (of, _), begun in self._begun.items() if of == queue):
            self._held.add(queue)
        else:
            self._held.discard(queue)
        rows = await self.connector.execute_query_all_async(
            query=_FETCH,  # type: ignore[arg-type]  # psycopg takes it as it takes a string
            queue=queue,
            worker_id=worker_id,
            served=served,
            most=self._of_tenant[queue],
        )
        for row in rows:
            tenant = row["args"]["tenant"]
            if tenant in served:
                served.remove(tenant)
            served.append(tenant)
            self._begun[queue, tenant] += 1
            return Job.from_row(row)
        return None
