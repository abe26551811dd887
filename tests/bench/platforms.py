"""Three platforms at once beside a busy worker: how fast each is answered, whether any is lost, who waits for whom.

    python -m tests.bench.platforms

Standard webhooks alone and all three together take turns at one rate. BENCH=short takes half a minute.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median

import psycopg

from assent.core.settings import Settings
from assent.db.queue import PICTURES
from assent.keys.installation import database
from assent.worker.fetching import PLACES
from examples.server import temporary_data
from tests.bench.photos import photos
from tests.bench.rounds import FULL, SHORT, OtherLoad, Size, Tick, quantile
from tests.bench.row import Row, at_most
from tests.bench.sender import ACCEPTED, Answer, Order, Stream, send_apart
from tests.house import House, running
from tests.waiting import until
from tests.web import Web, serving

RATE = 100  # webhooks a second, of all platforms together
TOGETHER, ALONE = "three platforms", "standard alone"
BACKFILLED, LIVE = 120, 15  # events that meet
UNDER_WAY = 2 * PLACES[PICTURES]  # that a worker has begun when live ones come, and that it begins beside the last
BACKLOG = 200  # events waiting before the first round
_OVERTAKEN = """
    WITH live AS (
        SELECT min(received_at) AS first, max(done_at) AS last FROM event
        WHERE lane = 'live' AND received_at > (SELECT max(received_at) FROM event WHERE lane = 'backfill')
    )
    SELECT count(*) FROM event, live WHERE lane = %s AND done_at > live.first AND done_at < live.last
"""
SECRET = "made-by-the-platform"


@dataclass(frozen=True, slots=True)
class PlatformLoad:
    """The answers of each round; webhooks accepted without an event; backfilled events decided while live ones wait."""

    answers: dict[str, list[list[Answer]]]
    lost: int
    overtaken: int


def measure(house: House, data: Path, web: Web, size: Size, tick: Tick) -> PlatformLoad:
    """Adds a Mastodon and a Discourse to the installation in `data`, and posts to all of them."""
    streams = {ALONE: [standard_stream(house)], TOGETHER: [standard_stream(house), *_add_platforms(house, data, web)]}
    pictures = [f"{web.url}{path}" for path in web.files]
    answers: dict[str, list[list[Answer]]] = {name: [] for name in streams}
    lost = 0
    with database(Settings(data_dir=data, database_url=None)) as url, psycopg.connect(url, autocommit=True) as conn:
        overtaken = _overtaken(conn, streams[TOGETHER], pictures)
        tick()
        send_apart(Order(streams[ALONE], "backlog", pictures, [], RATE, BACKLOG))
        for n in range(size.platform_rounds):
            for name in (ALONE, TOGETHER) if n % 2 else (TOGETHER, ALONE):
                before = _events(conn)
                count = RATE * size.platform_seconds
                given = send_apart(Order(streams[name], f"{name[:5]}-{n}", pictures, [], RATE, count))
                lost += sum(answer.status == ACCEPTED for answer in given) - (_events(conn) - before)
                answers[name].append(given)
                tick()
    return PlatformLoad(answers, lost, overtaken)


def platform_rows(load: PlatformLoad) -> Iterator[Row]:
    """Yields the table's lines."""
    group = f"three platforms, {RATE}/s together"
    together, alone = ([_p99(given) for given in load.answers[name]] for name in (TOGETHER, ALONE))
    times = median(a / b for a, b in zip(together, alone, strict=True))
    value = f"p99 {median(together):.1f} ms"
    beside = f"{times:.2f}× standard webhooks alone at that rate"
    yield Row(group, "acknowledged, worker busy", value, beside, *at_most(times, 1.5, "×"))
    sent = sum(map(len, load.answers[TOGETHER] + load.answers[ALONE]))
    yield Row(group, "accepted and not stored", str(load.lost), f"of {sent}", *at_most(load.lost, 0, ""))
    beside = f"of {BACKFILLED} that came first, while {LIVE} live ones waited"
    yield Row(group, "backfilled ones decided", str(load.overtaken), beside, *at_most(load.overtaken, UNDER_WAY, ""))


def standard_stream(house: House) -> Stream:
    source = house.printed["source"]
    return Stream(house.url + source["path"], source["secret"], "standard")


def _add_platforms(house: House, data: Path, web: Web) -> list[Stream]:
    secret = data / "platform.secret"
    secret.write_text(SECRET)
    streams = []
    for name in ("mastodon", "discourse"):
        add = ("platform", "add", name, "--platform", name, "--url", web.url, "--secret-file", str(secret))
        house.run(*add)
        streams.append(Stream(f"{house.url}/v1/webhooks/{name}", SECRET, name))
    return streams


def _overtaken(conn: psycopg.Connection, streams: list[Stream], pictures: list[str]) -> int:
    """Sends backfilled events and then live ones; counts the former that were decided while the latter waited."""
    until(lambda: _waiting(conn, "live") == 0, "an idle worker", 600)
    late = [Stream(f"{stream.url}?lane=backfill", stream.secret, stream.platform) for stream in streams]
    send_apart(Order(late, "late", pictures, [], 500, BACKFILLED))
    send_apart(Order(streams, "soon", pictures, [], 500, LIVE))
    until(lambda: _waiting(conn, "live") == 0, "the live ones", 240)
    return _count(conn, _OVERTAKEN, "backfill")


def _waiting(conn: psycopg.Connection, lane: str) -> int:
    return _count(conn, "SELECT count(*) FROM event WHERE done_at IS NULL AND lane = %s", lane)


def _events(conn: psycopg.Connection) -> int:
    return _count(conn, "SELECT count(*) FROM event WHERE lane = %s", "live")


def _count(conn: psycopg.Connection, query: str, lane: str) -> int:
    row = conn.execute(query.encode(), [lane]).fetchone()
    return int(row[0]) if row else 0


def _p99(answers: list[Answer]) -> float:
    return quantile([answer.ms if answer.status == ACCEPTED else inf for answer in answers], 0.99)


def main() -> None:
    """Measures this part alone, beside a worker that a backlog keeps busy."""
    size = SHORT if os.environ.get("BENCH") == "short" else FULL
    with temporary_data() as data, serving() as web, tempfile.TemporaryDirectory(dir="/dev/shm") as gallery:
        Path(gallery).chmod(0o711)
        web.files.update({f"/{n}/{photo.name}": photo.data for n, photo in enumerate(photos())})
        with running(data, web, ASSENT_GALLERY_DIR=gallery) as house:
            house.wait_for_worker()
            with OtherLoad() as other:
                load = measure(house, data, web, size, lambda: None)
    for row in platform_rows(load):
        sys.stdout.write(f"{row.figure}: {row.value}, {row.beside}; {row.target}: {row.reached}\n")
    sys.stdout.write(f"cores busy with other programs and our own servers: {other.cores:.2f}\n")


if __name__ == "__main__":
    main()
