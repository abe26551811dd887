"""Processors: threads by what this process may use, and dlib refused, before its import, where it would be fatal."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from assent.core import processors
from assent.core.host_errors import ProcessorUnsupported
from assent.core.processors import has_avx, usable_processors
from assent.core.settings import Settings
from assent.perceive.faces import dlib_library


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a cgroup `service/worker`, without quotas, on a machine of 64 processors."""
    folder = tmp_path / "cgroup"
    (folder / "service" / "worker").mkdir(parents=True)
    (folder / "service" / "worker" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "own").write_text("0::/service/worker\n")
    monkeypatch.setattr(processors, "_CGROUPS", folder)
    monkeypatch.setattr(processors, "_OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    return folder / "service"


def test_a_process_bound_to_one_processor_has_one_thread() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, [min(before)])
        assert Settings().threads == usable_processors() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_least_quota_above_counts(cgroups: Path) -> None:
    assert usable_processors() == 64
    (cgroups / "cpu.max").write_text("250000 100000\n")
    assert usable_processors() == 3
    (cgroups / "worker" / "cpu.max").write_text("20000 100000\n")
    assert usable_processors() == 1


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX is Intel's")
def test_dlib_is_refused_without_avx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu sse2 sse4_2 avx2\n\n")
    assert not has_avx(info)
    monkeypatch.setattr(dlib_library, "has_avx", lambda: has_avx(info))
    with pytest.raises(ProcessorUnsupported, match="AVX"):
        dlib_library.load_dlib.__wrapped__()
    info.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx avx2\n\n")
    assert dlib_library.load_dlib.__wrapped__().__name__ == "dlib"
