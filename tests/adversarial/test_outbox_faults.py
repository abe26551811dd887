"""Thousands of sends to receivers that fail three times in ten, under a clock of the test's own: nothing is lost, and
what comes twice comes under the same id."""

from __future__ import annotations

import heapq
import json
import random
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from assent.core.settings import AllowedHost
from assent.db.pool import Conn, Pool, Row, transaction
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox import deliver
from assent.outbox.dead_letters import redrive
from assent.outbox.deliver import attempt
from assent.outbox.schedule import DELIVERY_SCHEDULE
from assent.platforms.standard_webhooks import sign_webhook
from assent.tenants import init_tenant
from tests.fixtures.figures import Figure
from tests.web import Answer, Web, serving

TENANTS, FAULTS, SEED = 10, 0.3, 20261123
# What a receiver does instead of answering 204: it refuses a message, or takes it and does not say so.
REFUSALS = [
    Answer(500),
    Answer(503),
    Answer(502, {"retry-after": "30"}),
    Answer(429, {"retry-after": "60"}),
    Answer(302, {"location": "http://127.0.0.1:9/"}),
    Answer(308, {"location": "/elsewhere"}),
    Answer(404),
    Answer(400),
    Answer(unread=True),
]
TAKEN = [Answer(), Answer(raw=b""), Answer(raw=b"\x00\x01 nonsense\r\n\r\n"), Answer(500, body=b"too late")]
FAULTY = [*REFUSALS, *TAKEN[1:]]


def answers(given: list[Answer]) -> Iterator[Answer]:
    """Answers of all tenants' receivers, three in ten of them faulty; each is noted in `given`."""
    rng = random.Random(SEED)
    while True:
        given.append(rng.choice(FAULTY) if rng.random() < FAULTS else Answer())
        yield given[-1]


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
            outcome = attempt(self.pool, self.keys[tenant], message, body_of, self.allow, self.now)
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


def set_up(pool: Pool, keystore: Keystore, web: Web, messages: int) -> Post:
    post = Post(pool, {}, {}, (web.allowed,), datetime.now(UTC))
    for n in range(TENANTS):
        made = init_tenant(pool, keystore, f"t{n}", f"s{n}", f"{web.url}/t{n}")
        assert made.endpoint_secret
        post.keys[made.tenant], post.secrets[made.tenant] = keystore.tenant(made.tenant), made.endpoint_secret
    with transaction(pool) as conn:
        for n in range(messages):
            tenant, message = f"t{n % TENANTS}", uuid4()
            conn.execute(
                "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, next_at)"
                " VALUES (%s, %s, %s, 'media.tagged', %s, %s, 1, %s)",
                [tenant, message, f"s{n % TENANTS}", f"s{n % TENANTS}", f"photo-{n}", post.now],
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
                "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision)"
                " VALUES ('silent', %s, 'silent', 'media.tagged', 'silent', 'photo', 1)",
                [message],
            )
        allow = (AllowedHost.parse(f"127.0.0.1:{port}@127.0.0.0/8"),)

        def wait() -> None:
            began = time.monotonic()
            keys = keystore.tenant("silent")
            attempt(pool, keys, message, body_of, allow, datetime.now(UTC) + timedelta(seconds=1))
            waited.append(time.monotonic() - began)
            with transaction(pool) as conn:
                conn.execute("DELETE FROM outbox WHERE tenant = 'silent'")

        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield waited
        finally:
            thread.join(60)


@pytest.mark.parametrize("messages", [300, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(3600)
def test_nothing_is_lost_and_duplicates_are_known_by_their_id(
    pool: Pool, keystore: Keystore, messages: int, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deliver.LIMITS.total_s == 15
    limits = replace(deliver.LIMITS, first_byte_s=3, total_s=3)
    monkeypatch.setattr(deliver, "LIMITS", limits)
    given: list[Answer] = []
    with serving() as web, silence(pool, keystore) as waited:
        web.answers = answers(given)
        post = set_up(pool, keystore, web, messages)
        began = post.now
        post.run()
        given_up = post.count("dead")
        assert post.count("delivered") + given_up == messages
        assert given_up <= messages / 1000  # 0.3 ** 10 of them
        while post.count("dead"):
            bring_back(post)
            post.run()
    assert -0.5 < waited[0] - limits.total_s < 2
    assert post.count("delivered") == messages
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    taken = [posted for posted in web.received if posted.answer in TAKEN]
    for posted in taken:
        tenant, headers = posted.path.removeprefix("/"), posted.headers
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        assert sign_webhook(headers["webhook-id"], at, posted.body, [post.secrets[tenant]]).items() <= headers.items()
        ids[tenant, json.loads(posted.body)["data"]["media"]["id"]].add(headers["webhook-id"])
    assert len(ids) == messages
    assert all(len(found) == 1 for found in ids.values())
    assert len(set.union(*ids.values())) == messages
    faults = [answer for answer in given if answer != Answer()]
    assert all(answer in faults for answer in FAULTY)
    assert 0.25 < len(faults) / len(given) < 0.35
    assert post.now - began < sum(DELIVERY_SCHEDULE, timedelta(0)) * 3
    twice = len(taken) - messages
    said = f"{len(faults)} faults in {len(given)} requests, {twice} came again under the same id"
    figure(f"{messages} sends, 0 lost: {said}, {given_up} redriven; {post.now - began} by the test's clock")


def bring_back(post: Post) -> None:
    with transaction(post.pool) as conn:
        for tenant in post.keys:
            for message in redrive(conn, tenant, None):
                conn.execute("UPDATE outbox SET next_at = %s WHERE id = %s", [post.now, message])
                heapq.heappush(post.due, (post.now, tenant, message))
