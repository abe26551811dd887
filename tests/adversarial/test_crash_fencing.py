"""A worker stopped past its lease while another takes over, then continued: with real processes and signals."""

from __future__ import annotations

import random
import time
from pathlib import Path

import psutil
import pytest

from tests.adversarial import faults
from tests.adversarial.faults import Site, second_worker, site
from tests.adversarial.ledger import Ledger, accepted, balance, decision, send
from tests.fixtures.figures import Figure
from tests.waiting import until
from tests.web import Answer, at_once


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_stopped_at_work(open_folder: Path, cat: bytes, figure: Figure) -> None:
    _stop_again_and_again(open_folder / "stopped", 2, cat, figure)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_stopped_at_work_30_times(open_folder: Path, cat: bytes, figure: Figure) -> None:
    _stop_again_and_again(open_folder / "stopped-30", 30, cat, figure)


def _stop_again_and_again(data: Path, rounds: int, cat: bytes, figure: Figure) -> None:
    ledger, rng = Ledger(), random.Random(rounds)
    with site(data, ASSENT_LEASE_SECONDS="1") as at, second_worker(at) as second:
        at.house.wait_for_worker()  # or it is stopped while it fills the gallery: 10 s
        done = tried = 0
        while done < rounds:
            assert tried < 10 * rounds, "the first worker is never caught at work"
            done += _stopped_in_time(at, second, ledger, tried, cat, rng)
            tried += 1
        found = balance(at.house, at.web, ledger, data, 120)
    for log in (at.house.log, data / "second.log"):
        assert "never retrieved" not in log.read_text()  # a job that was ended elsewhere is no error
    figure(f"{done} workers stopped at work, continued after their lease: {found}; 0 stale writes")


def _stopped_in_time(
    at: Site, second: psutil.Popen, ledger: Ledger, number: int, cat: bytes, rng: random.Random
) -> bool:
    """Stops the first worker on a picture, lets the second one finish it, continues the first. False when the first
    had finished before it was stopped."""
    picture, path = f"photo-{number}", f"/{number}.png"
    first = faults.worker(at)
    assert first is not None
    second.suspend()
    at.web.files[path] = Answer(200, body=cat, before=at_once if number % 2 else first.suspend)
    send(at.house, ledger, picture, at.web.url + path)
    until(lambda: path in at.web.asked, "the picture is fetched")
    if number % 2:
        time.sleep(rng.uniform(0, 0.05))  # so that it is not always at the same place
        first.suspend()
    try:
        in_time = decision(at.house, picture) is None
        second.resume()
        until(lambda: decision(at.house, picture) is not None, "the second worker takes over", 60)
        # Stopped in the middle of a delivery it would keep that message for the 30 s of a delivery's lease.
        until(lambda: _delivered(at, picture), "the decision is delivered", 60)
    finally:
        first.resume()
    # Both are at work again: with the second stopped, the first does the next event.
    second.suspend()
    send(at.house, ledger, f"{picture}-after", at.photo(rng))
    until(lambda: _delivered(at, f"{picture}-after"), "the first worker works again", 60)
    second.resume()
    return in_time


def _delivered(at: Site, picture: str) -> bool:
    return picture in {said["media"]["id"] for said in accepted(at.web).values()}


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_stopped_while_its_delivery_is_answered(open_folder: Path, figure: Figure) -> None:
    ledger, rng = Ledger(), random.Random(1)
    with site(open_folder / "answered") as at, second_worker(at) as second:
        until(lambda: faults.decoder(at) is not None, "the first worker is there")
        second.suspend()
        first = faults.worker(at)
        assert first is not None
        at.web.answers = iter([Answer(before=first.suspend)])
        send(at.house, ledger, "photo", at.photo(rng))
        until(lambda: len(at.web.received) == 1, "it was delivered, and its sender stopped", 60)
        second.resume()
        until(lambda: len(at.web.received) == 2, "the second worker delivers it again", 120)
        first.resume()
        found = balance(at.house, at.web, ledger, at.data)
    assert (found.deliveries, found.repeated) == (1, 1)
    figure(f"1 worker stopped between delivery and its note: {found}; 0 accepted twice")
