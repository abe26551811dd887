"""Who is fetched when, and who has the models next: places by host, hosts that drip, turns by priority."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from threading import Event, Thread

import pytest

from assent.core.errors import FetchMissing
from assent.db.queue import INTERACTIVE, PICTURES, SLOW
from assent.worker import fetching
from assent.worker.fetching import Fetched, Fetches, FetchWay, HostSlow
from assent.worker.turns import Turns
from tests.unit.wire_server import WireServer, answer
from tests.waiting import until


def started(work: Callable[[], object]) -> Thread:
    thread = Thread(target=work)
    thread.start()
    return thread


def test_a_host_has_half_of_the_places_and_leaves_the_others_free() -> None:
    places, entered = Turns(4, 2), Event()

    def enter(host: str) -> None:
        with places.turn(0, "club", host):
            entered.set()

    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(places.turn(0, "club", "drips.example"))
        third = started(lambda: enter("drips.example"))
        for host in ("a.example", "b.example"):
            with places.turn(0, "club", host):
                assert not entered.is_set()
    third.join(20)
    assert entered.is_set()


def test_no_more_places_are_taken_than_there_are() -> None:
    places, entered = Turns(2, 1), Event()

    def enter() -> None:
        with places.turn(0, "third", "c.example"):
            entered.set()

    with places.turn(0, "club", "a.example"):
        with places.turn(0, "other", "b.example"):
            third = started(enter)
            assert not entered.wait(0.1)
        third.join(20)
        assert entered.is_set()


def test_the_highest_priority_has_the_next_turn_and_then_who_came_first() -> None:
    turns, order = Turns(1), list[str]()

    def take(priority: int, name: str) -> None:
        with turns.turn(priority, "club"):
            order.append(name)

    threads = []
    with turns.turn(0, "club"):
        for n, (priority, name) in enumerate([(0, "backfill"), (50, "live"), (50, "later"), (100, "interactive")]):
            threads.append(started(lambda priority=priority, name=name: take(priority, name)))  # type: ignore[misc]
            until(lambda n=n: len(turns._waiting) == n + 1, "it waits")  # type: ignore[misc]
    for thread in threads:
        thread.join(20)
    assert order == ["interactive", "live", "later", "backfill"]


def test_one_turn_is_left_for_another_tenant() -> None:
    turns, entered = Turns(3), Event()

    def enter() -> None:
        with turns.turn(100, "a"):
            entered.set()

    with turns.turn(0, "a"), ExitStack() as second:
        second.enter_context(turns.turn(0, "a"))
        third = started(enter)
        until(lambda: len(turns._waiting) == 1, "it waits")
        for other in ("b", "c"):
            with turns.turn(0, other):
                assert not entered.is_set()
        second.close()
        third.join(20)
    assert entered.is_set()


@pytest.mark.parametrize("places", [1, 3])
def test_of_tenants_who_wait_the_one_with_the_fewest_turns_has_the_next(places: int) -> None:
    turns, order, others = Turns(places), list[str](), ("b", "c", "b")
    first = ["a", "a", "d"][:places]

    def take(tenant: str, go_on: Event) -> None:
        with turns.turn(0, tenant):
            order.append(tenant)
            go_on.wait(20)

    goes = [Event() for _ in range(places + 6 + len(others))]
    threads = []
    for n, (tenant, go_on) in enumerate(zip(first + ["a"] * 6 + list(others), goes, strict=True)):
        threads.append(started(partial(take, tenant, go_on)))
        until(lambda n=n: len(order) + len(turns._waiting) == n + 1, "it waits")  # type: ignore[misc]
    for n, go_on in enumerate(goes[:places]):
        go_on.set()
        until(lambda n=n: len(order) == places + n + 1, "the next has its turn")  # type: ignore[misc]
    for go_on in goes:
        go_on.set()
    for thread in threads:
        thread.join(20)
    assert order[:places] == first
    assert order[places] == "b"  # first of all that wait, though it came last but two
    assert order[places : places + 4].count("a") <= 2
    assert not turns._tenants
    assert not turns._hosts


class Host:
    """A server that drips a picture of 12 bytes until it is told to be quick, and a worker's fetches from it."""

    def __init__(self) -> None:
        self.fetches, self.quick = Fetches(), False
        self.server = WireServer(self._answer, pause=0.05)

    def _answer(self, _: bytes) -> Iterable[bytes]:
        head, body = answer(b"twelve bytes")
        return [head + body] if self.quick else [head, *(body[n : n + 1] for n in range(len(body)))]

    def fetched(self, queue: str, took: list[float] | None = None) -> Fetched | None:
        took = [] if took is None else took
        with self.fetches.fetched(queue, "club", self.server.url(), FetchWay(self.server.allowed()), took) as outcome:
            return outcome


