"""The bench's own measures: turns are fair, quantiles are values, and a stall counts for all whom it kept waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from assent.perceive import perceive
from assent.perceive.networks.runtime import Net
from tests.bench.perception import Clock, ClockedModels
from tests.bench.rounds import in_turn, quantile, ratio
from tests.bench.sender import Answer, Order, Stream, send
from tests.unit.perceive_photos import models, photo, picture

RATE, COUNT, STALL_S = 200, 120, 0.3


def test_cases_take_turns_and_each_is_first_in_its_round() -> None:
    order: list[str] = []
    ticks: list[None] = []
    cases = {name: (lambda name=name: order.append(name)) for name in "abc"}
    seconds = in_turn(cases, rounds=3, tick=lambda: ticks.append(None))
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(took) for name, took in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    assert len(ticks) == 12


def test_quantiles_are_values_that_were_seen() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1.0)) == (50, 99, 100)
    assert quantile([7.0], 0.99) == 7


def test_a_ratio_is_taken_within_each_round() -> None:
    slow_machine_in_the_second = ([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])
    assert ratio(*slow_machine_in_the_second) == pytest.approx(2)


def test_every_network_that_perceive_runs_is_clocked(tmp_path: Path) -> None:
    loaded = models(tmp_path)
    assert loaded.heads
    ours = ClockedModels(loaded)
    assert all(isinstance(net.session, Clock) for net in nets(ours.models))
    perceive(ours.models, [picture(photo("astronaut.png"))])
    assert min(clock.spent for clock in ours.clocks) > 0


def nets(value: Any) -> Iterator[Net]:
    """Every network in it, however deep."""
    if isinstance(value, Net):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from nets(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from nets(getattr(value, field.name))


def test_a_stall_is_counted_for_everyone_who_was_due_meanwhile() -> None:
    answers = asyncio.run(stalled())
    assert [answer.status for answer in answers] == [202] * COUNT
    waited = sum(answer.ms > 100 for answer in answers)
    # Due within the first 0.2 s of the stall of 0.3 s: 40 at 200 a second. A sender that waits for each answer before
    # it sends the next would show one.
    assert waited >= 0.9 * RATE * (STALL_S - 0.1)


async def stalled() -> list[Answer]:
    """Posts to a server that answers at once, but stands still for a while at the twentieth request."""
    requests = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        with suppress(asyncio.IncompleteReadError):  # the sender is done
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                requests += 1
                if requests == 20:
                    time.sleep(STALL_S)  # the whole server stands still
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/webhooks/x"
        order = Order([Stream(url, "whsec_" + "A" * 32, "standard")], "s", ["http://a/b"], [], RATE, COUNT)
        return await asyncio.to_thread(lambda: asyncio.run(send(order)))
