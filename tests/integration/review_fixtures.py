"""A moderator's desk: `pytest_plugins = ["tests.integration.review_fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from assent.apikeys import create_key
from assent.app import create_app
from assent.policy.load import load_policy
from assent.setup import Made
from assent.store.pool import transaction
from tests.integration.album import Album

pytest_plugins = ["tests.integration.album_fixtures"]

# Whatever shows six people waits for a moderator, and whatever is covered from score 0.3 up is said.
POLICY = """
schema: assent.policy/1
name: crowds
version: "1"
labels:
  body.covered.breast: {threshold: 0.3}
  body.covered.feet: {threshold: 0.3}
rules:
  - {id: crowd, when: "faces.count >= 6", then: {action: review}}
cases:
  - {name: nobody, given: {}, expect: {action: allow, tags: []}}
"""


@pytest.fixture
def desk(album: Album, tmp_path: Path) -> Album:
    """An album whose group photo goes to review."""
    path = tmp_path / "crowds.yaml"
    path.write_text(POLICY)
    return replace(album, bench=replace(album.bench, tools=replace(album.bench.tools, policy=load_policy(path))))


@pytest.fixture
def moderator(desk: Album, database_url: str, made: Made) -> Iterator[TestClient]:
    """A client whose key has scope `review` and no other."""
    with transaction(desk.bench.pool) as conn:
        key = create_key(conn, made.tenant, ("review",))
    with TestClient(create_app(desk.bench.settings, database_url)) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client
