"""A browser in which somebody opened their own page: `pytest_plugins = ["tests.integration.me_fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.gallery.keys import TenantKeys
from assent.settings import Settings
from assent.setup import Made
from assent.store.pool import Pool, transaction
from assent.subjects import links
from tests.integration.me_page import SITE


@pytest.fixture
def app(settings: Settings, database_url: str, made: Made) -> FastAPI:
    return create_app(settings, database_url)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=SITE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def link(pool: Pool, keys: TenantKeys) -> Callable[..., str]:
    def mint(ref: str = "alice", of: TenantKeys = keys, **said: Any) -> str:
        with transaction(pool) as conn:
            return f"/me/{links.mint(conn, of, ref, **said)}"

    return mint


@pytest.fixture
def alice(client: TestClient, link: Callable[..., str]) -> TestClient:
    """A browser in which Alice has opened her page."""
    assert client.post(link()).status_code == 303
    return client
