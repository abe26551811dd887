"""Several processes share one embedded server; the last one out stops it, whichever way it goes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest

from assent.embedded.clusters import embedded, in_memory
from tests.integration.holder import first_line, holder, postmaster_of
from tests.waiting import until


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    return open_folder / uuid4().hex[:8]


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_last_one_out_stops_it(data_dir: Path) -> None:
    with holder("postgres", data_dir) as other:
        url = first_line(other)
        with embedded(data_dir) as joined:
            assert joined == url
            server = postmaster_of(data_dir / "pg")
            assert other.communicate("")[0] == "done\n"
            with psycopg.connect(joined) as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)
    assert gone(server)


def test_what_was_stored_is_there_after_a_restart(data_dir: Path) -> None:
    with embedded(data_dir) as url, psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 'é ß 人'::text AS words")
    with embedded(data_dir) as again, psycopg.connect(again) as conn:
        assert again == url
        assert conn.execute("SELECT words FROM kept").fetchone() == ("é ß 人",)
        assert conn.execute("SHOW timezone").fetchone() == ("UTC",)


def test_entering_twice_in_one_process_keeps_it_running(data_dir: Path) -> None:
    with embedded(data_dir) as url:
        with embedded(data_dir):
            pass
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


def test_many_at_once_start_one_server(data_dir: Path) -> None:
    with (
        holder("postgres", data_dir) as first,
        holder("postgres", data_dir) as second,
        holder("postgres", data_dir) as third,
    ):
        urls = {first_line(process) for process in (first, second, third)}
        assert len(urls) == 1
        server = postmaster_of(data_dir / "pg")
        for process in (first, second, third):
            assert process.communicate("")[0] == "done\n"
    assert gone(server)


@pytest.mark.parametrize("kind", ["postgres", "gallery"])
def test_the_server_does_not_outlive_a_killed_holder(data_dir: Path, open_folder: Path, kind: str) -> None:
    galleries = open_folder / f"{data_dir.name}-memory"
    galleries.mkdir(mode=0o711)
    with holder(kind, data_dir, galleries) as killed:
        first_line(killed)
        home = data_dir if kind == "postgres" else next(galleries.iterdir())
        server = postmaster_of(home / "pg")
        killed.kill()
        until(lambda: gone(server), "the server is gone", 20)
    if kind == "gallery":
        until(lambda: list(galleries.iterdir()) == [], "its folder is gone", 20)


def test_signals_of_the_terminal_do_not_reach_it(data_dir: Path) -> None:
    with holder("postgres", data_dir, start_new_session=True) as other:
        first_line(other)
        server = postmaster_of(data_dir / "pg")
        with embedded(data_dir) as url:
            os.killpg(other.pid, signal.SIGINT)
            assert other.wait(20) != 0
            assert os.getsid(server.pid) != other.pid
            with psycopg.connect(url) as conn:
                assert conn.execute("SELECT 1").fetchone() == (1,)


def test_gallery_folder_goes_with_the_last_one(data_dir: Path, open_folder: Path) -> None:
    galleries = open_folder / f"{data_dir.name}-memory"
    galleries.mkdir(mode=0o711)
    with in_memory(galleries, data_dir, unsafe_on_disk=True) as url:
        with holder("gallery", data_dir, galleries) as other:
            assert first_line(other) == url
            assert isinstance(other, subprocess.Popen)
            assert other.communicate("")[0] == "done\n"
        assert len(list(galleries.iterdir())) == 1
    assert list(galleries.iterdir()) == []
