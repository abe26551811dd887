"""When a failed job runs again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from procrastinate.jobs import Job
from procrastinate.retry import RetryDecision

from assent.core.errors import DatabaseUnavailable, FetchFailed
from assent.db.queue import PRIORITY, SLOW
from assent.worker.fetching import HostSlow
from assent.worker.jobs import FETCH_RETRY_SECONDS
from assent.worker.queue import JobRetry


def decided(error: Exception, attempts: int, queue: str = "pictures", priority: int = 50) -> RetryDecision:
    job = Job(
        id=1,
        queue=queue,
        priority=priority,
        lock=None,
        queueing_lock=None,
        task_name="decide",
        attempts=attempts,
    )
    return JobRetry().get_retry_decision(exception=error, job=job)


def wait(error: Exception, attempts: int, queue: str = "pictures") -> float:
    """Seconds until the job runs again."""
    at = decided(error, attempts, queue).retry_at
    assert at is not None
    return (at - datetime.now(UTC)).total_seconds()


def test_jobs_that_failed_together_come_back_one_by_one() -> None:
    waits = [wait(DatabaseUnavailable(), 3) for _ in range(50)]
    assert max(waits) - min(waits) > 0.5
    assert all(7.9 < seconds < 9.1 for seconds in waits)


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 1), (5, 32), (6, 60), (400, 60)])
def test_an_outage_is_waited_for_a_minute_at_most(attempts: int, seconds: int) -> None:
    assert seconds - 0.1 < wait(DatabaseUnavailable(), attempts) < seconds + 1.1


@pytest.mark.parametrize("attempts", range(6))
def test_a_failed_fetch_has_times_of_its_own(attempts: int) -> None:
    seconds = FETCH_RETRY_SECONDS[min(attempts, len(FETCH_RETRY_SECONDS) - 1)]
    assert abs(wait(FetchFailed("timed out"), attempts) - seconds) < 0.5


def test_where_a_host_drips_the_job_goes_on_at_once_behind_those_that_drip_less() -> None:
    assert wait(HostSlow(1), 0) < 0.1
    for lane, priority in PRIORITY.items():
        priorities = [decided(HostSlow(strikes), 0, priority=priority).priority for strikes in (1, 2, 40, 1000)]
        assert priorities == [priority - 1, priority - 2, priority - 40, priority - 40], lane
    assert {decided(HostSlow(1), 0, lane).queue for lane in ("pictures", "interactive")} == {SLOW}


def test_on_the_way_to_the_slow_queue_no_fetch_was_in_vain() -> None:
    assert abs(wait(FetchFailed("timed out"), 1, SLOW) - FETCH_RETRY_SECONDS[0]) < 0.5
    assert abs(wait(HostSlow(1, FetchFailed("refused")), 0) - FETCH_RETRY_SECONDS[0]) < 0.5
