"""Shared by all tests: a real PostgreSQL, an installation per test, the photographs that installed packages carry."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from assent.gallery.keys import Keystore, TenantKeys
from assent.perceive import Models, load
from assent.settings import Settings
from assent.setup import Made, init_tenant
from assent.store.database import open_or_create_keys
from assent.store.embedded import embedded
from assent.store.migrate import migrate
from assent.store.pool import Pool, open_pool
from assent.worker import Bench, open_bench
from tests.web import Web, serving


def need(reason: str) -> None:
    """Skips a test for want of something, or fails it where everything must run."""
    if os.environ.get("ASSENT_REQUIRE_ALL") == "1":
        pytest.fail(f"ASSENT_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that the embedded server's account may pass through, also when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="assent-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def server_url(open_folder: Path) -> Iterator[str]:
    """The embedded PostgreSQL, one for all tests."""
    with embedded(open_folder / "server") as url:
        yield url


@pytest.fixture(scope="session")
def template_url(server_url: str) -> str:
    """A migrated, empty database; tests get clones of it."""
    return _create_database(server_url, "assent_template", "template0", migrated=True)


@pytest.fixture
def database_url(server_url: str, template_url: str) -> Iterator[str]:
    """A fresh migrated database of the test's own."""
    name = f"test_{uuid4().hex}"
    url = _create_database(server_url, name, "assent_template")
    # The instance's id must differ from clone to clone, as it does from installation to installation.
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE instance SET id = gen_random_uuid()")
    yield url
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _create_database(server_url: str, name: str, template: str, *, migrated: bool = False) -> str:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    if migrated:
        migrate(url)
    return url


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url) as pool:
        yield pool


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """An installation of the test's own on that database."""
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        lease_seconds=2,
    )


@pytest.fixture
def keystore(settings: Settings, pool: Pool) -> Keystore:
    return open_or_create_keys(settings, pool)


@pytest.fixture
def made(pool: Pool, keystore: Keystore) -> Made:
    """Tenant `default` with its secrets and an endpoint that nobody listens on."""
    return init_tenant(pool, keystore, "default", "platform", "http://127.0.0.1:9/hooks")


@pytest.fixture
def keys(made: Made, keystore: Keystore) -> TenantKeys:
    return keystore.tenant(made.tenant)


def package_file(package: str, inside: str) -> Path:
    """A file that an installed package carries, found without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / inside


@pytest.fixture(scope="session")
def six_people() -> bytes:
    """insightface's sample: a group photo of six people."""
    return package_file("insightface", "data/images/t1.jpg").read_bytes()


@pytest.fixture(scope="session")
def cat() -> bytes:
    """scikit-image's chelsea: a cat."""
    return package_file("skimage", "data/chelsea.png").read_bytes()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The default pack, loaded once for all tests of a run."""
    return load(tmp_path_factory.mktemp("models"), threads=2)


@pytest.fixture
def bench(settings: Settings, database_url: str, made: Made, web: Web, models: Models) -> Iterator[Bench]:
    """A worker's bench with its gallery filled, allowed to fetch from and deliver to `web`."""
    settings = settings.model_copy(update={"allow_private": (web.allowed,)})
    with open_bench(settings, database_url, models) as bench:
        bench.gallery.wait_ready()
        yield bench
