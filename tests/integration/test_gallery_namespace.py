"""The gallery's memory is its own: no other process sees it, no account shares it, and nothing survives its end.

Each server runs in a process of its own (`holder`), some of them in an installation that a container would be.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest

import assent
from assent.embedded import clusters
from assent.gallery.memory import connect_gallery
from tests.installed import need
from tests.integration.holder import first_line, holder, postmaster_of
from tests.waiting import until

NAMELESS = 54321  # a uid without an entry in the passwd file, as a container's `user:` may be
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become others")


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder / uuid4().hex[:8]


@pytest.fixture
def galleries(data_dir: Path) -> Path:
    if why := clusters.why_not_private(data_dir.parent):
        need(why)
    folder = data_dir.with_name(f"{data_dir.name}-memory")
    folder.mkdir(mode=0o711)
    return folder


@pytest.fixture
def nameless() -> Iterator[dict[str, Any]]:
    """How a process runs as the uid without an entry, in a home of its own."""
    packages = [str(Path(module.__path__[0]).parent) for module in (assent, psutil)]
    with tempfile.TemporaryDirectory(prefix="assent-test-") as home:
        os.chown(home, NAMELESS, NAMELESS)
        yield {
            "env": {"HOME": home, "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(packages)},
            "cwd": "/",
            "user": NAMELESS,
            "group": NAMELESS,
            "extra_groups": [],
        }


def python_of(options: dict[str, Any]) -> str:
    for path in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            command = [path, "-c", "import assent.embedded.clusters"]
            if subprocess.run(command, check=False, capture_output=True, **options).returncode == 0:
                return path
    pytest.skip("an ordinary user can run no Python of this version")


def processes_in(namespace: str) -> list[psutil.Process]:
    """The processes of a mount namespace."""
    inside = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.NoSuchProcess):
            if Path(f"/proc/{process.pid}/ns/mnt").readlink() == Path(namespace):
                inside.append(process)
    return inside


def fill(url: str, templates: int) -> None:
    with connect_gallery(url) as gallery:
        gallery.execute(
            "INSERT INTO template SELECT 'club', int4send(n), 'embedder', gen_random_uuid(), 1, 'anyone', now(), 0,"
            " array_fill((n %% 1000)::real, ARRAY[256])::halfvec FROM generate_series(1, %s) AS n",
            [templates],
        )


def shared_memory() -> int:
    """Bytes that lie in tmpfs or are shared, of the whole machine."""
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Shmem:"))
    return int(line.split()[1]) << 10


def test_no_other_process_sees_its_files_and_no_account_shares_it(data_dir: Path, galleries: Path) -> None:
    with holder("gallery", data_dir, galleries) as process:
        fill(first_line(process), 10)
        [home] = galleries.iterdir()
        server = postmaster_of(home / "pg")
        assert list((home / "pg").iterdir()) == []
        assert Path(f"/proc/{server.pid}/root{home}/pg/PG_VERSION").exists()
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        if os.geteuid() == 0:
            uid = server.uids().effective
            assert uid not in {user.pw_uid for user in pwd.getpwall() if user.pw_name != "assent"}
            theirs = [other for other in psutil.process_iter(["uids"]) if other.info["uids"].real == uid]
            assert server.pid in {other.pid for other in theirs}
            assert all(server.pid in (other.pid, other.ppid()) for other in theirs)
        assert process.communicate("")[0] == "done\n"
    assert list(galleries.iterdir()) == []


@pytest.mark.parametrize("templates", [2_000, pytest.param(260_000, marks=pytest.mark.slow)])
def test_nothing_survives_the_death_of_all_processes(data_dir: Path, galleries: Path, templates: int) -> None:
    with holder("gallery", data_dir, galleries) as killed:
        fill(first_line(killed), templates)
        [home] = galleries.iterdir()
        server = postmaster_of(home / "pg")
        namespace = str(Path(f"/proc/{server.pid}/ns/mnt").readlink())
        supervisor = [one for one in psutil.process_iter(["cmdline"]) if str(home) in (one.info["cmdline"] or [])]
        before = shared_memory()
        for process in (psutil.Process(killed.pid), *supervisor, *processes_in(namespace)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not processes_in(namespace), "the namespace is gone with its last process")
    left = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {
        *("gallery.alive", "gallery.held", "gallery.start", "gallery.supervisor"),
        *("pg.log", "pg.pid", "postgres.password", ".s.PGSQL.5432.lock"),
    }
    if templates > 100_000:  # of few the machine's other processes hide what was freed
        until(lambda: before - shared_memory() > templates * 512, "its memory is free again")
    with holder("gallery", data_dir, galleries) as again, connect_gallery(first_line(again)) as gallery:
        assert gallery.execute("SELECT count(*) FROM template").fetchone() == (0,)
    until(lambda: not list(galleries.iterdir()), "its folder is gone", 20)


@ROOT
@pytest.mark.parametrize("kind", ["postgres", "gallery"])
def test_a_user_without_an_entry(nameless: dict[str, Any], galleries: Path, kind: str) -> None:
    galleries.chmod(0o1777)
    python = python_of(nameless)
    with holder(kind, Path(nameless["env"]["HOME"]) / "data", galleries, python=python, **nameless) as process:
        url = first_line(process)
        assert url.startswith("postgresql://")
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
        if kind == "gallery":
            [home] = galleries.iterdir()
            assert list((home / "pg").iterdir()) == []
            assert postmaster_of(home / "pg").uids().real == NAMELESS
        assert process.communicate("")[0] == "done\n"


@ROOT
def test_a_user_without_an_entry_initialises_an_installation(nameless: dict[str, Any]) -> None:
    command = [python_of(nameless), "-m", "assent", "init", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **nameless)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["api_key"]


@ROOT
@pytest.mark.parametrize("account", [True, False], ids=["with assent", "without"])
def test_root_without_namespaces(data_dir: Path, galleries: Path, tmp_path: Path, account: bool) -> None:
    """As in a container: root may mount nothing. It takes the account `assent`, and never another's."""
    users = tmp_path / "passwd"
    others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("assent:")]
    users.write_text("\n".join([*others, *(["assent:x:61000:61000::/nonexistent:/bin/false"] if account else []), ""]))
    words = [sys.executable, "-m", "tests.integration.holder", "gallery", str(data_dir), str(galleries)]
    inside = f"mount --bind {users} /etc/passwd && exec setpriv --bounding-set=-sys_admin {shlex.join(words)}"
    with subprocess.Popen(
        ["/usr/bin/unshare", "--mount", "sh", "-c", inside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        if not account:
            output = process.communicate("", timeout=60)[0]
            assert "MatchingUnavailable" in output
            assert "useradd --system --no-create-home assent" in output
            return
        try:
            assert first_line(process).startswith("postgresql://")
            [home] = galleries.iterdir()
            assert postmaster_of(home / "pg").uids().real == 61000
            assert (home / "pg" / "PG_VERSION").exists()  # seen, as `assent doctor` says
            assert process.communicate("")[0] == "done\n"
        finally:
            process.send_signal(signal.SIGKILL)
