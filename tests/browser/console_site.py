"""The console in a real browser: its server, browsers in which somebody is signed in, and what holds on every page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, ViewportSize

from assent.core.settings import Settings
from assent.db.pool import transaction
from assent.http.server import uvicorn_server
from assent.staff.accounts import create_staff
from assent.staff.sessions import open_session
from tests.house import free_port
from tests.integration.album import Album
from tests.waiting import until

SHOTS = os.environ.get("ASSENT_TEST_SHOTS")  # a folder for pictures of every page, for whoever wants to look at them
DESKTOP = ViewportSize(width=1440, height=900)
NARROW = ViewportSize(width=320, height=640)
SERIOUS = ("serious", "critical")


@contextmanager
def console_site(settings: Settings, app: FastAPI) -> Iterator[str]:
    """Serves the application as `assent serve` does, on a port of this machine; its URL."""
    port = free_port()
    server = uvicorn_server(settings.model_copy(update={"port": port}), app)
    thread = Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the console listens", 20, 0.02)
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Seat:
    """A browser's page in which somebody is signed in; what its console said, and which hosts it asked."""

    page: Page
    url: str
    by: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def seated(browser: Browser, url: str, desk: Album, *roles: str, name: str = "Robin", **options: Any) -> Iterator[Seat]:
    """Signs somebody in to a browser of their own; whatever it complains of or asks elsewhere fails the test."""
    with transaction(desk.bench.pool) as conn:
        staff = create_staff(conn, desk.keys, name, roles or ("moderator",))
        token = open_session(conn, desk.keys, staff.id)
    context = browser.new_context(**{"base_url": url, "viewport": DESKTOP, **options})
    context.add_cookies([{"name": "assent_console", "value": token, "url": url, "httpOnly": True}])
    seat = Seat(context.new_page(), url, staff.by)
    seat.page.on("console", lambda message: seat.complaints.append(f"{message.text} {message.location['url']}"))
    seat.page.on("pageerror", lambda error: seat.complaints.append(str(error)))
    seat.page.on("request", lambda sent: seat.asked.append(sent.url))
    yield seat
    context.close()
    # Where the sign-in is not served, its page is an error without an icon.
    complaints = [one for one in seat.complaints if not re.search(r"/console/sign-in|/favicon\.ico$", one)]
    assert not complaints, complaints
    elsewhere = [one for one in seat.asked if not one.startswith((f"{url}/console", f"{url}/me/icon.svg"))]
    assert not elsewhere, elsewhere


def faults(page: Page) -> list[str]:
    """What axe finds serious or critical on a page, and whether it is wider than its window."""
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found if one["impact"] in SERIOUS
    ]
    width, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [*serious, *([f"{width} wide in {window}"] if width > window else [])]


def shoot(page: Page, name: str) -> None:
    """Keeps a picture of the whole page where SHOTS says."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"console-{name}.png", full_page=True)
