"""What a moderator's tests ask and look up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from assent.db.pool import transaction
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


SENT = {"action": "block", "add": ["nudity.partial.belly"], "undo_seconds": 30}


def decide(client: TestClient, case: UUID | str, **sent: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/reviews/{case}", json={**SENT, **sent})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def undo(client: TestClient, case: UUID | str, **sent: Any) -> tuple[int, Any]:
    """The answer's status, and its body, or the code of the problem that it is."""
    answer = client.post(f"/v1/reviews/{case}/undo", **sent)
    return answer.status_code, answer.json().get("code") or answer.json()


def pass_time(desk: Album, seconds: int) -> None:
    """Brings forward what is held back."""
    with transaction(desk.bench.pool) as conn:
        late = {"late": f"{seconds} seconds"}
        conn.execute("UPDATE moderator_undo SET undo_until = undo_until - %(late)s::interval", late)
        conn.execute("UPDATE outbox SET next_at = next_at - %(late)s::interval WHERE NOT queued", late)
