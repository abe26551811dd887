"""Thousands of acts at platforms that fail three times in ten, under a clock of the test's own: none is lost, and none
is done twice."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest

from assent.db.pool import transaction
from assent.outbox.actions import retry_actions
from tests.acting import Acting
from tests.fixtures.figures import Figure
from tests.platform_api import Api, Fault
from tests.web import Answer

FAULTS, SEED = 0.3, 20261127
RESTING = "the platform asked for a pause"
HTML = Answer(200, {"content-type": "text/html"}, b"<!DOCTYPE html>")
# Refused, or done without saying so.
BAD = [
    *(Fault(answer) for answer in (Answer(500), Answer(503), Answer(429, {"retry-after": "20"}), Answer(401), HTML)),
    Fault(Answer(302, {"location": "http://127.0.0.1:9/"})),
    Fault(Answer(raw=b"")),
    *(Fault(answer, took_effect=True) for answer in (Answer(raw=b""), Answer(500), Answer(502, body=b"<html>"), HTML)),
]


def faults(given: Counter[bool]) -> Iterator[Fault | None]:
    rng = random.Random(SEED)
    while True:
        fault = rng.choice(BAD) if rng.random() < FAULTS else None
        given[fault is not None] += 1
        yield fault


def run(acting: Acting, due: list[tuple[float, UUID]], sources: dict[UUID, str]) -> None:
    """The worker's loop, under a clock that jumps to what is due next; a platform that rests is left alone by all."""
    began, rests = acting.now, dict.fromkeys(sources.values(), 0.0)
    while due:
        at, action_id = heapq.heappop(due)
        source = sources[action_id]
        if at < rests[source]:  # as `queue_due_actions` brings nothing of a platform that rests
            heapq.heappush(due, (rests[source], action_id))
            continue
        acting.now = max(acting.now, began.fromtimestamp(at, began.tzinfo))
        outcome = acting.attempt(action_id)
        if outcome.next_at is not None:
            heapq.heappush(due, (outcome.next_at.timestamp(), action_id))
        if outcome.because == RESTING and outcome.next_at is not None:
            rests[source] = outcome.next_at.timestamp()


def work(acting: Acting) -> int:
    """Attempts all that is due, and has the operator try again what was given up; returns how often that was."""
    given_up = 0
    while True:
        with transaction(acting.pool) as conn:
            rows = conn.execute("SELECT next_at, id, source FROM platform_action WHERE next_at IS NOT NULL").fetchall()
        due = [(at.timestamp(), action_id) for at, action_id, _ in rows]
        heapq.heapify(due)
        run(acting, due, {action_id: source for _, action_id, source in rows})
        with transaction(acting.pool) as conn:
            again = retry_actions(conn, "default", None)
        given_up += len(again)
        if not again:
            return given_up


@pytest.mark.parametrize("acts", [60, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(3600)
def test_nothing_is_lost_and_nothing_is_done_twice(acting: Acting, api: Api, acts: int, figure: Figure) -> None:
    given: Counter[bool] = Counter()
    for n in range(acts):
        if n % 2:
            acting.decide("social", f"status/{n}/1", ["report"], author=str(n % 500))
        else:
            acting.decide("forum", f"post/{n + 1}/1", ["delete" if n % 4 else "hide"])
    api.faults = faults(given)
    given_up = work(acting)
    assert acting.states() == ["done"] * acts
    reported = Counter(status for report in api.reports for status in report["status_ids"])
    assert (len(reported), set(reported.values())) == (acts // 2, {1})
    flagged = Counter(name for name, _, _ in api.flags)
    assert (len(flagged), set(flagged.values())) == (len(range(0, acts, 4)), {1})
    assert sum(bool(post["deleted_at"]) for post in api.posts.values()) == len(range(2, acts, 4))
    assert 0.25 < given[True] / given.total() < 0.35
    figure(
        f"{acts} acts, 0 lost, 0 twice: {given[True]} faults in {given.total()} requests, {given_up} were given up and"
        " tried again"
    )
