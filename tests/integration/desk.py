"""What a moderator's tests ask and look up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from tests.events import rows
from tests.integration.album import Album


def key_id(client: TestClient) -> str:
    return client.headers["Authorization"].split("_")[2]


def open_cases(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/reviews", params=query)
    assert answer.status_code == 200, answer.text
    reviews: list[dict[str, Any]] = answer.json()["reviews"]
    return reviews


def waiting_case(desk: Album, client: TestClient, media_id: str = "group") -> UUID:
    """Posts the group photo; its case."""
    desk.post(media_id)
    (found,) = [case for case in open_cases(client, limit=200) if case["media"] == media_id]
    return UUID(found["id"])


def corrections(desk: Album) -> list[tuple[Any, ...]]:
    return rows(desk.bench, "SELECT media_id, label, holds, by FROM correction ORDER BY media_id, label")
