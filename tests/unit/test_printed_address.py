"""What `assent init` prints can be opened: an IPv6 address stands in brackets."""

from __future__ import annotations

import pytest

from assent.cli.server import webhook_url
from assent.core.settings import Settings


@pytest.mark.parametrize(
    ("host", "shown"),
    [("::1", "[::1]"), ("::", "[::]"), ("127.0.0.1", "127.0.0.1"), ("tags.internal", "tags.internal")],
)
def test_address(host: str, shown: str) -> None:
    assert webhook_url(Settings(host=host, port=8401), "club") == f"http://{shown}:8401/v1/webhooks/club"
