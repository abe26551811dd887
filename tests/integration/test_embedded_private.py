"""Nobody else on the machine reaches an embedded server, and it holds nothing it need not hold."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit
from uuid import uuid4

import psutil
import psycopg
import pytest

from assent.core.errors import StoreUnsafe
from assent.core.host_errors import MatchingUnavailable
from assent.embedded import clusters as module
from assent.embedded import install
from assent.embedded.clusters import embedded, in_memory
from tests.installed import need


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder / uuid4().hex[:8]


@pytest.fixture(scope="module")
def running(open_folder: Path) -> Iterator[tuple[Path, str]]:
    """The data folder and the URL of a server that runs."""
    folder = open_folder / uuid4().hex[:8]
    with embedded(folder) as url:
        yield folder, url


@pytest.fixture(scope="module")
def memory_url(open_folder: Path, gallery_dir: Path) -> Iterator[str]:
    """The URL of a gallery's server that runs."""
    with in_memory(gallery_dir, open_folder / uuid4().hex[:8], unsafe_on_disk=True) as url:
        yield url


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_processes(running: tuple[Path, str]) -> None:
    data_dir, url = running
    assert mode(data_dir) == (0o711 if os.geteuid() == 0 else 0o700)
    assert mode(data_dir / "pg") == 0o700
    assert mode(data_dir / "postgres.password") == 0o600
    assert mode(data_dir / "pg.log") == 0o600
    assert mode(Path(parse_qs(urlsplit(url).query)["host"][0])) == 0o700
    server = psutil.Process(int((data_dir / "pg" / "postmaster.pid").read_text().split()[0]))
    assert server.net_connections("inet") == []
    assert server.uids().real != 0
    for process in (server, *server.children()):
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_password_is_asked_for(running: tuple[Path, str]) -> None:
    parts = urlsplit(running[1])
    wrong = urlunsplit(parts._replace(netloc="application:wrong@"))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(urlunsplit(parts._replace(netloc="application@")))


def test_no_log_line_holds_a_statement_or_a_value(memory_url: str) -> None:
    with psycopg.connect(memory_url, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION vector; CREATE TABLE one (id text PRIMARY KEY, embedding halfvec(3))")
        conn.execute("INSERT INTO one VALUES ('secret-person', %s::halfvec)", ["[0.8125,0,0]"])
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute("INSERT INTO one VALUES ('secret-person', '[0.8125,0,0]')")
        with pytest.raises(psycopg.errors.DataException):
            conn.execute("SELECT %s::halfvec(3)", ["[0.8125,0,0,0]"])
        home = Path(str(conn.execute("SHOW data_directory").fetchone()[0])).parent  # type: ignore[index]  # one row
        log = (home / "pg.log").read_text()
    assert "ready to accept connections" in log
    assert "0.8125" not in log
    assert "secret-person" not in log


def test_gallery_writes_nothing_that_lasts(memory_url: str) -> None:
    with psycopg.connect(memory_url) as conn:
        for name, value in (("fsync", "off"), ("wal_level", "minimal"), ("listen_addresses", "")):
            assert conn.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that allows none, and where root finds an account for the gallery."""
    monkeypatch.setattr(module, "why_not_private", lambda _folder: "it is not allowed")
    monkeypatch.setattr(install, "GALLERY_ACCOUNT", "daemon")


@pytest.mark.usefixtures("no_namespaces")
def test_gallery_on_a_disk_is_refused_unless_accepted(data_dir: Path, tmp_path: Path) -> None:
    mounts = {mount.mountpoint: mount.fstype for mount in psutil.disk_partitions(all=True)}
    kind = next(mounts[str(path)] for path in (tmp_path, *tmp_path.parents) if str(path) in mounts)
    if kind in module.MEMORY_FILESYSTEMS:
        pytest.skip("the temporary folder is in memory here")
    with pytest.raises(MatchingUnavailable, match="ASSENT_UNSAFE_GALLERY_ON_DISK"):
        in_memory(tmp_path, data_dir, unsafe_on_disk=False).__enter__()


@pytest.mark.parametrize("private", [True, False])
def test_gallery_without_room_is_refused_unless_it_runs(
    data_dir: Path, gallery_dir: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, private: bool
) -> None:
    if private and module.why_not_private(gallery_dir.resolve()):
        need("no namespace may be made here")
    if not private:
        request.getfixturevalue("no_namespaces")
    with in_memory(gallery_dir, data_dir, unsafe_on_disk=True) as url:
        monkeypatch.setattr(module, "GALLERY_FREE_BYTES", 1 << 60)
        with in_memory(gallery_dir, data_dir, unsafe_on_disk=True) as again:
            assert again == url
    with pytest.raises(MatchingUnavailable, match="MB"):
        in_memory(gallery_dir, data_dir, unsafe_on_disk=True).__enter__()


def test_folder_that_everybody_writes_is_refused(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o777)
    with pytest.raises(StoreUnsafe, match="written by everybody"):
        embedded(data_dir).__enter__()


def test_long_path_puts_the_socket_into_a_private_temporary_folder(data_dir: Path) -> None:
    with embedded(data_dir / ("long" * 20)) as url:
        sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
        assert len(str(sockets)) < 80
        assert mode(sockets) == 0o700
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
    sockets.rmdir()


def test_link_in_place_of_the_socket_folder_is_refused(data_dir: Path, tmp_path: Path) -> None:
    with embedded(data_dir):
        pass
    (data_dir / "socket").rmdir()
    (data_dir / "socket").symlink_to(tmp_path)
    with pytest.raises(StoreUnsafe, match="not a private folder"):
        embedded(data_dir).__enter__()
