"""An endpoint that takes connections and never answers costs other endpoints nothing that could be noticed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import pytest

from assent.core.errors import Undecodable
from assent.core.settings import Settings
from assent.core.values import Event, MediaRef, Unprocessable
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.keys.keystore import TenantKeys
from assent.outbox.endpoint_health import STRIKES
from assent.outbox.endpoints import insert_endpoint
from assent.policy.load import load_policy
from assent.tenants import add_secret
from tests.events import SOURCE
from tests.fixtures.figures import Figure
from tests.waiting import until
from tests.web import Web, serving

pytestmark = pytest.mark.alone
RATE = 30  # decisions a second, each sent to both endpoints
SECONDS, FEW_SECONDS = 4, 1.5  # of each measurement
MOST = 1.10
HELD_UP = 5.0  # what no noise of a busy machine reaches
POLICY = load_policy(None).ref
ROUNDS = 11


@contextmanager
def dead() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]


@contextmanager
def worker(settings: Settings, url: str, ports: Sequence[int]) -> Iterator[None]:
    """`assent worker` in a process of its own, which may deliver to those ports."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    environment |= {
        "ASSENT_DATA_DIR": str(settings.data_dir),
        "ASSENT_DATABASE_URL": url,
        "ASSENT_ALLOW_PRIVATE": ",".join(f"127.0.0.1:{port}@127.0.0.0/8" for port in ports),
    }
    log = settings.data_dir / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "assent", "worker"], env=environment, stderr=output)
        try:
            until(lambda: b"worker ready" in log.read_bytes(), "the worker is ready", 60)
            yield
        finally:
            process.kill()  # asked to end, it would wait for the dead endpoint
            process.wait(60)


def point(pool: Pool, keys: TenantKeys, name: str, port: int) -> None:
    """The endpoint of that name, in good health, at that port; none beside it but `platform`."""
    with transaction(pool) as conn:
        conn.execute("DELETE FROM endpoint WHERE name IN (%s, 'alive', 'dead')", [name])
        insert_endpoint(conn, keys, name, f"http://127.0.0.1:{port}/hooks", "platform")
        add_secret(conn, keys, "endpoint", name)


def decide(pool: Pool, keys: TenantKeys, media: str) -> float:
    """A decision, as the worker records it; when it was committed."""
    picture, event_id = MediaRef(media, None), uuid4()
    event = Event("media.created", (picture,), "public", "post")
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO event (tenant, id, source, lane, sealed) VALUES (%s, %s, %s, 'live', '')",
            [keys.tenant, event_id, SOURCE],
        )
        record(
            conn,
            keys,
            MediaKey(keys.tenant, event_id, SOURCE, 0, event, picture),
            NewDecision(Unprocessable(Undecodable()), load_policy(None).ref),
        )
    return time.monotonic()


def came(web: Web, since: int) -> dict[str, float]:
    """When each message came, by picture; of those received since so many."""
    return {json.loads(posted.body)["data"]["media"]["id"]: posted.at for posted in web.received[since:]}


def latencies(pool: Pool, keys: TenantKeys, web: Web, seconds: float) -> list[float]:
    """Seconds from commit to arrival at the receiver, sorted, for decisions at RATE."""
    committed: dict[str, float] = {}
    before, began = len(web.received), time.monotonic()
    for n in range(int(RATE * seconds)):
        time.sleep(max(0.0, began + n / RATE - time.monotonic()))  # the pace of the load
        media = f"{uuid4()}"
        committed[media] = decide(pool, keys, media)
    until(lambda: committed.keys() <= came(web, before).keys(), "all messages arrive", 60)
    arrived = came(web, before)
    return sorted(arrived[media] - at for media, at in committed.items())


def p99(values: list[float]) -> float:
    return values[min(len(values) - 1, int(len(values) * 0.99))]


def clear(pool: Pool) -> None:
    """Nothing waits any more and no dead rows lie about, so that one round does not burden the next."""
    with transaction(pool) as conn:
        conn.execute("DELETE FROM outbox WHERE state = 'waiting'")
        conn.execute("DELETE FROM procrastinate_jobs WHERE status = 'todo'")
    with pool.connection() as conn:
        conn.autocommit = True
        conn.execute("VACUUM procrastinate_jobs, outbox, endpoint")
        conn.autocommit = False


def pile_up(pool: Pool, keys: TenantKeys, messages: int) -> None:
    """As if the endpoint had been dead for an hour: it rests, and so many messages wait."""
    with transaction(pool) as conn:
        conn.execute(
            "UPDATE endpoint SET failures = %s, failing_since = now() - interval '1 hour',"
            " rests_until = now() + interval '2 seconds' WHERE name = 'dead'",
            [STRIKES],
        )
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, queued, next_at)"
            " SELECT %s, gen_random_uuid(), 'dead', 'media.failed', %s, 'old ' || n, 1, false,"
            " now() - interval '1 hour' FROM generate_series(1, %s) n",
            [keys.tenant, SOURCE, messages],
        )


@pytest.mark.timeout(300)
def test_a_dead_endpoint_holds_up_no_other(
    settings: Settings, database_url: str, pool: Pool, keys: TenantKeys, figure: Figure
) -> None:
    """Without lanes a message beside the dead endpoint waits for its time-out: 13 s against 0.2 s were seen."""
    assert _ratio(settings, database_url, pool, keys, figure, 0, 2, FEW_SECONDS) <= HELD_UP


@pytest.mark.slow
@pytest.mark.parametrize("backlog", [0, 20_000])
@pytest.mark.timeout(600)
def test_a_dead_endpoint_adds_at_most_a_tenth_to_anothers_p99(
    settings: Settings,
    database_url: str,
    pool: Pool,
    keys: TenantKeys,
    figure: Figure,
    backlog: int,
) -> None:
    """Wants a machine that does nothing else: what it measures is a millisecond or two."""
    assert _ratio(settings, database_url, pool, keys, figure, backlog, ROUNDS, SECONDS) <= MOST


def _ratio(
    settings: Settings,
    database_url: str,
    pool: Pool,
    keys: TenantKeys,
    figure: Figure,
    backlog: int,
    rounds: int,
    seconds: float,
) -> float:
    """The p99 beside a dead endpoint over that beside one that lives, of all messages of all rounds; the two are
    measured right after each other, in turns first."""
    found: dict[str, list[float]] = {"alive": [], "dead": []}
    with serving() as ours, serving() as other, dead() as nobody:
        ports = {"alive": other.port, "dead": nobody}
        point(pool, keys, "platform", ours.port)
        with worker(settings, database_url, (ours.port, *ports.values())):
            latencies(pool, keys, ours, 1)  # connections, plans, caches
            for n in range(rounds):
                for kind in sorted(ports, reverse=n % 2 == 1):
                    point(pool, keys, kind, ports[kind])
                    if backlog and kind == "dead":
                        pile_up(pool, keys, backlog)
                    found[kind] += latencies(pool, keys, ours, seconds)
                    clear(pool)
    beside = {kind: p99(sorted(waits)) for kind, waits in found.items()}
    ratio = beside["dead"] / beside["alive"]
    said = f"× {ratio:.2f} beside a dead one with {backlog} waiting instead of one that lives"
    figure(f"p99 to an endpoint: {said}, {len(found['dead'])} messages each")
    return ratio