def has_accepted(server: WireServer, count: int) -> bool:
    return server.accepted == count


def test_a_host_that_drips_is_left_to_the_slow_queue_until_it_is_quick_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    with host.server as server:
        monkeypatch.setattr(fetching, "PATIENCE_S", 0.2)
        with pytest.raises(HostSlow) as slow:
            host.fetched(PICTURES)
        assert slow.value.strikes == 1
        until(partial(has_accepted, server, 1), "the host was asked")
        for queue in (PICTURES, INTERACTIVE):
            with pytest.raises(HostSlow):
                host.fetched(queue)
        assert server.accepted == 1
        assert host.fetched(SLOW) == b"twelve bytes"
        with pytest.raises(HostSlow) as slow:
            host.fetched(PICTURES)
        assert (slow.value.strikes, server.accepted) == (2, 2)
        host.quick = True
        monkeypatch.setattr(fetching, "PATIENCE_S", 20)
        assert host.fetched(SLOW) == host.fetched(PICTURES) == b"twelve bytes"


def test_for_a_minute_only(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    with host.server as server:
        monkeypatch.setattr(fetching, "PATIENCE_S", 0.2)
        monkeypatch.setattr(fetching, "SLOW_FOR_S", 0.0)
        for asked in (1, 2):
            with pytest.raises(HostSlow) as slow:
                host.fetched(PICTURES)
            assert slow.value.strikes == 1
            until(partial(has_accepted, server, asked), "the host was asked again")


def test_an_event_that_fetched_long_enough_is_left_to_the_slow_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[float] = []
    dripping = [Host() for _ in range(3)]  # none was seen before
    with ExitStack() as servers:
        for host in dripping:
            servers.enter_context(host.server)
        monkeypatch.setattr(fetching, "PATIENCE_S", 0.2)
        monkeypatch.setattr(fetching, "BUDGET_S", 0.4)
        for host in dripping:
            with pytest.raises(HostSlow):
                host.fetched(PICTURES, took)
        assert (len(took), dripping[2].server.accepted) == (2, 0)
        dripping[2].quick = True
        with pytest.raises(HostSlow) as slow:
            dripping[2].fetched(INTERACTIVE, took)
        assert (slow.value.strikes, dripping[2].server.accepted) == (1, 0)
        assert dripping[2].fetched(SLOW, took) == dripping[2].fetched(PICTURES) == b"twelve bytes"


def test_an_event_that_is_over_its_budget_waits_for_no_place() -> None:
    host = Host()
    with host.server as server, ExitStack() as held:
        places = host.fetches._places[PICTURES]
        for n in range(fetching.PLACES[PICTURES]):
            held.enter_context(places.turn(0, f"club {n}", f"{n}.example"))
        with pytest.raises(HostSlow):
            host.fetched(PICTURES, [fetching.BUDGET_S])
        assert server.accepted == 0


def test_a_quick_refusal_is_an_outcome() -> None:
    with WireServer(lambda _: answer(b"", "404 Not Found")) as server:
        with Fetches().fetched(PICTURES, "club", server.url(), FetchWay(server.allowed()), []) as outcome:
            assert isinstance(outcome, FetchMissing)
        with Fetches().fetched(PICTURES, "club", None, FetchWay(()), []) as outcome:
            assert outcome is None
