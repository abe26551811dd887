"""A gallery in memory and a truth to fill it from: `pytest_plugins = ["tests.integration.gallery_fixtures"]`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from assent.gallery import keys
from assent.gallery.memory import connect_gallery
from assent.store.embedded import GALLERY_FREE_BYTES, in_memory
from assent.store.pool import Conn
from tests.integration.world import World


@pytest.fixture(scope="session")
def gallery_dir(open_folder: Path) -> Path:
    """A tmpfs, or where there is none of some size a folder on disk."""
    memory = Path("/dev/shm")  # noqa: S108 - memory
    if memory.is_dir() and shutil.disk_usage(memory).free >= 2 * GALLERY_FREE_BYTES:
        return memory
    return open_folder


@pytest.fixture(scope="session")
def gallery_server(gallery_dir: Path, open_folder: Path) -> Iterator[str]:
    with in_memory(gallery_dir, open_folder / "server", unsafe_on_disk=True) as url:
        yield url


@pytest.fixture
def gallery_url(gallery_server: str) -> Iterator[str]:
    """A gallery of the test's own on the one server."""
    name = f"gallery_{uuid4().hex}"
    with psycopg.connect(gallery_server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(gallery_server)._replace(path=f"/{name}"))
    with psycopg.connect(gallery_server, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def gallery(gallery_url: str) -> Iterator[Conn]:
    with connect_gallery(gallery_url) as conn:
        yield conn


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An installation with tenant `club` and nobody in it."""
    with psycopg.connect(database_url, autocommit=True) as truth:
        row = truth.execute("SELECT id FROM instance").fetchone()
        assert row is not None
        store = keys.create(tmp_path / "keys", row[0])
        store.add_tenant("club")
        truth.execute("INSERT INTO tenant VALUES ('club')")
        yield World(truth, store, database_url)
