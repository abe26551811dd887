"""The disk under the embedded server is full, or answers with errors: nothing is acknowledged that was not stored."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from assent.core.http_errors import DiskFull
from assent.db.health import check_room
from assent.db.pool import open_pool, transaction
from assent.embedded.clusters import embedded
from tests.adversarial import faults
from tests.adversarial.faults import Site, site
from tests.adversarial.ledger import REFUSED, Ledger, balance, send
from tests.fixtures.figures import Figure
from tests.house import is_ready
from tests.installed import need
from tests.waiting import until

DISK_MB = 400
REFUSALS = 10
ROUNDS = 1
# Which calls fail, how, and from the how-manieth of each process on.
CALLS = (
    "fdatasync,fsync:error=EIO:when=3",
    "pwrite64,pwritev:error=EIO:when=5",
    "pwrite64,pwritev:error=ENOSPC:when=5",
)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, DISK_MB large."""
    if os.geteuid() != 0:
        need("only root can mount a small file system")
    folder.mkdir(mode=0o711)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=711", "assent-test", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        need("nothing can be mounted here")
    try:
        yield folder
    finally:
        until(lambda: _unmounted(folder), "the disk is let go", 20)


def _unmounted(folder: Path) -> bool:
    command = ["umount", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(disk: Path) -> Path:
    """A file that takes all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:  # else what did not fit is written once more when it is closed
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return filler


@pytest.mark.timeout(240)
def test_full(open_folder: Path, figure: Figure) -> None:
    ledger, rng = Ledger(), random.Random(3)
    with small_disk(open_folder / "full") as disk, site(disk) as at:
        send(at.house, ledger, "before", at.photo(rng))
        until(lambda: faults.worker(at) is not None, "a worker is there")
        filler = fill(disk)
        answer = at.house.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")
        _kill_worker(at)  # its end cannot be logged: the log lies on this disk too
        _send_until_refused(at, ledger, rng)
        while_full = dict(ledger.answers)
        assert shutil.disk_usage(disk).free < 1 << 20
        filler.unlink()
        until(lambda: is_ready(at.house), "it is ready again", 60)
        send(at.house, ledger, "after", at.photo(rng))
        found = balance(at.house, at.web, ledger, open_folder)
    assert "after" in ledger.acknowledged
    figure(f"A full disk, answers {while_full}: {found}; 0 acknowledged and not stored")


def test_the_full_disk_of_a_server_of_ones_own_shows_in_what_it_cannot_write(open_folder: Path) -> None:
    with small_disk(open_folder / "own") as disk, embedded(disk) as url, open_pool(url, size=1) as pool:
        for _ in range(2):
            with transaction(pool) as conn:
                check_room(conn)
            filler = fill(disk)
            with pytest.raises(DiskFull), transaction(pool) as conn:
                check_room(conn)
            filler.unlink()


def _kill_worker(at: Site) -> None:
    worker = faults.worker(at)
    assert worker is not None
    worker.kill()


def _send_until_refused(at: Site, ledger: Ledger, rng: random.Random) -> None:
    # Pages and log segments that exist already still take some.
    number = 0
    while ledger.answers[str(REFUSED)] < REFUSALS:
        number += 1
        assert number < 3000, "a full disk is never noticed"
        send(at.house, ledger, f"full-{number}", at.photo(rng), patience=0)


@contextmanager
def failing(at: Site, how: str, log: Path) -> Iterator[None]:
    """The truth's processes, and those they start, get an error from every such call."""
    if shutil.which("strace") is None:
        need("strace is not installed: apt-get install strace")
    server = faults.truth(at)
    assert server is not None
    tracees = [f"--attach={process.pid}" for process in (server, *server.children())]
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={how.split(':')[0]}", "-e", f"inject={how}"]
    tracer = psutil.Popen([*command, *tracees], stderr=subprocess.PIPE)
    try:
        until(lambda: _traced(server) or tracer.poll() is not None, "the server is traced")
        if tracer.poll() is not None:
            need("processes cannot be traced here")
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.communicate(timeout=20)


def _traced(process: psutil.Process) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return "TracerPid:\t0\n" not in status


def _injected(log: Path) -> int:
    return log.read_text(errors="replace").count("(INJECTED)")


def _send_until_failed(at: Site, ledger: Ledger, log: Path, n: int, rng: random.Random) -> None:
    number = 0
    while not _injected(log):
        number += 1
        assert number < 500, "no call ever failed"
        send(at.house, ledger, f"photo-{n}-{number}", at.photo(rng), patience=rng.choice((0, 0, 5)))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_errors_from_the_disk(open_folder: Path, figure: Figure) -> None:
    ledger, rng = Ledger(), random.Random(4)
    failures = Counter[str]()
    with site(open_folder / "errors") as at:
        for n, how in enumerate(CALLS * ROUNDS):
            log = open_folder / f"strace-{n}.log"
            with failing(at, how, log):
                _send_until_failed(at, ledger, log, n, rng)
            failures[how] += _injected(log)
            send(at.house, ledger, f"photo-{n}-after", at.photo(rng))
        found = balance(at.house, at.web, ledger, open_folder)
    assert len(ledger.acknowledged) >= len(CALLS) * ROUNDS
    failed = ", ".join(f"{how} {count} times" for how, count in failures.items())
    said = f"{found}; answers {dict(ledger.answers)}; 0 acknowledged and not stored"
    figure(f"Errors from the disk ({failed}): {said}")
