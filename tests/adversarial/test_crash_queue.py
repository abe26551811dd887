"""The queue's jobs and lost workers: whose job waits again, when, and that nothing stays begun for ever."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from procrastinate.manager import JobManager

from assent.core.errors import DatabaseUnavailable
from assent.core.values import Event, MediaRef
from assent.db.pool import transaction
from assent.embedded.clusters import embedded
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.worker.jobs import WorkerContext
from assent.worker.loop import _work
from assent.worker.maintenance import rescue_jobs
from assent.worker.queue import JOBS
from tests.adversarial import faults
from tests.adversarial.faults import Site, site
from tests.adversarial.ledger import Ledger, balance, send
from tests.events import SOURCE
from tests.fixtures.figures import Figure
from tests.waiting import until


def begun_job(bench: WorkerContext, keys: TenantKeys, heartbeat: str = "0") -> int:
    """The worker that took the job of a new event and was gone before it could send a heartbeat, which its row says
    was so long from now."""
    event = Event("media.created", (MediaRef("photo", "http://127.0.0.1:9/"),), "public", "post")
    with transaction(bench.pool) as conn:
        store_event(conn, keys, uuid4(), event, Origin(SOURCE, "live"))
        ((worker,),) = conn.execute("SELECT worker_id FROM procrastinate_register_worker_v1()").fetchall()
        ((taken,),) = conn.execute("SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", [worker]).fetchall()
        conn.execute("UPDATE procrastinate_workers SET last_heartbeat = now() + %s::interval", [heartbeat])
    assert taken is not None
    return int(worker)


def jobs(bench: WorkerContext) -> list[tuple[str, int]]:
    with transaction(bench.pool) as conn:
        return conn.execute("SELECT status::text, attempts FROM procrastinate_jobs").fetchall()


def rescued(bench: WorkerContext) -> bool:
    rescue_jobs(bench.settings, bench.pool, bench.keystore)
    return jobs(bench) == [("todo", 1)]


def test_gone_before_its_first_heartbeat(bench: WorkerContext, keys: TenantKeys) -> None:
    begun_job(bench, keys)
    rescue_jobs(bench.settings, bench.pool, bench.keystore)
    assert jobs(bench) == [("doing", 0)]  # it may still live
    until(lambda: rescued(bench), "the lease ends", 10)


def test_gone_with_a_heartbeat_in_the_future(bench: WorkerContext, keys: TenantKeys) -> None:
    begun_job(bench, keys, "1 day")
    rescue_jobs(bench.settings, bench.pool, bench.keystore)
    assert jobs(bench) == [("doing", 0)]
    until(lambda: rescued(bench), "the lease ends", 10)


def test_gone_and_its_row_with_it(bench: WorkerContext, keys: TenantKeys) -> None:
    begun_job(bench, keys)
    with transaction(bench.pool) as conn:
        conn.execute("DELETE FROM procrastinate_workers")
    rescue_jobs(bench.settings, bench.pool, bench.keystore)
    assert jobs(bench) == [("todo", 1)]


def test_who_lives_keeps_its_job(bench: WorkerContext, keys: TenantKeys) -> None:
    worker = begun_job(bench, keys, "-1 hour")
    with transaction(bench.pool) as conn:
        conn.execute("SELECT procrastinate_update_heartbeat_v1(%s)", [worker])
    rescue_jobs(bench.settings, bench.pool, bench.keystore)
    assert jobs(bench) == [("doing", 0)]


def test_of_many_that_look_at_once_one_rescues(bench: WorkerContext, keys: TenantKeys) -> None:
    begun_job(bench, keys, "-1 hour")
    with ThreadPoolExecutor(8) as threads:
        for ended in [threads.submit(rescue_jobs, bench.settings, bench.pool, bench.keystore) for _ in range(8)]:
            ended.result()
    assert jobs(bench) == [("todo", 1)]


def test_a_part_that_fails_ends_workers_that_miss_their_cancellation(
    bench: WorkerContext, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register, registering = JobManager.register_worker, threading.Event()

    async def deaf(manager: JobManager) -> int:
        registering.set()
        with suppress(asyncio.CancelledError):  # as `asyncio.wait_for` of Python 3.11, when its answer comes just then
            await asyncio.sleep(0.5)
        return await register(manager)

    def fail(*_: object) -> None:
        registering.wait(20)
        raise DatabaseUnavailable

    monkeypatch.setattr(JobManager, "register_worker", deaf)
    monkeypatch.setattr("assent.worker.loop.maintenance_tasks", lambda _settings: ((1.0, fail),))
    with pytest.raises(DatabaseUnavailable):
        asyncio.run(asyncio.wait_for(_work(database_url, bench, asyncio.Event()), 30))


def asked(data: Path, question: str) -> list[int]:
    """The first column of an answer of the installation's own database; nothing while it is away."""
    try:
        with embedded(data) as url, psycopg.connect(url, autocommit=True) as conn:
            return [row[0] for row in conn.execute(question.encode())]
    except psycopg.OperationalError:
        return []


def workers(at: Site) -> set[int]:
    return set(asked(at.data, "SELECT id FROM procrastinate_workers"))


CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_worker_started_again_is_another_one_and_outlives_its_database(open_folder: Path, figure: Figure) -> None:
    ledger, rng, deaths = Ledger(), random.Random(1), 1
    with site(open_folder / "outlives") as at:
        until(lambda: len(workers(at)) == len(JOBS), "the queues' workers are there")
        before, killed = workers(at), faults.worker(at)
        send(at.house, ledger, "killed", at.photo(rng))
        assert killed is not None
        killed.kill()
        until(lambda: len(workers(at) - before) == len(JOBS), "its successor registered under new ids", 60)
        successor = faults.worker(at)
        for number in range(deaths):
            send(at.house, ledger, f"cut-{number}", at.photo(rng))
            assert asked(at.data, CUT) > [0]
            send(at.house, ledger, f"dead-{number}", at.photo(rng))
            server = faults.truth(at)
            assert server is not None
            server.kill()
            send(at.house, ledger, f"after-{number}", at.photo(rng))
        found = balance(at.house, at.web, ledger, at.data)
        assert faults.worker(at) == successor
        begun = "SELECT id FROM procrastinate_jobs WHERE status = 'doing'"
        until(lambda: not asked(at.data, begun), "no job is left begun", 30)
    said = f"1 worker killed, its successor's connections cut and its database killed {deaths} times"
    figure(f"{said}: {found}; 0 jobs left begun")
