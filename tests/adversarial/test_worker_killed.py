"""A worker killed at any moment loses nothing and does nothing twice that anybody could see."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.adversarial.faults import site, start_worker
from tests.adversarial.ledger import Ledger, balance, send
from tests.fixtures.figures import Figure

SEED = 20261123


@pytest.mark.slow
@pytest.mark.parametrize(("events", "deaths"), [(200, 5)])
@pytest.mark.timeout(420)
def test_every_acknowledged_event_ends_in_one_decision_and_one_accepted_delivery(
    open_folder: Path, events: int, deaths: int, figure: Figure
) -> None:
    rng = random.Random(SEED)
    ledger = Ledger()
    kills = sorted(rng.sample(range(20, events), deaths))
    # Without `assent serve`'s own worker: it would wait longer after every death before it starts another.
    with site(open_folder / "killed", "--no-worker") as at:
        worker = start_worker(at, at.data / "worker-0.log")
        try:
            for number in range(events):
                send(at.house, ledger, f"photo-{number}", at.photo(rng))
                if number in kills:
                    time.sleep(rng.uniform(0.5, 3.0))  # so that it is not at the same place every time
                    worker.kill()
                    worker.wait()
                    worker = start_worker(at, at.data / f"worker-{number}.log")
            found = balance(at.house, at.web, ledger, open_folder, 240)
        finally:
            worker.terminate()
            worker.wait(30)
    assert ledger.answers == {"202": events}
    assert (found.acknowledged, found.decisions, found.deliveries) == (events, events, events)
    figure(f"{deaths} workers killed: {found}; 0 lost, 0 twice")
