"""The gallery's processes write nowhere but in memory: seen by strace from their first breath to their last."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assent.gallery.memory import connect_gallery, reconcile
from tests.fixtures.figures import Figure
from tests.installed import need
from tests.integration import holder
from tests.integration.world import World, ask
from tests.people import strangers

CALLS = "open,openat,openat2,creat,execve,clone,clone3,fork,vfork,chdir"
BORN = re.compile(r"(?:clone3?|v?fork)\(.*\) = (\d+)$")
WRITES = ("O_WRONLY", "O_RDWR", "O_CREAT", "creat(")


@pytest.fixture
def strace(tmp_path: Path) -> list[str]:
    path = shutil.which("strace")
    if path is None:
        need("strace is not installed")
    return [str(path), "-ff", "-qq", "-y", "-e", f"trace={CALLS}", "-o", str(tmp_path / "trace")]


def test_the_gallery_writes_in_memory_alone(
    strace: list[str], tmp_path: Path, open_folder: Path, world: World, figure: Figure
) -> None:
    memory, data = Path("/dev/shm"), open_folder / "traced"  # noqa: S108 - memory
    if not memory.is_dir():
        need("there is no /dev/shm")
    command = [*strace, sys.executable, holder.__file__, "gallery", str(data), str(memory)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            url = holder.first_line(process)
            people = [world.opt_in(f"person {n}", face, scope="anyone") for n, face in enumerate(strangers(500))]
            with connect_gallery(url) as gallery:
                assert reconcile(world.primary_database, gallery, world.keystore).inserted == len(people)
                found = ask(gallery, strangers(500)[:8], anyone=True)
                assert [near[0].pseudonym for near in found.faces] == [person.pseudonym for person in people[:8]]
                gallery.execute("SELECT * FROM template ORDER BY embedding::text, random()")  # a sort of all of them
                world.withdraw(people[0])
                assert reconcile(world.primary_database, gallery, world.keystore).deleted == 1
            assert process.communicate("", timeout=60)[0] == "done\n"
        finally:
            process.kill()
    traces = {int(file.suffix[1:]): file.read_text() for file in tmp_path.glob("trace.*")}
    servers = _with_children(traces, [pid for pid, text in traces.items() if re.search(r'execve\(".*/postgres"', text)])
    opened = [entry for pid in servers for entry in _opened_to_write(traces[pid])]
    outside = sorted({path for path in opened if not path.startswith(f"{memory}/") and path != "/dev/null"})
    said = f"{len(servers)} processes of the gallery opened {len(opened)} files to write"
    figure(f"{said}: {len(outside)} outside of memory")
    assert len(servers) > 5
    assert len(opened) > 100
    assert not outside


def _with_children(traces: dict[int, str], pids: list[int]) -> set[int]:
    everyone: set[int] = set()
    while pids:
        pid = pids.pop()
        if pid in traces and pid not in everyone:
            everyone.add(pid)
            pids += [int(born[1]) for born in map(BORN.search, traces[pid].splitlines()) if born]
    return everyone


def _opened_to_write(trace: str) -> Iterator[str]:
    """The paths, as the kernel resolved them (strace -y shows them behind the descriptor)."""
    for line in trace.splitlines():
        resolved = re.search(r"\) = \d+<(.*)>", line)
        if resolved and line.startswith(("open", "creat")) and any(word in line for word in WRITES):
            yield resolved[1]
