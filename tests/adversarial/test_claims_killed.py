"""Twenty moderators claim, decide, skip and undo while the API is killed: nobody works on another's case, each case is
decided once, and each decision is delivered once."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psutil
import pytest

from assent.core.settings import Settings
from assent.db.locks import lock_shared
from assent.db.pool import Pool, transaction
from assent.decisions.assemble import message_body
from assent.http.api_keys import create_key
from assent.keys.keystore import TenantKeys
from assent.outbox import deliver
from assent.policy.load import load_policy
from tests.authority import move_endpoints
from tests.caseload import fill
from tests.command import environment_of
from tests.events import leaves, rows
from tests.fixtures.figures import Figure
from tests.house import free_port, serve
from tests.waiting import until
from tests.web import Web

MODERATORS = 20
PATIENCE_SECONDS = 60.0  # until a killed API answers again
Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Claimed:
    """A claim that was answered; until it ended, nobody else may get one of the case."""

    by: int
    case: str
    began: float
    ended: float


@dataclass
class Books:
    """What the moderators were answered."""

    most: int  # claims
    kill_every: int  # claims
    lock: threading.Lock = field(default_factory=threading.Lock)
    claims: list[Claimed] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    decided: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def is_done(self) -> bool:
        return self.did["claimed"] >= self.most

    def add(self, what: str) -> int:
        """Counts it; returns how often it was done by now."""
        with self.lock:
            self.did[what] += 1
            return self.did[what]


class Api:
    """`assent serve` without a worker, started again whenever it was killed."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._port = free_port()
        self.url, self._log = f"http://127.0.0.1:{self._port}", log
        self._environment = environment_of(settings) | {"ASSENT_PORT": str(self._port)}
        self.process: psutil.Popen = self._start()

    def _start(self) -> psutil.Popen:
        return serve(self._environment, self._log, "--no-worker")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self.process = self._start()

    def answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def serving_api(settings: Settings, log: Path) -> Iterator[Api]:
    api = Api(settings, log)
    try:
        until(api.answers, "the API answers", 60, 0.1)
        yield api
    except BaseException:
        sys.stdout.write(f"The last that was logged:\n{log.read_text()[-10_000:]}\n")
        raise
    finally:
        api.process.terminate()
        api.process.wait(30)


