"""Nothing grows with the pictures: no descriptor, no process, no memory, in the worker or in the fork server."""

from __future__ import annotations

from contextlib import suppress
from itertools import cycle, islice

import psutil
import pytest

from assent.core.errors import AssentError
from assent.media.sandbox import CHILDREN, Decoder
from tests.adversarial.generate import valid
from tests.fixtures.figures import Figure
from tests.sandbox.children import child_of, server_of
from tests.unit.picture_files import samples, wide_gamut

GROWTH = 30_000_000  # bytes


def files() -> list[bytes]:
    """Every format, a broken file, a file that is none, and one with a profile of a stranger's."""
    sound = list(samples().values())
    return [*sound, sound[0][:-40], b"%PDF", samples()["png"][:33] + wide_gamut()]


def state(decoder: Decoder) -> tuple[int, int, int, int]:
    worker, server = psutil.Process(), server_of(decoder)
    return worker.num_fds(), server.num_fds(), worker.memory_info().rss, server.memory_info().rss


def decoded(decoder: Decoder, count: int, tenants: int) -> None:
    for n, data in enumerate(islice(cycle(files()), count)):
        with suppress(AssentError):
            decoder.decode(data, f"tenant {n // len(files()) % tenants}")


def is_steady(count: int) -> str:
    with Decoder(codes=True) as decoder:
        decoded(decoder, 100, CHILDREN + 2)
        before = state(decoder)
        decoded(decoder, count, CHILDREN + 2)
        after = state(decoder)
        assert after[:2] == before[:2]
        assert after[2] - before[2] < GROWTH
        assert after[3] - before[3] < GROWTH
        assert len(server_of(decoder).children()) <= CHILDREN + 1  # and the first of their PID namespace
        decoder.decode(samples()["png"])
        assert child_of(decoder).memory_info().rss < 150_000_000
    return f"{count} pictures: worker {after[2] - before[2]:+,} bytes, fork server {after[3] - before[3]:+,} bytes"


def test_two_hundred_pictures_leave_nothing_behind() -> None:
    is_steady(200)


@pytest.mark.slow
def test_ten_thousand_pictures_leave_nothing_behind(figure: Figure) -> None:
    figure(is_steady(10_000))


def test_each_tenant_has_a_child_of_its_own() -> None:
    with Decoder() as decoder:
        for tenant in ("a", "b", "a"):
            decoder.decode(samples()["png"], tenant)
        assert child_of(decoder, "a").pid != child_of(decoder, "b").pid
        first = child_of(decoder, "a").pid
        for n in range(CHILDREN):
            decoder.decode(samples()["png"], f"other {n}")
        decoder.decode(samples()["png"], "a")
        assert child_of(decoder, "a").pid != first  # it had ended for another tenant's


def test_every_sound_picture_of_the_generator_decodes(decoder: Decoder) -> None:
    for name, data in valid().items():
        assert decoder.decode(data).frames, name
