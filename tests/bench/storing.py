"""What is not the models': storing decisions, the audit log's growth, the queue with perceptions replayed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch
from uuid import uuid4

from assent.audit.log import Part, append
from assent.core.settings import Settings
from assent.core.values import Analysis, Event, MediaRef, Perception, Picture
from assent.db.migrate import migrate
from assent.db.pool import open_pool, transaction
from assent.db.queue import PICTURES
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.embedded.clusters import embedded
from assent.gallery.matching import host_gallery
from assent.intake.accept import Origin, store_event
from assent.keys.installation import open_or_create_keys
from assent.media.sandbox import Decoder
from assent.perceive import load_models as load_models
from assent.policy.decide import decide
from assent.policy.model import Policy
from assent.tenants import init_tenant
from assent.worker.jobs import WorkerContext, decide_event
from assent.worker.loop import PICTURE_JOBS, open_worker_context
from assent.worker.queue import queue_app
from tests.bench.photos import Photo
from tests.bench.rounds import Case, Size, Tick, in_turn, quantile
from tests.events import SOURCE

TENANT = "bench"
REPLAY_ROUNDS = 3
WITH_INDEX, WITHOUT_INDEX = "with the search index", "without"
STEP = 100  # decisions between two ticks; divides every size and window


@dataclass(frozen=True, slots=True)
class Window:
    """Storing the decisions up to that number: milliseconds of `record` with its commit, and
    bytes of database for each with its event, jobs, message and leaf."""

    decisions: int
    median_ms: float
    p99_ms: float
    bytes_each: float


@dataclass(frozen=True, slots=True)
class Stored:
    """`queued` and `called`: seconds a round for `replayed` events, through the queue and by calling the job."""

    windows: tuple[Window, ...]
    latency_ms: list[float]  # of every decision, in order
    indexing: dict[str, list[float]]  # seconds of storing a decision with and without its entry in the search index
    leaves_per_s: float
    replayed: int
    queued: list[float]
    called: list[float]


class Replay:
    """Stands where the models stand: what they saw of a picture before, at once."""

    def __init__(self, perceptions: Mapping[str, Perception]) -> None:
        self._perceptions = perceptions

    def __call__(self, picture: Picture, _compare: bool) -> Perception:
        return self._perceptions[picture.sha256]


def measure(folder: Path, photos: Sequence[Photo], perceptions: Sequence[Perception], size: Size, tick: Tick) -> Stored:
    """An installation of its own in `folder`; `perceptions` is what the models saw of each photo."""
    with _bench(folder) as bench:
        leaves_per_s = _audit(bench, size.leaves)
        tick()
        latency, windows = _grow(bench, photos, perceptions, size, tick)
        indexing = _index(bench, photos[0], perceptions[0], size.indexed, tick)
        replay = Replay({photo.picture.sha256: one for photo, one in zip(photos, perceptions, strict=True)})
        replaying = replace(bench.stages, perceive=replay)
        smallest = min(photos, key=lambda photo: len(photo.data))  # so that its decoding hides little
        queued, called = _replay(replace(bench, stages=replaying), smallest, size.replayed, tick)
    return Stored(windows, latency, indexing, leaves_per_s, size.replayed, queued, called)


@contextmanager
def _bench(folder: Path) -> Iterator[WorkerContext]:
    with embedded(folder) as url:
        migrate(url)
        settings = Settings(data_dir=folder, database_url=url, policy=None)
        with open_pool(url, size=2) as pool:
            init_tenant(pool, open_or_create_keys(settings, pool), TENANT, SOURCE, "http://127.0.0.1:9/hooks")
        models = load_models(settings.models_dir, settings.threads)
        with Decoder() as decoder, open_worker_context(settings, url, models, decoder, host_gallery(settings)) as bench:
            bench.gallery.wait_ready()
            yield bench


def _audit(bench: WorkerContext, count: int) -> float:
    """Leaves a second, each in a transaction of its own."""
    keys = bench.keystore.tenant(TENANT)
    began = time.perf_counter()
    for n in range(count):
        with transaction(bench.pool) as conn:
            append(conn, keys, "media.decided", {"models": []}, [Part({"media": f"leaf-{n}"})], datetime.now(UTC))
    return count / (time.perf_counter() - began)


def _grow(
    bench: WorkerContext, photos: Sequence[Photo], perceptions: Sequence[Perception], size: Size, tick: Tick
) -> tuple[list[float], tuple[Window, ...]]:
    """Records decisions one after the other, photos in turn; their events are stored before, a few at a time."""
    policy = bench.policies.default
    analyses = [_analysis(policy, photo.picture, one) for photo, one in zip(photos, perceptions, strict=True)]
    latency: list[float] = []
    windows: list[Window] = []
    since, bytes_before = 0, _bytes(bench)
    for _ in range(size.decisions // STEP):
        for media_key in _store(bench, "grown", STEP):
            decision = NewDecision(analyses[len(latency) % len(analyses)], policy.ref)
            latency.append(1000 * _seconds(partial(_record, bench, media_key, decision)))
        tick()
        if len(latency) in size.windows:
            part, bytes_now = latency[since:], _bytes(bench)
            each = (bytes_now - bytes_before) / len(part)
            windows.append(Window(len(latency), median(part), quantile(part, 0.99), each))
            since, bytes_before = len(latency), bytes_now
    _check_decided(bench, "grown", len(latency))
    _drop_jobs(bench)
    return latency, tuple(windows)


def _index(
    bench: WorkerContext, photo: Photo, perception: Perception, count: int, tick: Tick
) -> dict[str, list[float]]:
    """Records decisions in turns with and without an entry in the index by which they are searched."""
    policy = bench.policies.default
    decision = NewDecision(_analysis(policy, photo.picture, perception), policy.ref)
    waiting = iter(_store(bench, "indexed", 2 * count + 2))

    def with_index() -> None:
        _record(bench, next(waiting), decision)

    def without_index() -> None:
        with patch("assent.decisions.store.index_decision", lambda *_: None):
            _record(bench, next(waiting), decision)

    took = in_turn({WITH_INDEX: with_index, WITHOUT_INDEX: without_index}, count, lambda: None)
    tick()
    _check_decided(bench, "indexed", 2 * count + 2)
    _drop_jobs(bench)
    return took


def _analysis(policy: Policy, picture: Picture, perception: Perception) -> Analysis:
    nobody = Event("media.created", (), "public", "post", "somebody")
    return Analysis(picture, perception, (), decide(policy, nobody, picture, perception))


def _record(bench: WorkerContext, media_key: MediaKey, decision: NewDecision) -> None:
    with transaction(bench.pool) as conn:
        record(conn, bench.keystore.tenant(TENANT), media_key, decision)


def _bytes(bench: WorkerContext) -> int:
    with transaction(bench.pool) as conn:
        row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def _replay(bench: WorkerContext, photo: Photo, count: int, tick: Tick) -> tuple[list[float], list[float]]:
    """The same job for the same number of events, taken from the queue, and called directly by as many threads."""
    url = bench.settings.database_url
    assert url is not None

    async def drain() -> None:
        app = queue_app(url.get_secret_value(), bench)
        async with app.open_async():
            await app.run_worker_async(
                queues=[PICTURES], concurrency=PICTURE_JOBS, wait=False, install_signal_handlers=False
            )

    def call() -> None:
        with ThreadPoolExecutor(PICTURE_JOBS) as threads:
            list(threads.map(lambda media_key: decide_event(bench, TENANT, media_key.event_id), media_keys))

    queued: list[float] = []
    called: list[float] = []
    for n in range(REPLAY_ROUNDS + 1):
        _store(bench, "replayed", count, photo.data)
        through_queue = _seconds(lambda: asyncio.run(drain()))
        media_keys = _store(bench, "replayed", count, photo.data)
        _drop_jobs(bench)  # this time nobody takes them
        by_call = _seconds(call)
        if n:  # the first round does not count
            queued.append(through_queue)
            called.append(by_call)
        tick()
    _check_decided(bench, "replayed", 2 * count * (REPLAY_ROUNDS + 1))
    return queued, called


def _store(bench: WorkerContext, kind: str, count: int, *uploads: bytes) -> list[MediaKey]:
    """Events of one picture each, with that upload, and their jobs."""
    keys, media_keys = bench.keystore.tenant(TENANT), []
    with transaction(bench.pool) as conn:
        for _ in range(count):
            event_id = uuid4()
            event = Event("media.created", (MediaRef(f"{kind}-{event_id}", None),), "public", "post", "somebody")
            store_event(conn, keys, event_id, event, Origin(SOURCE, "live"), uploads)
            media_keys.append(MediaKey(TENANT, event_id, SOURCE, 0, event, event.media[0]))
    return media_keys


def _drop_jobs(bench: WorkerContext) -> None:
    with transaction(bench.pool) as conn:
        conn.execute("DELETE FROM procrastinate_jobs WHERE queue_name = %s", [PICTURES])


def _check_decided(bench: WorkerContext, kind: str, count: int) -> None:
    """What was measured is what was meant: every event was decided, and none ended as an error."""
    statement = "SELECT count(*), count(document->'error') FROM decision WHERE media_id LIKE %s"
    with transaction(bench.pool) as conn:
        row = conn.execute(statement, [f"{kind}-%"]).fetchone()
    assert row == (count, 0)


def _seconds(case: Case) -> float:
    began = time.perf_counter()
    case()
    return time.perf_counter() - began
