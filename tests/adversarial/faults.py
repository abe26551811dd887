"""What breaks in a running installation: which processes there are to kill, and photos to work on meanwhile."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.house import House, running
from tests.installed import package_file
from tests.waiting import until
from tests.web import Web, serving

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")
LEASE_SECONDS = 2


@dataclass(frozen=True)
class Site:
    """A running house, the web beside it, and where its servers' files lie."""

    house: House
    web: Web
    data: Path
    gallery: Path

    def photo(self, rng: random.Random) -> str:
        return f"{self.web.url}/{rng.choice(PHOTOS)}"


@contextmanager
def site(data: Path, *words: str, **settings: str) -> Iterator[Site]:
    """A house in `data` with a short lease, its gallery in a folder of its own, and a web that serves the photos."""
    memory = Path("/dev/shm")  # noqa: S108 - memory
    with serving() as web, tempfile.TemporaryDirectory(prefix="assent-test-", dir=memory) as name:
        gallery = Path(name)
        gallery.chmod(0o711)
        for photo in PHOTOS:
            web.files[f"/{photo}"] = package_file("skimage", f"data/{photo}").read_bytes()
        settings = {
            "ASSENT_LEASE_SECONDS": str(LEASE_SECONDS),
            "ASSENT_GALLERY_DIR": name,
            "ASSENT_THREADS": "1",
        } | settings
        with running(data, web, *words, **settings) as house:
            try:
                with _supervised(house):
                    yield Site(house, web, data, gallery)
            except BaseException:
                sys.stdout.write(f"The last that was logged:\n{house.log.read_text()[-20_000:]}\n")
                raise


@contextmanager
def _supervised(house: House) -> Iterator[None]:
    """Starts `assent serve` again whenever it ends, as systemd does it."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            if house.process.poll() is not None:
                house.start()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def start_worker(at: Site, log: Path) -> psutil.Popen:
    """A worker process of that house that nobody starts again."""
    with log.open("wb") as output:
        return psutil.Popen([sys.executable, "-m", "assent", "worker"], env=at.house.environment, stderr=output)


@contextmanager
def second_worker(at: Site) -> Iterator[psutil.Popen]:
    """One more worker process of that house, ready."""
    log = at.data / "second.log"
    process = start_worker(at, log)
    try:
        until(lambda: b"worker ready" in log.read_bytes(), "the second worker is ready", 60)
        yield process
    except BaseException:
        sys.stdout.write(f"The last that the second worker logged:\n{log.read_text()[-20_000:]}\n")
        raise
    finally:
        process.resume()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def postmaster(folder: Path) -> psutil.Process | None:
    """The live PostgreSQL server of the data folder `pg` in that folder."""
    try:
        process = psutil.Process(int((folder / "pg" / "postmaster.pid").read_text().split()[0]))
        return process if process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, NotADirectoryError, IndexError, psutil.NoSuchProcess):
        return None


def truth(at: Site) -> psutil.Process | None:
    return postmaster(at.data)


def gallery(at: Site) -> psutil.Process | None:
    return next(filter(None, map(postmaster, at.gallery.iterdir())), None)


def worker(at: Site) -> psutil.Process | None:
    return at.house.worker()


def decoder(at: Site) -> psutil.Process | None:
    found = worker(at)
    return next((child for child in _children(found) if _runs(child, "assent.media.decode_child")), None)


def backend(at: Site) -> psutil.Process | None:
    """A process of the truth that serves one connection."""
    busy = [child for child in _children(truth(at)) if _runs(child, "assent postgres [local]")]
    return random.choice(busy) if busy else None


def api(at: Site) -> psutil.Process | None:
    """`assent serve`, once it has come as far as starting its worker."""
    return at.house.process if worker(at) is not None else None


def _children(process: psutil.Process | None) -> list[psutil.Process]:
    try:
        return process.children() if process is not None else []
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process, word: str) -> bool:
    with suppress(psutil.NoSuchProcess):
        return word in " ".join(process.cmdline())
    return False


@dataclass(frozen=True)
class Fault:
    """Something to break: what it is called, the process that it hits, and with which signal."""

    name: str
    target: Callable[[Site], psutil.Process | None]
    number: signal.Signals = signal.SIGKILL

    def strike(self, at: Site) -> bool:
        """Whether it was there and was hit."""
        victim = self.target(at)
        if victim is None:
            return False
        try:
            victim.send_signal(self.number)
        except psutil.NoSuchProcess:
            return False
        return True


FAULTS: Sequence[Fault] = (
    Fault("worker", worker),
    Fault("API", api),
    Fault("decode child", decoder),
    Fault("gallery's server", gallery),
    Fault("database's backend", backend),
    Fault("database", truth),
    Fault("database, stopped at once", truth, signal.SIGQUIT),
)
