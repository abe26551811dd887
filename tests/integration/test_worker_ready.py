"""`assent serve` counts its worker as running from when it was ready, not from when its process began."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from assent.cli.server import _WorkerSupervisor
from assent.core.settings import Settings
from tests.command import environment_of
from tests.waiting import until


def test_a_worker_that_dies_before_it_is_ready_never_runs(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSENT_POLICY", str(tmp_path / "missing.yaml"))
    supervisor, lives, running = _WorkerSupervisor(), set[int](), set[bool]()

    def look() -> bool:
        running.add(supervisor.is_running())
        for child in psutil.Process().children():
            with suppress(psutil.Error):  # it has just died
                lives.update([child.pid] if "worker" in child.cmdline() else [])
        return len(lives) > 1  # the first one has died

    with supervisor:
        until(look, "another worker is started", 60)
    assert running == {False}
