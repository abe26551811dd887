"""A worker is stopped with somebody's name in hand, they withdraw, it goes on: the name goes nowhere any more."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psutil
import psycopg
import pytest

from assent.core.errors import SubjectLocked
from assent.core.settings import AllowedHost
from assent.core.values import Event, MediaRef
from assent.db import locks
from assent.db.pool import transaction
from assent.decisions.assemble import assemble, message_body
from assent.intake.accept import Origin, store_event
from assent.outbox import deliver
from assent.outbox.schedule import Outcome
from tests.authority import move_endpoints
from tests.events import SOURCE, media_item, rows
from tests.integration.album import Album
from tests.waiting import until

# Transactions of this `python -c … worker` may idle for 2 s.
IMPATIENT = """
from psycopg import sql
from assent.db import pool
pool.IDLE_LIMIT = sql.SQL(pool.IDLE_LIMIT.as_string().replace("'10s'", "'2s'"))
import assent.__main__
"""


@contextmanager
def worker(album: Album, *allow: AllowedHost, run: Sequence[str] = ("-m", "assent")) -> Iterator[psutil.Popen]:
    """`assent worker` in a process of its own, beside the test's bench."""
    settings = album.bench.settings
    assert settings.database_url is not None
    allowed = ",".join(f"{one.host}:{one.port}@{one.network}" for one in (album.web.allowed, *allow))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")} | {
        "ASSENT_DATA_DIR": str(settings.data_dir),
        "ASSENT_DATABASE_URL": settings.database_url.get_secret_value(),
        "ASSENT_ALLOW_PRIVATE": allowed,
        "ASSENT_LEASE_SECONDS": str(settings.lease_seconds),
        "ASSENT_THREADS": "1",
    }
    process = psutil.Popen([sys.executable, *run, "worker"], env=environment, stderr=subprocess.DEVNULL)
    try:
        until(
            lambda: rows(album.bench, "SELECT models_sha256 IS NULL FROM tenant") == [(False,)], "the worker works", 60
        )
        yield process
    finally:
        process.resume()
        process.terminate()
        process.wait(30)


def post(album: Album) -> UUID:
    """The group photo by alice, for whichever worker is there."""
    event_id = UUID(int=1)
    event = Event("media.created", (MediaRef("group", None),), "public", "post", "alice")
    with transaction(album.bench.pool) as conn:
        store_event(conn, album.keys, event_id, event, Origin(SOURCE, "live"), [album.photo])
    return event_id


def waiters(url: str) -> int:
    """How many connections wait for a lock."""
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def decided(album: Album) -> bool:
    return rows(album.bench, "SELECT count(*) FROM decision") == [(1,)]


def nobody_is_named(album: Album) -> None:
    assert rows(album.bench, "SELECT count(*) FROM match") == [(0,)]
    assert album.named() == {}
    assert all(b"alice" not in posted.body for posted in album.web.received)


def test_stopped_after_the_match(album: Album, database_url: str) -> None:
    consent = album.opt_in("alice", "second")
    with psycopg.connect(database_url) as other, worker(album) as process:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('default/platform/group', 0))"
        )  # what stage 7 needs first
        post(album)
        until(lambda: waiters(database_url) == 1, "the worker has matched and would record it", 60)
        process.suspend()
        album.withdraw(consent)
        other.rollback()
        process.resume()
        until(lambda: decided(album), "the picture is decided")
        until(lambda: len(album.web.received) == 1, "the platform hears of it")
    nobody_is_named(album)


@pytest.mark.parametrize(
    ("run", "least"),
    [
        pytest.param(("-c", IMPATIENT), 1, id="2 s"),
        pytest.param(("-m", "assent"), 5, id="10 s", marks=pytest.mark.slow),
    ],
)
def test_stopped_while_it_records_the_match(
    album: Album, database_url: str, run: tuple[str, str], least: float
) -> None:
    consent = album.opt_in("alice", "second")
    with psycopg.connect(database_url) as other, worker(album, run=run) as process:
        other.execute("SELECT FROM audit_tree FOR UPDATE")  # the last thing that stage 7 needs
        post(album)
        until(lambda: waiters(database_url) == 1, "the worker has confirmed the consent and would commit", 60)
        process.suspend()
        other.rollback()
        began = time.monotonic()
        album.withdraw(consent)  # waits until the server ends the stopped transaction
        took = time.monotonic() - began
        process.resume()
        until(lambda: decided(album), "the picture is decided")
        until(lambda: len(album.web.received) == 1, "the platform hears of it")
    assert least < took < locks.LOCK_WAIT_SECONDS
    nobody_is_named(album)


