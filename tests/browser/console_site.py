"""The console in a real browser: its server, browsers in which somebody is signed in, and what holds on every page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from assent.core.settings import Settings
from assent.db.pool import transaction
from assent.http.server import uvicorn_server
from assent.staff.accounts import create_staff
from assent.staff.sessions import open_session
from tests.events import rows
from tests.house import free_port
from tests.integration.album import Album
from tests.waiting import until

SHOTS = os.environ.get("ASSENT_TEST_SHOTS")  # a folder for pictures of every page, for whoever wants to look at them
DESKTOP = ViewportSize(width=1440, height=900)
SMALLEST = ViewportSize(width=320, height=256)  # CSS pixels of 1280 × 1024 at 400 %
OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
SERIOUS = ("serious", "critical")
VEIL_2 = "svg image.shown[href$='/veil/2']"
FULL = "image.full[visibility=visible]"
SHOWN = "performance.getEntriesByName('full').length > 0"
OPEN_FOR_A_WHILE = "performance.now() > 310 + performance.getEntriesByName('opened')[0]?.startTime"
HAS_FOCUS = "e => e === document.activeElement && e.matches(':focus-visible') && getComputedStyle(e).outlineStyle"


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
    """A browser's page; what its console said, and which hosts it asked."""

    page: Page
    url: str
    by: str = ""
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[Seat]:
    """A browser in which nobody is signed in; whatever it complains of or asks elsewhere fails the test."""
    context = browser.new_context(**{"base_url": url, "viewport": DESKTOP, **options})
    seat = Seat(context.new_page(), url)
    seat.page.set_default_timeout(15_000)
    seat.page.on("console", lambda message: seat.complaints.append(f"{message.text} {message.location['url']}"))
    seat.page.on("pageerror", lambda error: seat.complaints.append(str(error)))
    seat.page.on("request", lambda sent: seat.asked.append(sent.url))
    yield seat
    context.close()
    assert seat.complaints == []
    elsewhere = [one for one in seat.asked if not one.startswith((f"{url}/console", f"{url}/me/icon.svg"))]
    assert elsewhere == []


@contextmanager
def seated(browser: Browser, url: str, desk: Album, *roles: str, name: str = "Robin", **options: Any) -> Iterator[Seat]:
    """Signs somebody in to a browser that is watched."""
    with transaction(desk.bench.pool) as conn:
        staff = create_staff(conn, desk.keys, name, roles or ("moderator",))
        token = open_session(conn, desk.keys, staff.id)
    with watched(browser, url, **options) as seat:
        seat.by = staff.by
        seat.page.context.add_cookies([{"name": "assent_console", "value": token, "url": url, "httpOnly": True}])
        yield seat


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


def outcomes(desk: Album) -> list[tuple[str | None, str | None]]:
    """How each case was closed and what its picture's decision says, in the order of their arrival."""
    found = rows(
        desk.bench,
        "SELECT c.outcome, d.action FROM review_case c JOIN decision d USING (tenant, source, media_id)"
        " ORDER BY c.opened_at, c.id",
    )
    return [(row[0], row[1]) for row in found]


def looks(desk: Album) -> int:
    ((counted,),) = rows(desk.bench, "SELECT coalesce(sum(looks), 0) FROM exposure")
    return int(counted)


def ready(page: Page) -> None:
    """Keys act from 300 ms after a page opens."""
    until(lambda: page.evaluate(OPEN_FOR_A_WHILE), "the page is open for a while", 5)


def tab_to(page: Page, wanted: Locator) -> None:
    """Goes on with Tab until the wanted one has the focus, and shows it."""
    expect(wanted).to_be_visible()
    for _ in range(80):
        if wanted.evaluate(HAS_FOCUS) in ("solid", "auto"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab does not reach it, or does not show it")
