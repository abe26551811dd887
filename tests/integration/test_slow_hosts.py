"""A host that sends a byte now and then holds up nobody else: neither the models nor who waits for an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Event, Thread
from uuid import UUID, uuid4

import pytest

from assent.core import values
from assent.core.errors import FetchFailed
from assent.core.settings import AllowedHost
from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.db.queue import PICTURES, SLOW, Lane
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.media import fetch
from assent.worker import fetching
from assent.worker.fetching import PLACES, HostSlow
from assent.worker.jobs import WorkerContext, decide_event
from assent.worker.loop import _work
from tests.events import rows
from tests.waiting import until
from tests.web import Answer, Web


@dataclass
class Drip:
    """A host that announces a megabyte and sends a byte now and then until it is `over`."""

    port: int
    over: Event
    asked: int = 0
    ended: int = 0

    @property
    def allowed(self) -> AllowedHost:
        return AllowedHost.parse(f"127.0.0.2:{self.port}@127.0.0.0/8")

    def media(self, name: str) -> MediaRef:
        return MediaRef(name, f"http://127.0.0.2:{self.port}/{name}.png")


@pytest.fixture
def drip() -> Iterator[Drip]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked += 1
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            try:
                while not host.over.wait(0.05):
                    self.wfile.write(b"x")
            except OSError:
                pass
            host.ended += 1

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
    host = Drip(server.server_port, Event())
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        host.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def worker(bench: WorkerContext, web: Web, drip: Drip) -> WorkerContext:
    return replace(bench, stages=replace(bench.stages, allow=(web.allowed, drip.allowed)))


@contextmanager
def working(worker: WorkerContext) -> Iterator[None]:
    """Works on the queues in a thread; at the end jobs under way are finished."""
    url: str = worker.pool.conninfo  # type: ignore[assignment]  # a pool may make it up; ours has it
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    thread = Thread(target=lambda: loop.run_until_complete(_work(url, worker, stopping)))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(60)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def post(worker: WorkerContext, keys: TenantKeys, media: Sequence[MediaRef], lane: Lane = "live") -> UUID:
    event_id = uuid4()
    event = values.Event("media.created", tuple(media), "public", "post")
    with transaction(worker.pool) as conn:
        store_event(conn, keys, event_id, event, Origin("platform", lane))
    return event_id


def decided(worker: WorkerContext) -> list[str]:
    return [row[0] for row in rows(worker, "SELECT media_id FROM decision ORDER BY media_id")]


def test_somebody_who_waits_is_answered_while_sixteen_pictures_drip(
    worker: WorkerContext, keys: TenantKeys, web: Web, drip: Drip, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PATIENCE_S", 60)  # so that all still drip, however slow this machine is
    monkeypatch.setattr(fetch, "TOTAL_S", 60)
    web.files["/cat.png"] = cat
    with working(worker):
        try:
            for event in range(4):
                post(worker, keys, [drip.media(f"drips-{event}-{n}") for n in range(4)])
            until(lambda: drip.asked >= 4, "pictures drip")
            post(worker, keys, [MediaRef("cat", f"{web.url}/cat.png")], "interactive")
            until(lambda: decided(worker) != [], "the picture that somebody waits for is decided")
            assert (decided(worker), drip.ended) == (["cat"], 0)
            post(worker, keys, [MediaRef("live", f"{web.url}/cat.png")])
            until(lambda: decided(worker) != ["cat"], "so is another")
            assert (decided(worker), drip.ended) == (["cat", "live"], 0)
            assert drip.asked == PLACES[PICTURES] // 2
        finally:
            drip.over.set()


def test_what_drips_goes_on_in_a_queue_of_its_own_and_costs_no_try(
    worker: WorkerContext, keys: TenantKeys, web: Web, drip: Drip, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PATIENCE_S", 2)
    web.files["/cat.png"] = cat
    event_id = post(worker, keys, [drip.media("drips"), MediaRef("cat", f"{web.url}/cat.png")])
    for _ in range(2):
        with pytest.raises(HostSlow):
            decide_event(worker, "default", event_id, PICTURES)
        assert (decided(worker), rows(worker, "SELECT tries FROM event"), drip.asked) == (["cat"], [(0,)], 1)
    monkeypatch.setattr(fetch, "TOTAL_S", 1)  # of patience there, which ends too
    with pytest.raises(FetchFailed):
        decide_event(worker, "default", event_id, SLOW)
    assert (rows(worker, "SELECT tries FROM event"), drip.asked) == ([(1,)], 2)
    assert web.asked == ["/cat.png"]


def test_a_job_whose_host_drips_moves_to_the_slow_queue(
    worker: WorkerContext, keys: TenantKeys, drip: Drip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PATIENCE_S", 0.2)
    post(worker, keys, [drip.media("drips")], "interactive")
    with working(worker):
        try:
            question = "SELECT queue_name, priority, attempts, status::text FROM procrastinate_jobs"
            until(lambda: rows(worker, question) == [(SLOW, 99, 1, "doing")], "it is fetched there")
        finally:
            drip.over.set()


def test_the_pictures_of_an_event_are_fetched_side_by_side(
    worker: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    all_asked = Barrier(fetching.SIDE_BY_SIDE)
    names = [f"cat-{n}" for n in range(fetching.SIDE_BY_SIDE)]
    for name in names:
        web.files[f"/{name}"] = Answer(200, body=cat, before=partial(all_asked.wait, 20))
    decide_event(
        worker, "default", post(worker, keys, [MediaRef(name, f"{web.url}/{name}") for name in names]), PICTURES
    )
    assert decided(worker) == names


def test_a_picture_that_was_decided_is_not_fetched_again(
    worker: WorkerContext, keys: TenantKeys, web: Web, cat: bytes
) -> None:
    web.files["/cat.png"] = cat
    media = [MediaRef("cat", f"{web.url}/cat.png"), MediaRef("away", f"{web.url}/away.png")]
    web.files["/away.png"] = Answer(503)
    event_id = post(worker, keys, media)
    for _ in range(2):
        with pytest.raises(FetchFailed):
            decide_event(worker, "default", event_id)
    assert sorted(web.asked) == ["/away.png", "/away.png", "/cat.png"]


def test_an_event_whose_host_is_nearly_slow_leaves_the_rest_to_the_slow_queue(
    worker: WorkerContext, keys: TenantKeys, web: Web, cat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BUDGET_S", 0.1)
    names = [f"cat-{n}" for n in range(fetching.SIDE_BY_SIDE + 2)]
    for name in names:
        web.files[f"/{name}"] = Answer(200, body=cat, before=partial(time.sleep, 0.1))
    event_id = post(worker, keys, [MediaRef(name, f"{web.url}/{name}") for name in names])
    with pytest.raises(HostSlow):
        decide_event(worker, "default", event_id, PICTURES)
    assert (decided(worker), rows(worker, "SELECT tries FROM event")) == (names[: fetching.SIDE_BY_SIDE], [(0,)])
    assert len(web.asked) == fetching.SIDE_BY_SIDE
    decide_event(worker, "default", event_id, SLOW)
    assert (decided(worker), sorted(web.asked)) == (names, [f"/{name}" for name in names])