class Deaf:
    """A port that takes no connection until it `listens`; what was heard then, connection by connection."""

    def __init__(self, stack: ExitStack) -> None:
        self._socket = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.port = self._socket.getsockname()[1]
        self.heard: list[bytes] = []
        self._fillers = stack.enter_context(ExitStack())
        self._thread = threading.Thread(target=self._hear)
        with suppress(TimeoutError):
            while True:  # the kernel takes a few by itself
                filler = self._fillers.enter_context(socket.socket())
                filler.settimeout(0.3)
                filler.connect(("127.0.0.1", self.port))

    @property
    def allowed(self) -> AllowedHost:
        return AllowedHost.parse(f"127.0.0.1:{self.port}@127.0.0.0/8")

    def listens(self) -> None:
        self._fillers.close()
        self._thread.start()

    def ends(self) -> None:
        if self._thread.is_alive():
            self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _hear(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(20)
                    self.heard.append(b"".join(iter(lambda: connection.recv(65536), b"")))  # noqa: B023 - used at once

    def wants_all(self, album: Album) -> None:
        with transaction(album.bench.pool) as conn:
            move_endpoints(conn, album.keys, f"http://127.0.0.1:{self.port}/hooks")


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    with ExitStack() as stack:
        found = Deaf(stack)
        yield found
        found.ends()


def attempts(album: Album) -> int:
    return int(rows(album.bench, "SELECT coalesce(sum(attempts), 0)::int FROM outbox")[0][0])


@pytest.mark.parametrize("wait", [6, pytest.param(locks.LOCK_WAIT_SECONDS, marks=pytest.mark.slow)])
def test_stopped_after_the_claim(album: Album, deaf: Deaf, wait: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deliver.BODY_WITHIN.total_seconds() + deliver.LIMITS.total_s <= locks.LOCK_WAIT_SECONDS
    assert deliver.BODY_WITHIN.total_seconds() < wait
    monkeypatch.setattr(locks, "LOCK_WAIT_SECONDS", wait)  # a body that was not begun by then is never begun
    deaf.wants_all(album)
    consent = album.opt_in("alice", "second")
    with worker(album, deaf.allowed) as process:
        post(album)
        until(lambda: attempts(album) == 1, "the message that names alice is claimed", 60)
        assert album.named() == {"alice": "second"}
        process.suspend()
        began = time.monotonic()
        album.withdraw(consent)
        took = time.monotonic() - began
        deaf.listens()
        process.resume()
        with transaction(album.bench.pool) as conn:
            move_endpoints(conn, album.keys, f"{album.web.url}/hooks")
        until(lambda: rows(album.bench, "SELECT count(*) FROM match") == [(0,)], "the match is taken back", 60)
        until(lambda: len(album.web.received) >= 1, "the platform hears of it", 60)
    assert took < wait + 2
    assert all(b"alice" not in said for said in deaf.heard)
    nobody_is_named(album)


def send(album: Album, allow: AllowedHost) -> Outcome:
    """One attempt as the worker makes it."""
    ((message,),) = rows(album.bench, "SELECT id FROM outbox")
    return deliver.attempt(
        album.bench.pool,
        album.keys,
        message,
        lambda conn, row: message_body(conn, album.keys, row, locks.lock_shared_session),
        (allow,),
        datetime.now(UTC),
    )


def test_no_body_is_begun_long_after_its_claim(album: Album, deaf: Deaf, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timedelta(seconds=5) == deliver.BODY_WITHIN
    monkeypatch.setattr(deliver, "BODY_WITHIN", timedelta(seconds=2))
    deaf.wants_all(album)
    album.opt_in("alice", "second")
    album.post(author="alice")
    threading.Timer(2.2, deaf.listens).start()  # the connection then stands when the kernel tries again, after 3 s
    outcome = send(album, deaf.allowed)
    assert outcome.state == "waiting"
    assert "within 5 s" in outcome.because
    until(lambda: any(said.startswith(b"POST") for said in deaf.heard), "the receiver got the head")
    assert all(b"alice" not in said for said in deaf.heard)


def test_a_withdrawal_waits_for_a_body_that_is_on_its_way(album: Album) -> None:
    consent = album.opt_in("alice", "second")
    album.post(author="alice")
    times: dict[str, float] = {}
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        port = listener.getsockname()[1]
        with transaction(album.bench.pool) as conn:
            move_endpoints(conn, album.keys, f"http://127.0.0.1:{port}/hooks")
        allow = AllowedHost.parse(f"127.0.0.1:{port}@127.0.0.0/8")
        sender = threading.Thread(target=send, args=(album, allow))
        sender.start()
        connection = stack.enter_context(listener.accept()[0])
        said = b""
        while b"alice" not in said:
            said += connection.recv(65536)

        def withdraw() -> None:
            album.withdraw(consent)
            times["acknowledged"] = time.monotonic()

        person = threading.Thread(target=withdraw)
        person.start()
        until(lambda: waiters(url_of(album)) == 1, "the withdrawal waits")
        times["answered"] = time.monotonic()
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        for thread in (sender, person):
            thread.join(30)
    assert times["acknowledged"] > times["answered"]
    assert rows(album.bench, "SELECT state FROM outbox") == [("delivered",)]
    album.work()
    assert rows(album.bench, "SELECT type FROM outbox WHERE state = 'waiting'") == [("tag.retracted",)]


def test_a_sender_that_lost_its_hold_sends_nothing(album: Album, deaf: Deaf) -> None:
    deaf.wants_all(album)
    album.opt_in("alice", "second")
    album.post(author="alice")
    ended: list[Any] = []

    def cut() -> None:
        until(lambda: attempts(album) == 1, "the message is claimed")
        with psycopg.connect(url_of(album), autocommit=True) as conn:
            ended.extend(
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        deaf.listens()

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(Exception, match="DATABASE_URL"):
        send(album, deaf.allowed)
    thread.join(30)
    assert len(ended) == 1
    until(lambda: any(said.startswith(b"POST") for said in deaf.heard), "the receiver got the head")
    assert all(b"alice" not in said for said in deaf.heard)


def url_of(album: Album) -> str:
    return str(album.bench.pool.conninfo)


def test_the_time_limit_of_the_lock_ends_with_it(album: Album) -> None:
    pid = bytes(32)
    with transaction(album.bench.pool) as conn:
        conn.execute("SET LOCAL lock_timeout = '7s'")
        assert locks.try_lock_exclusive(conn, "default", pid)
        assert conn.execute("SHOW lock_timeout").fetchone() == ("7s",)
    with transaction(album.bench.pool) as conn:
        assert conn.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_alone_says_when_it_waited_in_vain(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_SECONDS", 1)
    pid = bytes(32)
    with transaction(album.bench.pool) as sharing, transaction(album.bench.pool) as conn:
        locks.lock_shared_session(sharing, "default", [pid])
        assert not locks.try_lock_exclusive(conn, "default", pid)
        assert conn.execute("SHOW lock_timeout").fetchone() == ("0",)
        locks.unlock_session(sharing)
        assert locks.try_lock_exclusive(conn, "default", pid)


def test_who_reads_a_decision_is_not_held_up_by_a_withdrawal_that_waits(album: Album) -> None:
    album.opt_in("alice", "second")
    album.post(author="alice")
    with transaction(album.bench.pool) as changing, transaction(album.bench.pool) as reading:
        assert locks.try_lock_exclusive(changing, "default", album.pid("alice"))
        with pytest.raises(SubjectLocked):
            assemble(reading, album.keys, media_item("group"), lock=locks.lock_shared_or_busy)
        assert reading.execute("SHOW lock_timeout").fetchone() == ("0",)
        changing.rollback()
        said = assemble(reading, album.keys, media_item("group"), lock=locks.lock_shared_or_busy)
    assert said is not None
    assert [face.match.subject for face in said.faces if face.match] == ["alice"]
