"""A platform's book: what it sent and what was acknowledged, held against what came of it.

Every acknowledged picture must have exactly one decision, one leaf of the audit log and one accepted delivery; one
that was never acknowledged may have one (the answer was lost on its way) or none, but never two.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.house import House
from tests.waiting import until
from tests.web import Web

REFUSED = 503  # the only answer beside 202 that an event may get while something is broken


@dataclass
class Ledger:
    """What the platform knows. Pictures are told apart by their id; each is sent in one event of its own."""

    acknowledged: dict[str, str] = field(default_factory=dict)  # picture → event
    given_up: set[str] = field(default_factory=set)  # sent, and never answered with 202
    answers: Counter[str] = field(default_factory=Counter)  # statuses, or what kept an answer from coming


@dataclass(frozen=True)
class Balance:
    """What was found. `repeated` deliveries were recognised by their webhook-id."""

    acknowledged: int
    decisions: int
    leaves: int
    deliveries: int
    repeated: int
    unacknowledged: int

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} events acknowledged, {self.decisions} decisions, {self.leaves} leaves, "
            f"{self.deliveries} deliveries accepted, {self.repeated} repeated; "
            f"{self.unacknowledged} decided whose answer was lost"
        )


def send(
    house: House, ledger: Ledger, picture: str, url: str, *, patience: float = 60, stop: threading.Event | None = None
) -> None:
    """Posts the picture's event, under one webhook-id, until it is acknowledged or patience (seconds) ends."""
    body = {
        "schema": "assent.event/1",
        "type": "media.created",
        "media": [{"id": picture, "url": url}],
        "author": "a",
    }
    pause = stop or threading.Event()
    ledger.given_up.add(picture)
    deadline = time.monotonic() + patience
    while True:
        answer = _post(house, picture, body)
        ledger.answers[answer if isinstance(answer, str) else str(answer.status_code)] += 1
        if not isinstance(answer, str) and answer.status_code == 202:
            ledger.acknowledged[picture] = answer.json()["event"]
            ledger.given_up.discard(picture)
            return
        if time.monotonic() > deadline or pause.wait(0.1):
            return


def _post(house: House, picture: str, body: dict[str, Any]) -> httpx2.Response | str:
    try:
        return house.post(f"msg_{picture}", body)
    except httpx2.TransportError:
        return "no answer"


def balance(house: House, web: Web, ledger: Ledger, folder: Path, seconds: float = 120) -> Balance:
    """Waits until every acknowledged picture was delivered, then holds all books against each other; asserts.

    `folder` takes the export of the audit log.
    """
    missing = ledger.acknowledged.keys()
    until(
        lambda: missing <= {told["media"]["id"] for told in accepted(web).values()},
        f"all of {len(missing)} acknowledged pictures are delivered",
        seconds,
        0.1,
    )
    house.run("audit", "verify")
    leaves = decision_leaves(house, folder / "export.jsonl")
    found = {picture: decision(house, picture) for picture in ledger.acknowledged.keys() | ledger.given_up}
    decided = {picture: said for picture, said in found.items() if said is not None}
    deliveries = list(accepted(web).values())
    told = Counter(said["media"]["id"] for said in deliveries)

    assert set(ledger.answers) <= {"202", str(REFUSED), "no answer"}, ledger.answers
    assert len(set(ledger.acknowledged.values())) == len(ledger.acknowledged)
    assert {picture: said["event"] for picture, said in decided.items() if picture in ledger.acknowledged} == (
        ledger.acknowledged
    )
    assert {said["revision"] for said in (*decided.values(), *deliveries)} <= {1}, "a picture was decided twice"
    assert sorted(said["audit"]["leaf"] for said in decided.values()) == leaves, "decisions and leaves differ"
    assert told.keys() <= decided.keys(), "delivered, but not decided"
    assert set(told.values()) <= {1}, "accepted twice"
    assert all(said["event"] == decided[said["media"]["id"]]["event"] for said in deliveries)
    return Balance(
        acknowledged=len(ledger.acknowledged),
        decisions=len(decided),
        leaves=len(leaves),
        deliveries=len(deliveries),
        repeated=len(web.received) - len(deliveries),
        unacknowledged=len(decided.keys() & ledger.given_up),
    )


def accepted(web: Web) -> dict[str, dict[str, Any]]:
    """The decisions as a receiver keeps them: of the first delivery of each webhook-id."""
    kept: dict[str, dict[str, Any]] = {}
    for posted in list(web.received):
        kept.setdefault(posted.headers["webhook-id"], json.loads(posted.body)["data"])
    return kept


def decision(house: House, picture: str) -> dict[str, Any] | None:
    """What `GET /v1/media/{id}` says, or None where there is no decision."""
    found: list[httpx2.Response] = []

    def answered() -> bool:
        found[:] = [house.get(f"/v1/media/{picture}")]
        return found[0].status_code in (200, 404)  # else: too many of us at once

    until(answered, f"the decision on {picture} is told")
    if found[0].status_code == 404:
        return None
    said: dict[str, Any] = found[0].json()
    return said


def decision_leaves(house: House, file: Path) -> list[int]:
    """The numbers of the leaves that are decisions, from an export that verifies."""
    house.run("audit", "export", str(file))
    house.run("audit", "verify", str(file))
    lines = file.read_text().splitlines()[1:]
    return [n for n, line in enumerate(lines) if json.loads(base64.b64decode(line))["action"] == "media.decided"]
