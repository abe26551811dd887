"""A worker that dies or stalls between an act and its outcome, and two workers at once, do it once all the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from assent.core.settings import Settings
from assent.db.pool import open_pool
from assent.keys.installation import open_or_create_keys
from assent.outbox.actions import ACT_LEASE, attempt_action
from tests.acting import Acting
from tests.platform_api import Api, Fault
from tests.web import Answer

ACTS = {
    "social": [("report", "status/9/1"), ("account-suspend", "status/9/1")],
    "forum": [("hide", "post/9/1"), ("report", "post/9/1"), ("delete", "post/9/1")],
}
CASES = [(source, *act) for source, acts in ACTS.items() for act in acts]


def attempt_elsewhere(settings: Settings, action_id: UUID, port: int) -> None:
    """One attempt in a process of its own."""
    assert settings.database_url is not None
    with open_pool(settings.database_url.get_secret_value(), size=2) as pool:
        keys = open_or_create_keys(settings, pool).tenant("default")
        api = Api("", port)
        attempt_action(pool, keys, action_id, (api.allowed,), datetime.now(UTC) + timedelta(seconds=2))


@pytest.mark.parametrize(("source", "act", "media"), CASES)
def test_a_worker_killed_after_the_call_leaves_it_done_once(
    acting: Acting, api: Api, settings: Settings, source: str, act: str, media: str
) -> None:
    acting.decide(source, media, [act])
    (row,) = acting.rows()
    reached, over = threading.Event(), threading.Event()

    def stall() -> None:
        reached.set()
        over.wait(30)

    # The calls that only read are answered; the first that changes something takes effect, and no answer comes.
    reads = 0 if act == "report" and source == "social" else 1
    api.faults = iter([*[None] * reads, Fault(Answer(raw=b""), took_effect=True, before=stall)])
    worker = multiprocessing.get_context("spawn").Process(
        target=attempt_elsewhere, args=(settings, row["id"], api.port)
    )
    worker.start()
    try:
        assert reached.wait(60)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join(30)
    finally:
        over.set()
    assert acting.rows()[0]["state"] == "intended"
    assert acting.step() == []  # the claim is a lease
    acting.now += ACT_LEASE + ACT_LEASE
    acting.settle()
    assert acting.states() == ["done"]
    assert len(api.changed()) == 1


def test_two_workers_at_once_do_it_once(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/9/1", ["report"])
    (row,) = acting.rows()
    barrier = threading.Barrier(4)

    def race() -> None:
        barrier.wait()
        acting.attempt(row["id"])

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (acting.states(), len(api.asked)) == (["done"], 1)


def test_a_worker_that_stalled_past_its_lease_writes_nothing(acting: Acting, api: Api) -> None:
    acting.decide("social", "status/9/1", ["report"])
    (row,) = acting.rows()
    reached, over = threading.Event(), threading.Event()

    def stall() -> None:
        reached.set()
        over.wait(30)

    api.faults = iter([Fault(Answer(200, body=b'{"id": "999"}'), took_effect=True, before=stall)])
    outcomes = []
    slow = threading.Thread(target=lambda: outcomes.append(acting.attempt(row["id"])))
    slow.start()
    assert reached.wait(30)
    acting.now += 2 * ACT_LEASE
    acting.settle()
    over.set()
    slow.join()
    assert outcomes[0].because == "recorded by another worker"
    assert (acting.states(), len(api.reports)) == (["done"], 1)
    acting.delete("social", "status/9/1")
    acting.settle()
    assert api.reports[0]["action_taken"]  # the report that is ours, not number 999
