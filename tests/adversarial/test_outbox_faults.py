"""Thousands of sends to receivers that fail three times in ten, under a clock of the test's own: nothing is lost, and
what comes twice comes under the same id."""

from __future__ import annotations

import heapq
import json
import random
import socket
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest

from assent.gallery.keys import Keystore, TenantKeys
from assent.intake.signature import sign
from assent.outbox.deliver import SCHEDULE, attempt, redrive
from assent.settings import AllowedHost
from assent.setup import init_tenant
from assent.store.pool import Conn, Pool, Row, transaction

TENANTS, FAULTS, SEED = 10, 0.3, 20261123
# What a receiver does instead of answering 204: status and headers, or what happens to the connection.
ANSWERS: list[tuple[int, dict[str, str]] | str] = [
    (500, {}),
    (503, {}),
    (502, {"retry-after": "30"}),
    (429, {"retry-after": "60"}),
    (302, {"location": "http://127.0.0.1:9/"}),
    (308, {"location": "/elsewhere"}),
    (404, {}),
    (400, {}),
    "hang up at once",
    "take it and hang up",
    "take it and answer nonsense",
    "take it and say 500",
]


@dataclass
class Receivers:
    """All tenants' receivers behind one port; a message that was taken counts, whatever was answered."""

    rng: random.Random
    port: int = 0
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def next_fault(self) -> tuple[int, dict[str, str]] | str | None:
        self.requests += 1
        if self.rng.random() >= FAULTS:
            return None
        fault = self.rng.choice(ANSWERS)
        self.faults[str(fault)] += 1
        return fault


@contextmanager
def receiving() -> Iterator[Receivers]:
    receivers = Receivers(random.Random(SEED))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            fault = receivers.next_fault()
            if fault == "hang up at once":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = self.rfile.read(int(self.headers["content-length"]))
            if fault is None or isinstance(fault, str):
                headers = {name.lower(): value for name, value in self.headers.items()}
                receivers.taken.append((self.path.removeprefix("/"), headers, body))
            if fault == "take it and hang up":
                self.connection.shutdown(socket.SHUT_RDWR)
            elif fault == "take it and answer nonsense":
                self.wfile.write(b"\x00\x01 nonsense\r\n\r\n")
            else:
                status, more = fault if isinstance(fault, tuple) else (500 if fault else 204, {})
                self.send_response(status)
                for name, value in {"content-length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receivers.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receivers
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Post:
    """The tenants, their secrets, and the worker's loop under a clock that jumps to whatever is due next."""

    pool: Pool
    keys: dict[str, TenantKeys]
    secrets: dict[str, str]
    allow: tuple[AllowedHost, ...]
    now: datetime
    due: list[tuple[datetime, str, UUID]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        while self.due:
            at, tenant, message = heapq.heappop(self.due)
            self.now = max(self.now, at)
            outcome = attempt(self.pool, self.keys[tenant], tenant, message, body_of, self.allow, self.now)
            self.outcomes[outcome.because.split(":")[0] or outcome.state] += 1
            if outcome.retry_at is not None:
                heapq.heappush(self.due, (outcome.retry_at, tenant, message))

    def count(self, state: str) -> int:
        with transaction(self.pool) as conn:
            row = conn.execute(
                "SELECT count(*) FROM outbox WHERE state = %s AND tenant <> 'silent'", [state]
            ).fetchone()
        assert row is not None
        return int(row[0])


def body_of(_conn: Conn, row: Row) -> dict[str, Any]:
    return {"type": row["type"], "data": {"media": {"id": row["media_id"]}, "tenant": row["tenant"]}}


def set_up(pool: Pool, keystore: Keystore, port: int, messages: int) -> Post:
    allow = (AllowedHost.parse(f"127.0.0.1:{port}@127.0.0.0/8"),)
    post = Post(pool, {}, {}, allow, datetime.now(UTC))
    for n in range(TENANTS):
        made = init_tenant(pool, keystore, f"t{n}", f"s{n}", f"http://127.0.0.1:{port}/t{n}")
        assert made.endpoint_secret
        post.keys[made.tenant], post.secrets[made.tenant] = keystore.tenant(made.tenant), made.endpoint_secret
    with transaction(pool) as conn:
        for n in range(messages):
            tenant, message = f"t{n % TENANTS}", uuid4()
            conn.execute(
                "INSERT INTO outbox (tenant, id, endpoint, type, media_id, revision, next_at)"
                " VALUES (%s, %s, %s, 'media.tagged', %s, 1, %s)",
                [tenant, message, f"s{n % TENANTS}", f"photo-{n}", post.now],
            )
            heapq.heappush(post.due, (post.now, tenant, message))
    return post


@contextmanager
def silence(pool: Pool, keystore: Keystore) -> Iterator[list[float]]:
    """Meanwhile one delivery to an endpoint that never answers; how many seconds it took, at the end."""
    waited: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        init_tenant(pool, keystore, "silent", "silent", f"http://127.0.0.1:{port}/")
        message = uuid4()
        with transaction(pool) as conn:
            conn.execute(
                "INSERT INTO outbox (tenant, id, endpoint, type, media_id, revision)"
                " VALUES ('silent', %s, 'silent', 'media.tagged', 'photo', 1)",
                [message],
            )
        allow = (AllowedHost.parse(f"127.0.0.1:{port}@127.0.0.0/8"),)

        def wait() -> None:
            began = time.monotonic()
            keys = keystore.tenant("silent")
            attempt(pool, keys, "silent", message, body_of, allow, datetime.now(UTC) + timedelta(seconds=1))
            waited.append(time.monotonic() - began)
            with transaction(pool) as conn:
                conn.execute("DELETE FROM outbox WHERE tenant = 'silent'")

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield waited
        finally:
            thread.join(60)


@pytest.mark.parametrize("messages", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_duplicates_are_known_by_their_id(
    pool: Pool, keystore: Keystore, messages: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving() as receivers, silence(pool, keystore) as waited:
        post = set_up(pool, keystore, receivers.port, messages)
        began = post.now
        post.run()
        given_up = post.count("dead")
        assert post.count("delivered") + given_up == messages
        assert given_up <= messages / 1000  # 0.3 ** 10 of them
        while post.count("dead"):
            bring_back(post)
            post.run()
    assert 14.5 < waited[0] < 17
    assert post.count("delivered") == messages
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for tenant, headers, body in receivers.taken:
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert sign(headers["webhook-id"], at, body, [post.secrets[tenant]]).items() <= headers.items()
        ids[tenant, json.loads(body)["data"]["media"]["id"]].add(headers["webhook-id"])
    assert len(ids) == messages
    assert all(len(found) == 1 for found in ids.values())
    assert len(set.union(*ids.values())) == messages
    faults = receivers.faults.total()
    assert len(receivers.faults) == len(ANSWERS)
    assert 0.25 < faults / receivers.requests < 0.35
    assert post.now - began < sum(SCHEDULE, timedelta(0)) * 3
    twice = len(receivers.taken) - messages
    with capsys.disabled():
        said = f"{faults} faults in {receivers.requests} requests, {twice} came again under the same id"
        sys.stdout.write(f"\n{messages} sends, 0 lost: {said}, {given_up} redriven; {post.now - began} by the clock\n")


def bring_back(post: Post) -> None:
    with transaction(post.pool) as conn:
        for tenant in post.keys:
            for message in redrive(conn, tenant, None):
                conn.execute("UPDATE outbox SET next_at = %s WHERE id = %s", [post.now, message])
                heapq.heappush(post.due, (post.now, tenant, message))
