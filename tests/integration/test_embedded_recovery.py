"""The embedded server starts again after everything that can cut it short."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest

from assent.core.errors import DatabaseUnavailable
from assent.embedded.clusters import embedded, in_memory
from tests.integration.holder import holder, postmaster_of
from tests.waiting import until


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder / uuid4().hex[:8]


def kill_all(data: Path) -> None:
    """Kills the server and all its children, and waits until they are gone."""
    server = postmaster_of(data)
    everyone = [server, *server.children()]
    for process in everyone:
        with suppress(psutil.NoSuchProcess):  # the children end by themselves when the server is gone
            process.kill()
    psutil.wait_procs(everyone, timeout=20)


def test_a_reused_pid_is_not_the_server(data_dir: Path) -> None:
    with embedded(data_dir):
        pid_file = (data_dir / "pg" / "postmaster.pid").read_text()
    (data_dir / "pg" / "postmaster.pid").write_text(pid_file.replace(pid_file.split()[0], str(os.getpid()), 1))
    (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    with embedded(data_dir) as url, psycopg.connect(url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_orphans_of_a_killed_postmaster_are_ended(data_dir: Path) -> None:
    with embedded(data_dir) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 1 AS one")
        busy = psycopg.connect(url)
        backend = psutil.Process(busy.info.backend_pid)
        busy.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
        busy.pgconn.flush()
        until(lambda: backend.cpu_times().user > 0.05, "the backend is busy", 20)
        server = psutil.Process(int((data_dir / "pg" / "postmaster.pid").read_text().split()[0]))
        server.kill()
        assert (
            backend.status() == psutil.STATUS_RUNNING
        )  # until the supervisor looks, within a second, or somebody joins
        psutil.wait_procs([server], timeout=20)
        with embedded(data_dir) as again, psycopg.connect(again) as conn:
            assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
            assert conn.execute("SELECT one FROM kept").fetchone() == (1,)
        busy.close()


def test_crash_recovery_keeps_what_was_committed(data_dir: Path) -> None:
    with embedded(data_dir) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        kill_all(data_dir / "pg")
        with embedded(data_dir) as again, psycopg.connect(again) as conn:
            assert conn.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_killed_while_it_makes_the_data_folder(data_dir: Path) -> None:
    with holder("postgres", data_dir) as killed:
        until(lambda: any(data_dir.glob("pg.new-*/PG_VERSION")), "it makes the data folder", 20)
        killed.kill()
    assert not (data_dir / "pg").exists()
    with embedded(data_dir) as url, psycopg.connect(url) as conn:
        assert conn.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_why_it_does_not_start_is_said(data_dir: Path) -> None:
    with embedded(data_dir):
        pass
    with (data_dir / "pg" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseUnavailable, match="no_such_setting"), embedded(data_dir):
        pass


def test_a_lost_password_is_named(data_dir: Path) -> None:
    with embedded(data_dir):
        pass
    (data_dir / "postgres.password").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"postgres\.password is missing"), embedded(data_dir):
        pass


def test_a_killed_gallery_starts_anew_and_empty_under_the_same_url(data_dir: Path, gallery_dir: Path) -> None:
    with in_memory(gallery_dir, data_dir, unsafe_on_disk=True) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("CREATE UNLOGGED TABLE opened AS SELECT 1 AS one")
            data = Path(str(conn.execute("SHOW data_directory").fetchone()[0]))  # type: ignore[index]  # one row
        kill_all(data)
        with in_memory(gallery_dir, data_dir, unsafe_on_disk=True) as again, psycopg.connect(again) as conn:
            assert again == url
            assert conn.execute("SELECT to_regclass('opened')").fetchone() == (None,)


def test_a_gallery_left_by_a_crash_of_everything_is_not_read(data_dir: Path, gallery_dir: Path) -> None:
    with in_memory(gallery_dir, data_dir, unsafe_on_disk=True) as url, psycopg.connect(url) as conn:
        home = Path(str(conn.execute("SHOW data_directory").fetchone()[0])).parent  # type: ignore[index]  # one row
    home.mkdir(mode=0o711)
    (home / "pg").mkdir()
    (home / "pg" / "left").write_text("opened templates")
    with in_memory(gallery_dir, data_dir, unsafe_on_disk=True):
        assert not (home / "pg" / "left").exists()
    assert not home.exists()
    shutil.rmtree(data_dir)
