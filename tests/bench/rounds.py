"""Measuring side by side: cases take turns, so that what else the machine does hits all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import psutil

Case = Callable[[], object]
Tick = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int  # of the models' cases
    burst: int  # events posted at once, until all are delivered
    rate_seconds: int  # of each rate in each of its rounds
    rate_rounds: int
    platform_seconds: int  # of three platforms at once, and of one, in each round
    platform_rounds: int
    replayed: int  # events a round, with perceptions replayed
    decisions: int  # stored one after the other
    windows: tuple[int, ...]  # up to which number of decisions latency and size are told
    indexed: int  # stored with, and as many without, an entry in the search index
    leaves: int
    cold_starts: int
    people: int  # with a template each
    exact: tuple[tuple[int, int], ...]  # templates and dimension of galleries that are searched whole
    enrolments: int  # of eight photos each
    simulated: int  # recorded decisions that another policy decides again
    hashes: int  # on a list of known pictures
    searched: tuple[int, ...]  # media items of the indexes that are searched
    searches: int  # of each kind, in each of them
    cases: tuple[int, ...]  # open ones, among which moderators work
    moderations: int  # of each kind, in each of them


FULL = Size(
    rounds=7,
    burst=240,
    rate_seconds=6,
    rate_rounds=3,
    platform_seconds=20,
    platform_rounds=2,
    replayed=200,
    decisions=10_000,
    windows=(1_000, 10_000),
    indexed=300,
    leaves=2_000,
    cold_starts=3,
    people=100_000,
    exact=tuple((n, d) for n in (10_000, 100_000, 1_000_000) for d in (128, 256, 512)),
    enrolments=5,
    simulated=100_000,
    hashes=1_000_000,
    searched=(10_000, 1_000_000),
    searches=25,
    cases=(1_000, 100_000),
    moderations=60,
)
SHORT = Size(
    rounds=2,
    burst=60,
    rate_seconds=2,
    rate_rounds=1,
    platform_seconds=2,
    platform_rounds=1,
    replayed=60,
    decisions=600,
    windows=(300, 600),
    indexed=20,
    leaves=300,
    cold_starts=1,
    people=2_000,
    exact=((1_000, 128), (10_000, 128), (10_000, 512)),
    enrolments=1,
    simulated=2_000,
    hashes=100_000,
    searched=(1_000, 10_000),
    searches=3,
    cases=(100, 1_000),
    moderations=20,
)


def in_turn(cases: Mapping[Name, Case], rounds: int, tick: Tick) -> dict[Name, list[float]]:
    """Seconds of every case in every round, after a round that does not count. Each round begins one case later."""
    names = list(cases)
    seconds: dict[Name, list[float]] = {name: [] for name in names}
    for n in range(rounds + 1):
        first = n % len(names)
        for name in names[first:] + names[:first]:
            began = time.perf_counter()
            cases[name]()
            took = time.perf_counter() - began
            if n:
                seconds[name].append(took)
            tick()
    return seconds


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as long the first takes: the median over rounds of the quotients within a round."""
    return median(a / b for a, b in zip(slower, faster, strict=True))


def quantile(values: Sequence[float], fraction: float) -> float:
    """The smallest of the values (≥ 1) that at least that share (0–1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def busy_cores(seconds: float = 1.0) -> float:
    """How many cores are busy while this process only waits: what everything else on the machine takes."""
    before = _busy()
    time.sleep(seconds)
    return (_busy() - before) / seconds


class OtherLoad:
    """How many cores were busy with something else than this process, its children and `more` with theirs, while the
    context lasted."""

    cores: float = 0.0

    def __init__(self, more: Callable[[], Iterable[psutil.Process]] = tuple) -> None:
        self._more = more

    def __enter__(self) -> OtherLoad:
        self._began, self._all, self._ours = time.monotonic(), _busy(), self._own()
        return self

    def __exit__(self, *_: object) -> None:
        elsewhere = (_busy() - self._all) - (self._own() - self._ours)
        self.cores = max(0.0, elsewhere / (time.monotonic() - self._began))

    def _own(self) -> float:
        roots = [psutil.Process(), *self._more()]
        return sum(_used(process) for root in roots for process in (root, *root.children(recursive=True)))


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _used(process: psutil.Process) -> float:
    """CPU seconds of a process and of those of its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
