"""What tests of the console's pages read in them and send to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import httpx2
from fastapi.testclient import TestClient

from assent.db.pool import Pool, transaction
from assent.worker.jobs import WorkerContext
from tests.events import rows
from tests.integration.album import Album


def hidden(page: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def new_case(desk: Album, media_id: str = "group") -> UUID:
    """Posts the group photo; its case, which nobody has."""
    desk.post(media_id)
    return case_of(desk.bench, media_id)


def case_of(where: WorkerContext | Pool, media_id: str) -> UUID:
    ((found,),) = rows(where, "SELECT id FROM review_case WHERE media_id = %s AND closed_at IS NULL", media_id)
    case: UUID = found
    return case


def address(case: UUID | str, *rest: str) -> str:
    return "/".join(("/console/cases", str(case), *rest))


def send(
    client: TestClient, path: str, fields: Mapping[str, str | Sequence[str]] | None = None, **more: Any
) -> httpx2.Response:
    """Sends a form of the client's session."""
    page = client.get("/console/settings")
    data = {"form": hidden(page.text, "form"), **(fields or {})}
    return client.post(path, data=data, **more)


def claimed(client: TestClient, case: UUID) -> str:
    """Claims a case by its page; the page with the form that decides."""
    answer = send(client, address(case, "claim"))
    assert (answer.status_code, answer.headers["location"]) == (303, address(case))
    return client.get(address(case)).text


def decide(client: TestClient, case: UUID, page: str, **fields: Any) -> httpx2.Response:
    """Sends the form of a case's page with a decision in it."""
    kept = {name: hidden(page, name) for name in ("form", "claim", "once", "seconds")}
    return client.post(address(case, "decide"), data={**kept, "action": "allow", **fields})


def mark_queue(pool: Pool, name: str, *, due: int = 60, grave: bool = False) -> None:
    """What an administrator says of a queue."""
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO review_queue (tenant, name, due_minutes, grave) VALUES ('default', %s, %s, %s)",
            [name, due, grave],
        )


def more_cases(
    pool: Pool, number: int, queue: str = "default", reason: str = "other-rule", tenant: str = "default"
) -> None:
    """Cases about nothing that is stored, as a list shows them."""
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO review_case (tenant, id, source, media_id, revision, reason, queue)"
            " SELECT %(tenant)s, gen_random_uuid(), 'platform', 'm' || n || %(queue)s || %(reason)s, 1, %(reason)s,"
            " %(queue)s FROM generate_series(1, %(number)s) n",
            {"tenant": tenant, "queue": queue, "reason": reason, "number": number},
        )


def keep_pictures(pool: Pool) -> None:
    """Says of every case that a copy of its picture is kept, which nobody could open."""
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO kept_picture (tenant, source, media_id, sealed, kept_until)"
            " SELECT tenant, source, media_id, '', now() + interval '1 day' FROM review_case"
        )
