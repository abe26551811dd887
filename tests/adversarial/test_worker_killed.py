"""A worker killed at any moment loses nothing and does nothing twice that anybody could see."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from tests.adversarial import faults
from tests.adversarial.faults import Site, site
from tests.adversarial.ledger import Ledger, balance, send
from tests.waiting import until

EVENTS, KILLS, SEED = 200, 5, 20261123


@pytest.mark.timeout(420)
def test_every_acknowledged_event_ends_in_one_decision_and_one_accepted_delivery(
    open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    ledger = Ledger()
    kills = sorted(rng.sample(range(20, EVENTS), KILLS))
    with site(open_folder / "killed") as at:
        for number in range(EVENTS):
            send(at.house, ledger, f"photo-{number}", at.photo(rng))
            if number in kills:
                kill_worker(at, rng)
        found = balance(at.house, at.web, ledger, open_folder, 240)
    assert ledger.answers == {"202": EVENTS}
    assert (found.acknowledged, found.decisions, found.deliveries) == (EVENTS, EVENTS, EVENTS)
    with capsys.disabled():
        sys.stdout.write(f"\n{KILLS} workers killed: {found}; 0 lost, 0 twice\n")


def kill_worker(at: Site, rng: random.Random) -> None:
    """Kills the worker with signal 9 once one is there, at a moment of chance."""
    until(lambda: faults.worker(at) is not None, "a worker runs")
    time.sleep(rng.uniform(0.5, 3.0))  # so that it is at work, and not at the same place every time
    killed = faults.worker(at)
    assert killed is not None
    killed.kill()
    until(lambda: faults.worker(at) not in (None, killed), "another worker was started")
