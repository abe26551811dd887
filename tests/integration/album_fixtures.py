"""The album of a test: `pytest_plugins = ["tests.integration.album_fixtures"]`."""

from __future__ import annotations

import pytest

from assent.gallery.keys import TenantKeys
from assent.store.pool import transaction
from assent.worker import Bench
from tests.integration.album import Album
from tests.web import Web


@pytest.fixture
def album(bench: Bench, keys: TenantKeys, six_people: bytes, web: Web) -> Album:
    """Its endpoint listens."""
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE endpoint SET url = %s", [f"{web.url}/hooks"])
    return Album(bench, keys, six_people, web)
