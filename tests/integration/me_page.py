"""The person's own page as a test reads it and fills its forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from assent.db.pool import Pool, transaction
from assent.me.pages import HEADERS

SITE = "https://assent.example"
AGREED = {"scope": "own", "jurisdiction": "DE", "age": "adult"}
FORMS = {  # every form of an open page, with what it says
    "/me/consent": AGREED,
    "/me/withdraw": {},
    "/me/photos": {},
    "/me/seen": {"source": "platform", "media": "group", "face": "1", "answer": "no"},
    "/me/others": {},
    "/me/delete": {"sure": "yes"},
    "/me/leave": {},
}
OPEN_PAGES = ("/me", "/me/seen", "/me/data", "/me/export")


def field(client: TestClient, name: str, path: str = "/me") -> str:
    """What a hidden field of that page holds."""
    found = re.search(rf'name="{name}" value="([^"]*)"', client.get(path).text)
    assert found is not None
    return unescape(found[1])


def submit(client: TestClient, path: str, said: dict[str, str], files: Any = (), **changed: str) -> Response:
    """Sends the form as the page has it; `changed` are fields that somebody else made."""
    hidden = {"form": field(client, "form", "/me/data")}
    if path == "/me/consent":
        hidden["notice"] = field(client, "notice")
    fields = {**hidden, **said, **changed}
    parts = [(name, (None, value)) for name, value in fields.items()]
    return client.post(path, files=[*parts, *files])


def photos(count: int, data: bytes = b"no photo", name: str = "photos") -> list[Any]:
    return [(name, (f"{n}.jpg", data, "image/jpeg")) for n in range(count)]


def count(pool: Pool, table: str) -> int:
    with transaction(pool) as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
    assert row is not None
    return int(row[0])


def is_page(answer: Response) -> bool:
    return (
        answer.headers["content-type"].startswith("text/html")
        and all(answer.headers[name] == value for name, value in HEADERS.items())
        and '<html lang="en">' in answer.text
        and "<h1>" in answer.text
    )
