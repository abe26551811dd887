"""Lines that are logged again and again are left out, and counted; others are written."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from assent.core.host_errors import MetricsUnavailable
from assent.core.telemetry import LINES_A_MINUTE, Repeats, serve_metrics

# As asyncio reports that it may accept nothing more, as uvicorn reports an error, and as we do.
FLOOD = """
import asyncio, logging
from assent.core.telemetry import configure, log
configure("info")
loop = asyncio.new_event_loop()
for n in range(5000):
    loop.call_exception_handler({"message": f"accept() {n}", "exception": OSError(24, "Too many open files")})
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=ValueError(str(n)))
    log.warning("webhook ignored", n=n)
log.warning("something else")
loop.close()
"""


def test_of_lines_of_one_kind_a_minute_has_so_many_and_the_next_tells_how_many_were_left_out() -> None:
    now = 1000.0
    repeats = Repeats(lambda: now)
    admitted = [repeats.admit("a") for _ in range(LINES_A_MINUTE + 5)]
    assert admitted == [0] * LINES_A_MINUTE + [None] * 5
    assert repeats.admit("b") == 0
    now += 60
    assert [repeats.admit("a"), repeats.admit("a")] == [5, 0]
    now += 60
    assert repeats.admit("a") == 0


def test_a_flood_of_lines_leaves_a_log_that_is_small_and_says_everything_once() -> None:
    ended = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True)
    assert len(ended.stderr) < 100_000
    assert ended.stderr.count("Exception in ASGI application") == LINES_A_MINUTE
    assert ended.stderr.count("accept() ") == LINES_A_MINUTE
    assert ended.stderr.count("webhook ignored") == LINES_A_MINUTE
    assert ended.stderr.count("something else") == 1


def test_metrics_on_a_port_that_is_taken_are_refused_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MetricsUnavailable, match=f"127.0.0.1, port {port}: Address already in use"):
            serve_metrics("127.0.0.1", port)
