"""Every part killed at random moments, again and again, while events keep coming: the books still balance."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.adversarial.faults import FAULTS, Site, site
from tests.adversarial.ledger import Ledger, balance, send
from tests.fixtures.figures import Figure

SEED = 20261124
BACK_SECONDS = 10.0  # until a part that was hit is there again
GIVE_UP = 0.2  # of the events are not sent again when their answer is lost


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_100_kills(open_folder: Path, figure: Figure) -> None:
    _storm(open_folder / "kills-100", 100, 4.0, 2.0, figure)


def _storm(data: Path, kills: int, longest_pause: float, rate: float, figure: Figure) -> None:
    """`rate` events a second, and a kill after every pause of at most `longest_pause` seconds."""
    rng = random.Random(SEED + kills)
    ledger = Ledger()
    hit: Counter[str] = Counter({fault.name: 0 for fault in FAULTS})
    with site(data) as at:
        with _events(at, ledger, rate, random.Random(SEED)):
            while hit.total() < kills or min(hit.values()) < max(1, kills // len(FAULTS) // 2):
                time.sleep(rng.uniform(0, longest_pause))  # the moment is what is tried
                _strike_one(at, hit, rng)
        found = balance(at.house, at.web, ledger, data, 90 + 2 * kills)
    struck = ", ".join(f"{name} {count}" for name, count in hit.items())
    figure(f"{hit.total()} kills ({struck}): {found}; answers {dict(ledger.answers)}; 0 lost, 0 twice")


def _strike_one(at: Site, hit: Counter[str], rng: random.Random) -> None:
    """Hits one of the parts that were hit the fewest times: whichever is there, since after a kill some are away for a
    while. For one of them it waits, or a slow machine's worker would never live long enough to have a decode child."""
    fewest = [fault for fault in FAULTS if hit[fault.name] == min(hit.values())]
    rng.shuffle(fewest)
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        fault = next((fault for fault in fewest if fault.strike(at)), None)
        if fault is not None:
            hit[fault.name] += 1
            return
        time.sleep(0.05)


@contextmanager
def _events(at: Site, ledger: Ledger, rate: float, rng: random.Random) -> Iterator[None]:
    """Sends events until the context ends; each is repeated until it is acknowledged, but for those given up."""
    over = threading.Event()

    def sending() -> None:
        number = 0
        while not over.wait(rng.expovariate(rate)):
            number += 1
            patience = 0 if rng.random() < GIVE_UP else 60
            send(at.house, ledger, f"photo-{number}", at.photo(rng), patience=patience)

    thread = threading.Thread(target=sending)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
