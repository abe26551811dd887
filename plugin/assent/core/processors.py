"""Tells what this process may use of the machine's processors."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP, _CPUINFO = Path("/proc/self/cgroup"), Path("/proc/cpuinfo")


def usable_processors() -> int:
    """Returns how many processors this process may run on, at least 1, by its affinity mask and its cgroup's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota(_CGROUPS, _OWN_CGROUP))))


def has_avx(cpuinfo: Path = _CPUINFO) -> bool:
    """Tells whether the processor has AVX; True where it is none of Intel's kind, or where the system does not say."""
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.exists():
        return True
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    return "avx" in flags.split()


def _quota(cgroups: Path, own: Path) -> float:
    """Returns the least quota of this process's cgroup (version 2) and those above it, infinity without one."""
    try:
        path = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return math.inf
    folder = cgroups / path.lstrip("/")
    return min(map(_quota_of, [folder, *(above for above in folder.parents if above.is_relative_to(cgroups))]))


def _quota_of(cgroup: Path) -> float:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # "max", or the root's, which has none
        return math.inf
