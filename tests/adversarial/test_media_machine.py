"""Media items are posted, changed, deleted and posted again through three lanes and two sources while two workers are
stopped and killed: what the platform sees is what its last acknowledged event says, and revisions only rise."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx2
import psutil
import pytest

from tests.adversarial import faults
from tests.adversarial.faults import Site, second_worker, site
from tests.fixtures.figures import Figure
from tests.waiting import until

SEED = 20261126
IDS = 6  # few enough that much happens to each
QUIET_EVERY = 40  # steps
Source = Literal["platform", "api"]
Item = tuple[Source, str]


@dataclass
class Expected:
    """What the platform knows of a media item: its newest event that was acknowledged, None once it deleted it."""

    event: str | None = None
    stated: int = 0  # the highest revision that it stated
    deleted_at: float = 0.0  # when its deletion was acknowledged; 0 where it lives
    floor: int = 0  # the highest revision that was told before its last deletion


@dataclass
class Machine:
    at: Site
    second: psutil.Popen
    rng: random.Random
    items: dict[Item, Expected] = field(default_factory=lambda: defaultdict(Expected))
    told: dict[Item, int] = field(default_factory=lambda: defaultdict(int))  # the highest revision that was sent
    newest: dict[Item, str] = field(default_factory=dict)  # the event of the message with the highest revision
    read: int = 0
    did: Counter[str] = field(default_factory=Counter)

    def step(self) -> None:
        acts = (self.post, self.delete, self.ask, self.take_back, self.stop, self.kill)
        act = self.rng.choices(acts, (50, 18, 20, 7, 3, 2))[0]
        act()
        self.look()

    def post(self) -> None:
        """Posts or changes a picture; half of the changes state a revision, some a lower one than before."""
        media, lane = f"m{self.rng.randrange(IDS)}", self.rng.choice(("live", "backfill"))
        expected = self.items["platform", media]
        said: dict[str, Any] = {}
        if self.rng.random() < 0.5:
            said["revision"] = max(1, expected.stated + self.rng.choice((-1, 0, 1, 2)))
        event = self._send("created" if expected.event is None else "updated", media, lane, said)
        if said.get("revision", expected.stated) >= expected.stated:
            expected.event, expected.deleted_at = event, 0.0
            expected.stated = max(expected.stated, said.get("revision", 0))
        self.did[f"post, {lane}"] += 1

    def delete(self) -> None:
        media, lane = f"m{self.rng.randrange(IDS)}", self.rng.choice(("live", "backfill"))
        self._send("deleted", media, lane, {})
        self._is_gone(("platform", media))
        self.did[f"delete, {lane}"] += 1

    def take_back(self) -> None:
        """Deletes a picture that was asked about."""
        media = f"m{self.rng.randrange(IDS)}"
        assert self._call("DELETE", f"/v1/media/{media}").status_code == 204
        self._is_gone(("api", media))
        self.did["delete, asked"] += 1

    def _is_gone(self, item: Item) -> None:
        deleted_at = time.monotonic()
        self.look()
        self.items[item] = Expected(deleted_at=deleted_at, floor=self.told[item])
        assert self._shown(item) is None, "it is shown after its deletion was acknowledged"

    def ask(self) -> None:
        """Asks about a picture of the same ids, as the other source."""
        media = f"m{self.rng.randrange(IDS)}"
        body = {"id": media, "url": self.at.photo(self.rng)}
        answer = self._call("POST", "/v1/images?wait=0", json=body)
        assert answer.status_code in (200, 202), answer.text
        self.items["api", media].event, self.items["api", media].deleted_at = answer.json()["event"], 0.0
        self.did["ask, interactive"] += 1

    def stop(self) -> None:
        """One worker stands still for a while, past its lease."""
        self.second.suspend()
        time.sleep(self.rng.uniform(0, 2 * faults.LEASE_SECONDS))  # the moment is what is tried
        self.second.resume()
        self.did["stop"] += 1

    def kill(self) -> None:
        worker = faults.worker(self.at)
        if worker is not None:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
            self.did["kill"] += 1

    def look(self) -> None:
        """Reads every delivery since the last look."""
        while self.read < len(self.at.web.received):
            posted = self.at.web.received[self.read]
            self.read += 1
            data = json.loads(posted.body)["data"]
            item: Item = (data["source"], data["media"]["id"])
            expected, revision = self.items[item], data["revision"]
            deleted = expected.deleted_at
            assert not deleted or posted.at <= deleted, f"{item} was told of {posted.at - deleted:.3f} s after it went"
            assert deleted or revision > expected.floor, f"{item}: revision {revision} of before its deletion"
            if revision >= self.told[item]:
                self.told[item], self.newest[item] = revision, data["event"]

    def be_quiet(self) -> None:
        """Waits until every picture shows the newest event of it, and the platform was told of it last."""
        for item, expected in list(self.items.items()):
            until(partial(self._shows, item, expected.event), f"{item} is decided", 180)
            if expected.event is not None:
                until(partial(self._told, item, expected.event), f"{item} is told of", 180)
        self.look()
        self.did["quiet"] += 1

    def _shows(self, item: Item, event: str | None) -> bool:
        return self._shown(item) == event

    def _told(self, item: Item, event: str) -> bool:
        self.look()
        return self.newest.get(item) == event

    def _send(self, kind: str, media: str, lane: str, said: dict[str, Any]) -> str:
        """Sends an event until it is acknowledged; its id."""
        event = {"schema": "assent.event/1", "type": f"media.{kind}", "author": "a", **said}
        event["media"] = [{"id": media, "url": self.at.photo(self.rng)}]
        delivery = f"msg_{uuid4().hex}"
        while True:
            with suppress(httpx2.TransportError):
                answer = self.at.house.post(delivery, event, lane=lane)
                if answer.status_code == 202:
                    return str(answer.json()["event"])
                assert answer.status_code in (429, 503), answer.text
            time.sleep(0.05)  # at the pace at which a source may send

    def _shown(self, item: Item) -> str | None:
        answer = self._call("GET", f"/v1/media/{item[1]}?source={item[0]}")
        assert answer.status_code in (200, 404), answer.text
        return str(answer.json()["event"]) if answer.status_code == 200 else None

    def _call(self, method: str, path: str, **what: Any) -> httpx2.Response:
        while True:
            with suppress(httpx2.TransportError):
                answer = self.at.house.client.request(
                    method, self.at.house.url + path, headers=self.at.house.headers, **what
                )
                if answer.status_code not in (429, 503):
                    return answer
            time.sleep(0.05)


def run(data: Path, steps: int, figure: Figure) -> None:
    with site(data) as at, second_worker(at) as second:
        print(f"seed {SEED + steps}")  # noqa: T201 - shown where the test fails
        machine = Machine(at, second, random.Random(SEED + steps))
        for number in range(1, steps + 1):
            machine.step()
            if number % QUIET_EVERY == 0:
                machine.be_quiet()
        machine.be_quiet()
        at.house.run("audit", "verify")
    did = ", ".join(f"{name} {count}" for name, count in sorted(machine.did.items()))
    highest = max(machine.told.values())
    figure(f"{steps} steps, seed {SEED + steps} ({did}): {machine.read} deliveries, revisions up to {highest}")
    assert machine.did["delete, live"]
    assert machine.did["delete, backfill"]


@pytest.mark.timeout(300)
def test_a_short_life(open_folder: Path, figure: Figure) -> None:
    run(open_folder / "lives-60", 60, figure)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("steps", [2_000])
def test_long_lives(open_folder: Path, figure: Figure, steps: int) -> None:
    run(open_folder / f"lives-{steps}", steps, figure)