class Moderator:
    def __init__(self, number: int, key: str, api: Api, books: Books) -> None:
        self.number, self.api, self.books, self.random = number, api, books, random.Random(number)
        self.client = httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def work(self) -> None:
        with self.client:
            while not self.books.is_done():
                status, claim = self._post("/v1/reviews/next")
                assert status == 200, claim
                if claim["case"] is None:
                    return
                if self.books.add("claimed") % self.books.kill_every == 0:
                    self.api.kill()
                    self.books.add("killed")
                began = time.monotonic()
                ended = self._act(claim)
                with self.books.lock:
                    self.books.claims.append(Claimed(self.number, claim["case"], began, ended))

    def _act(self, claim: dict[str, Any]) -> float:
        """Until when nobody else may get the case: it is given up, or decided for good."""
        case = f"/v1/reviews/{claim['case']}"
        drawn = self.random.random()
        if drawn < 0.1:
            given_up = time.monotonic()
            status, _ = self._post(f"{case}/leave", claim=claim["claim"], how="skip")
            assert status in (204, 409)  # 409 where it was done and the answer lost
            self.books.add("skipped")
            return given_up
        if drawn < 0.2:
            self._decide(case, claim, undo_seconds=60)
            status, again = self._post(f"{case}/undo")
            if status == 200:
                self.books.add("undone")
            else:
                assert status == 409  # done, and the answer lost: the claim of it is got anew
                status, again = self._post(f"{case}/claim")
                assert status == 200, again
            claim = again
        self._decide(case, claim)
        return time.monotonic()

    def _decide(self, case: str, claim: dict[str, Any], **said: Any) -> None:
        body = {"action": "allow", "remove": ["object.chair"], "claim": claim["claim"], **said}
        status, answer = self._post(case, {"Idempotency-Key": uuid4().hex}, **body)
        assert status == 200, answer
        with self.books.lock:
            self.books.decided[claim["case"]].append(answer["revision"])

    def _post(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        """Sends a request until it is answered: after a kill the same one once more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self.client.post(self.api.url + path, headers=headers, json=body or None)
                return answer.status_code, answer.json() if answer.content else {}
            except httpx2.TransportError:
                assert time.monotonic() < deadline, "the API does not answer any more"
                self.books.add("sent again")
                time.sleep(0.1)  # it is starting


def storm(at: Installation, claims: int, kill_every: int) -> Books:
    """So many claims, and a kill of the API after each so many."""
    books = Books(claims, kill_every)
    with transaction(at.pool) as conn:
        keys = [create_key(conn, at.keys, ("review",)) for _ in range(MODERATORS)]
    with serving_api(at.settings, at.log) as api, ThreadPoolExecutor(MODERATORS) as threads:
        working = [threads.submit(Moderator(n, key, api, books).work) for n, key in enumerate(keys)]
        for one in working:
            one.result()
    return books


@dataclass(frozen=True)
class Installation:
    settings: Settings
    pool: Pool
    keys: TenantKeys
    log: Path


@pytest.fixture
def at(settings: Settings, pool: Pool, keys: TenantKeys, web: Web, tmp_path: Path) -> Installation:
    """Its endpoint listens."""
    with transaction(pool) as conn:
        move_endpoints(conn, keys, f"{web.url}/hooks")
    return Installation(settings, pool, keys, tmp_path / "serve.log")


def check_claims(books: Books) -> None:
    """Nobody was given a case while another had it in hand."""
    by_case: dict[str, list[Claimed]] = defaultdict(list)
    for one in books.claims:
        by_case[one.case].append(one)
    for held in by_case.values():
        held.sort(key=lambda one: one.began)
        for first, second in pairwise(held):
            assert first.ended <= second.began, f"{first} and {second}"


def check_decisions(at: Installation, books: Books) -> int:
    """Each case was decided once, as its moderator was answered; the number of decisions, with those undone."""
    closed = {
        str(case): media
        for case, media in rows(at.pool, "SELECT id, media_id FROM review_case WHERE closed_by IS NOT NULL")
    }
    revisions = dict(rows(at.pool, "SELECT media_id, max(revision) FROM decision GROUP BY media_id"))
    assert set(closed) == set(books.decided)
    for case, answered in books.decided.items():
        assert sorted(set(answered)) == answered, f"{case}: {answered}"
        assert revisions[closed[case]] == answered[-1], case
    decided = sum(map(len, books.decided.values()))
    assert len(leaves(at.pool, "media.reviewed")) == decided
    return decided


def check_deliveries(at: Installation, web: Web, books: Books) -> int:
    """Delivers all that is due: of each decided case its last revision arrives once, and nothing that was undone."""
    with transaction(at.pool) as conn:
        conn.execute("UPDATE outbox SET next_at = now() WHERE state = 'waiting'")
        now = conn.execute("SELECT now()").fetchone()
    assert now is not None
    making = partial(_body, at.keys)
    for (message,) in rows(at.pool, "SELECT id FROM outbox WHERE state = 'waiting' AND type = 'media.reviewed'"):
        deliver.attempt(at.pool, at.keys, message, making, [web.allowed], now[0])
    told = [json.loads(posted.body)["data"] for posted in web.received]
    assert len(told) == len({one["media"]["id"] for one in told}) == len(books.decided)
    last = dict(rows(at.pool, "SELECT media_id, max(revision) FROM decision GROUP BY media_id"))
    assert all(one["revision"] == last[one["media"]["id"]] and one["action"] == "allow" for one in told)
    return len(told)


def _body(keys: TenantKeys, conn: Any, message: Any) -> Any:
    return message_body(conn, keys, message, lock_shared)


def run(at: Installation, web: Web, figure: Figure, claims: int, kill_every: int) -> None:
    fill(at.pool, at.keys, load_policy(None), claims + MODERATORS)
    books = storm(at, claims, kill_every)
    check_claims(books)
    decided = check_decisions(at, books)
    told = check_deliveries(at, web, books)
    did = books.did
    figure(
        f"{did['claimed']} claims by {MODERATORS} at once, the API killed {did['killed']} times, {did['sent again']}"
        f" requests sent again: {decided} decisions, {did['undone']} undone, {told} deliveries; none twice"
    )


def test_nobody_decides_anothers_case_and_each_is_told_once(at: Installation, web: Web, figure: Figure) -> None:
    run(at, web, figure, claims=100, kill_every=60)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_thousand_claims_with_a_kill_every_five_hundred(at: Installation, web: Web, figure: Figure) -> None:
    run(at, web, figure, claims=5000, kill_every=500)
