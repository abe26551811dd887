"""The tests of this folder are kept from what is slow: processes, databases, models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assent.perceive.packs.manifest import Role, locate, read_pack
from tests.unit.guarding import refuse_shared
from tests.unit.small_nets import net

STARTS: dict[str, Callable[[], object]] = {
    "subprocess": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "system": lambda: os.system("true"),  # noqa: S605, S607 - refused
    "fork": os.fork,
    "spawn": lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_child_process_is_refused(start: Callable[[], object]) -> None:
    with pytest.raises(pytest.fail.Exception, match="tests/unit starts no process"):
        start()


@pytest.mark.parametrize("role", ["safety", "embedder", "landmarks"])
def test_a_shipped_model_is_refused_and_one_of_the_tests_own_is_not(tmp_path: Path, role: Role) -> None:
    with pytest.raises(pytest.fail.Exception, match="tests/unit opens no real model"):
        locate(read_pack("embedded").one(role)).read_bytes()
    (tmp_path / "small.onnx").write_bytes(net(["n", 3, 8, 8], 2))
    assert (tmp_path / "small.onnx").read_bytes()


def test_what_needs_a_database_a_pack_or_the_decode_child_is_refused() -> None:
    refuse_shared(["tmp_path", "figure"])
    with pytest.raises(pytest.fail.Exception, match="asks for no decoder and no models and no server_url"):
        refuse_shared(["tmp_path", "server_url", "pool", "models", "decoder"])


def test_a_thread_of_a_test_is_kept_too() -> None:
    with ThreadPoolExecutor(1) as threads, pytest.raises(pytest.fail.Exception, match="starts no process"):
        threads.submit(STARTS["subprocess"]).result(10)
