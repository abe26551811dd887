"""A pooler that shares the server's sessions is refused in words; one that keeps a session for each client serves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from assent.core.host_errors import PoolerUnsupported
from assent.db.health import check_sessions
from tests.command import invoke
from tests.installed import need
from tests.waiting import until


@contextmanager
def pgbouncer(database_url: str, folder: Path, *settings: str) -> Iterator[str]:
    """Runs PgBouncer before that database; yields the URL by which it is reached."""
    if (program := shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")) is None:
        need("`pgbouncer` is not installed")
    server = conninfo_to_dict(database_url)
    sockets = Path(str(server["host"]))
    folder.mkdir(mode=0o700)
    config = folder / "pgbouncer.ini"
    given = " ".join(f"{name}={server[name]}" for name in ("host", "dbname", "user", "password") if name in server)
    lines = ["[databases]", f"* = {given}", "[pgbouncer]", "listen_addr =", f"unix_socket_dir = {folder}"]
    config.write_text("\n".join([*lines, "auth_type = any", *settings, ""]))
    owner = sockets.stat() if os.geteuid() == 0 else None  # it does not run as root either
    if owner:
        for path in (folder, config):
            os.chown(path, owner.st_uid, owner.st_gid)
    url = f"postgresql://anybody@/{server['dbname']}?host={quote(str(folder), safe='')}&port=6432"
    with subprocess.Popen(
        [str(program), str(config)],
        stderr=subprocess.DEVNULL,
        user=owner.st_uid if owner else None,
        group=owner.st_gid if owner else None,
        extra_groups=[] if owner else None,
    ) as process:
        try:
            until((folder / ".s.PGSQL.6432").exists, "it listens")
            yield url
        finally:
            process.terminate()


@pytest.mark.parametrize("others", [(), ("server_round_robin = 1",), ("default_pool_size = 1",)], ids=str)
def test_pooled_transactions_are_refused(database_url: str, open_folder: Path, others: tuple[str, ...]) -> None:
    folder = open_folder / uuid4().hex[:8]
    with pgbouncer(database_url, folder, "pool_mode = transaction", *others) as url:
        if "default_pool_size = 1" not in others:  # it has two sessions of the server at hand
            with psycopg.connect(url) as one, psycopg.connect(url) as two:
                assert one.execute("SELECT 1").fetchone() == two.execute("SELECT 1").fetchone()
        with pytest.raises(PoolerUnsupported):
            check_sessions(url)
        done = invoke({"ASSENT_DATABASE_URL": url, "ASSENT_DATA_DIR": str(folder)}, "init")
    assert done.status != 0
    assert "pooler" in done.stderr


def test_pooled_sessions_serve(database_url: str, open_folder: Path) -> None:
    with pgbouncer(database_url, open_folder / uuid4().hex[:8], "pool_mode = session") as url:
        check_sessions(url)
    check_sessions(database_url)
