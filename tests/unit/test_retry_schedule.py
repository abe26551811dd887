"""When a failed job runs again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from procrastinate.jobs import Job

from assent.core.errors import DatabaseUnavailable, FetchFailed
from assent.worker.jobs import FETCH_RETRY_SECONDS
from assent.worker.queue import JobRetry


def wait(error: Exception, attempts: int) -> float:
    """Seconds until the job runs again."""
    job = Job(
        id=1,
        queue="pictures",
        lock=None,
        queueing_lock=None,
        task_name="decide",
        attempts=attempts,
    )
    at = JobRetry().get_retry_decision(exception=error, job=job).retry_at
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
