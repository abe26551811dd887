"""A tenant's flood holds up nobody else: in every queue the others' next job comes after one of its, at any length."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from uuid import uuid4

import pytest
from PIL import Image

from assent.core.values import MediaRef
from assent.db.pool import Pool, transaction
from assent.db.queries import named_queries
from assent.db.queue import ENROLMENTS, INTERACTIVE, OUTBOX, PICTURES, RIGHTS, SLOW
from assent.keys.keystore import TenantKeys
from assent.perceive import Models
from assent.perceive.frames.batch import Batcher
from assent.tenants import init_tenant
from assent.worker.jobs import WorkerContext
from assent.worker.loop import _work
from assent.worker.queue import JOBS, queue_app
from tests.events import rows, store
from tests.fixtures.figures import Figure
from tests.waiting import until

QUEUES = (INTERACTIVE, PICTURES, SLOW, ENROLMENTS, RIGHTS, OUTBOX)


def flood(pool: Pool, queue: str, tenant: str, count: int, priority: int = 50) -> None:
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args)"
            " SELECT %s, 'decide', %s, jsonb_build_object('tenant', %s::text, 'event', gen_random_uuid())"
            " FROM generate_series(1, %s)",
            [queue, priority, tenant, count],
        )


Begin = Callable[..., list[tuple[str, int]]]


@pytest.fixture
def begin(database_url: str) -> Begin:
    """Begins jobs of a queue, each as a worker of its own or all as one; the tenant and the priority of each."""

    def act(queue: str, count: int, *, one_worker: bool = False) -> list[tuple[str, int]]:
        async def fetched() -> list[tuple[str, int]]:
            app = queue_app(database_url, WorkerContext.__new__(WorkerContext))
            async with app.open_async():
                register = app.job_manager.register_worker
                workers = [await register()] * count if one_worker else [await register() for _ in range(count)]
                jobs = [await app.job_manager.fetch_job([queue], worker_id) for worker_id in workers]
            return [(str(job.task_kwargs["tenant"]), job.priority) for job in jobs if job is not None]

        return asyncio.run(fetched())

    return act


@pytest.mark.parametrize("queue", QUEUES)
def test_tenants_have_turns_in_every_queue(pool: Pool, begin: Begin, queue: str) -> None:
    flood(pool, queue, "flooder", 100)
    flood(pool, queue, "small", 3)
    flood(pool, queue, "other", 1)
    begun = [tenant for tenant, _ in begin(queue, 8)]
    assert set(begun[:3]) == {"flooder", "small", "other"}
    assert begun.count("small") == 3
    assert begun[7:] == ["flooder"]  # nobody else waits any more: no place is left empty


def test_a_tenant_with_jobs_under_way_waits_for_one_without(pool: Pool, begin: Begin) -> None:
    flood(pool, PICTURES, "flooder", 50)
    assert begin(PICTURES, 12) == [("flooder", 50)] * 12
    flood(pool, PICTURES, "small", 12)
    assert begin(PICTURES, 12) == [("small", 50)] * 12  # until each has as many, whoever began them
    assert [tenant for tenant, _ in begin(PICTURES, 4)].count("flooder") == 4


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_keeps_a_place_for_another_tenant(pool: Pool, begin: Begin, queue: str) -> None:
    flood(pool, queue, "flooder", 100)
    places = JOBS[queue]
    assert len(begin(queue, places + 1, one_worker=True)) == max(places - 1, 1)


def test_what_is_more_urgent_goes_first_and_what_is_not_due_waits(pool: Pool, begin: Begin) -> None:
    flood(pool, PICTURES, "first", 3, priority=0)
    flood(pool, PICTURES, "second", 2)
    rows(pool, "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE id IN (1, 4) RETURNING id")
    assert begin(PICTURES, 5) == [("second", 50), ("first", 0), ("first", 0)]


def test_two_workers_begin_no_job_twice(pool: Pool, begin: Begin) -> None:
    flood(pool, PICTURES, "flooder", 30)
    flood(pool, PICTURES, "small", 30)

    async def both() -> list[list[tuple[str, int]]]:
        return await asyncio.gather(*(asyncio.to_thread(begin, PICTURES, 20) for _ in range(3)))

    assert sum(len(begun) for begun in asyncio.run(both())) == 60
    assert rows(pool, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == [(60,)]


@pytest.mark.parametrize("queue", [PICTURES, OUTBOX])
def test_a_choice_costs_as_much_with_a_hundred_waiting_as_with_ten_thousand(
    pool: Pool, queue: str, figure: Figure
) -> None:
    touched = []
    for count in (100, 9_900):
        flood(pool, queue, "flooder", count)
        flood(pool, queue, "small", 1)
        with transaction(pool) as conn:
            conn.execute("ANALYZE procrastinate_jobs")
        touched.append(pages_of_a_choice(pool, queue))
    figure(f"{queue}: a choice reads {touched[0]} pages with 100 waiting, {touched[1]} with 10,000")
    assert touched[1] <= 3 * touched[0]


def pages_of_a_choice(pool: Pool, queue: str) -> int:
    """The pages that beginning the next job reads, as the server counts them."""
    statement = named_queries("queue")["fetch_job_in_turn"]
    with transaction(pool) as conn, conn.transaction(force_rollback=True):
        text = statement.as_string(conn)
        cursor = conn.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}".encode(),
            {"queue": queue, "worker_id": None, "served": [str(uuid4())], "most": 1},
        )
        row = cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.slow
def test_another_tenants_events_are_decided_nearly_as_soon_as_without_the_flood(
    bench: WorkerContext, keys: TenantKeys, models: Models, figure: Figure
) -> None:
    """Sends every picture through the models; the flooder always has that many events waiting."""
    bench = replace(bench, stages=replace(bench.stages, perceive=Batcher(models)))
    init_tenant(bench.pool, bench.keystore, "flooder", "elsewhere", None)
    flooder = bench.keystore.tenant("flooder")
    photo = small_photo()
    seconds = {}
    with at_work(bench):
        decided_after(bench, keys, photo)  # the first loads what later ones find
        for waiting in (0, 100, 10_000):
            took = []
            for _ in range(40):
                top_up(bench, flooder, photo, waiting)
                took.append(decided_after(bench, keys, photo))
            seconds[waiting] = sorted(took)
    worst = {waiting: took[-1] for waiting, took in seconds.items()}
    median = {waiting: took[len(took) // 2] for waiting, took in seconds.items()}
    figure(f"seconds to a decision by the flooder's events waiting: worst {worst}, median {median}")
    assert worst[100] <= 3 * worst[0]
    assert worst[10_000] <= 3 * worst[0]


@contextmanager
def at_work(bench: WorkerContext) -> Iterator[None]:
    """Runs the worker's queues in a thread, as `assent worker` does."""
    stopping: list[Callable[[], object]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stopping.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
        await _work(str(bench.pool.conninfo), bench, stop)

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(asyncio.run, run())
        try:
            yield
        finally:
            until(lambda: bool(stopping), "the worker began")
            stopping[0]()
            working.result(120)


def small_photo() -> bytes:
    out = BytesIO()
    Image.effect_noise((160, 120), 40).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def top_up(bench: WorkerContext, keys: TenantKeys, photo: bytes, waiting: int) -> None:
    query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND args ->> 'tenant' = 'flooder'"
    for n in range(waiting - rows(bench, query)[0][0]):
        store(bench, keys, MediaRef(f"{uuid4()}-{n}", None), photo)


def decided_after(bench: WorkerContext, keys: TenantKeys, photo: bytes) -> float:
    began = time.monotonic()
    event = store(bench, keys, MediaRef(str(uuid4()), None), photo)
    query = "SELECT FROM event WHERE id = %s AND done_at IS NOT NULL"
    until(lambda: bool(rows(bench, query, event)), "it is decided", 60, 0.005)
    return time.monotonic() - began
