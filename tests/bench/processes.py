"""Peak memory of every process of an installation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from tests.house import House
from tests.integration.holder import postmaster_of

EVERY_SECONDS = 1.0
_GONE = (psutil.Error, OSError)  # a process that ended between two looks


class Peaks:
    """The most memory seen, MB by role, sampled while the context lasts.

    serve and worker: the resident set's own peak, as the kernel keeps it. PostgreSQL servers, decode children: the sum
    over their processes, pages that several share counted once (proportional set size).
    """

    def __init__(self, house: House, data: Path, gallery: Path) -> None:
        self._house, self._data, self._gallery = house, data, gallery
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking)
        self.mb: dict[str, float] = {}

    def servers(self) -> list[psutil.Process]:
        """The postmasters that run now: they are no children of ours."""
        homes = (self._data, *self._gallery.glob("assent-*"))
        return [process for process in map(_postmaster, homes) if process is not None]

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _keep_looking(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        for role, mb in self._seen():
            self.mb[role] = max(self.mb.get(role, 0.0), mb)

    def _seen(self) -> Iterator[tuple[str, float]]:
        with suppress(*_GONE):
            yield "serve", _peak(self._house.process)
        with suppress(*_GONE):
            worker = self._house.worker()
            if worker is not None:
                yield "worker", _peak(worker)
                for child in worker.children():
                    if "assent.media.decode_child" in " ".join(child.cmdline()):
                        yield "decode children", _proportional(child)
        yield "PostgreSQL", _server(self._data)
        for home in self._gallery.glob("assent-*"):
            yield "gallery's PostgreSQL", _server(home)


def _peak(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _postmaster(home: Path) -> psutil.Process | None:
    with suppress(*_GONE, ValueError):
        return postmaster_of(home / "pg")
    return None


def _server(home: Path) -> float:
    postmaster = _postmaster(home)
    return _proportional(postmaster) if postmaster is not None else 0.0


def _proportional(parent: psutil.Process) -> float:
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        with suppress(*_GONE):
            total += process.memory_full_info().pss / 1e6
    return total
