"""Pages beside a case in a real browser: legible and operable in every look and width, and without scripts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from assent.core.values import Tag
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.review.decide import ReviewInput, decide_case
from assent.staff.accounts import create_staff
from assent.staff.sessions import open_session
from tests.browser.looks import CONTRAST_WANTED, WEAKEST_CONTRAST
from tests.integration.album import Album
from tests.looked_at import BELLY, BREAST, POLICY, looking, post_case, set_hash
from tests.waiting import until

SHOTS = os.environ.get("ASSENT_TEST_SHOTS")  # a folder for pictures of every page, for whoever wants to look at them
LISTED = Tag("hash.known.listed", "hash", round(1 - 12 / 256, 4), None, 0, "banned@v1")
HASHES = POLICY.replace("  body: {threshold: 0.3}", "  body: {threshold: 0.3}\n  hash: {threshold: 0.5}")
LONG = "a picture with a very long name of <img src=x onerror=alert(1)> and so on " * 3
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """The console's address, on this machine."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, "the server listens", 20)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def cases(album: Album, tmp_path: Path, cat: bytes, six_people: bytes) -> list[UUID]:
    """Five open cases that look alike, beside two decided ones."""
    seen = looking(album, tmp_path, BREAST, BELLY, LISTED, policy=HASHES)
    for n, action in enumerate(("block", "allow")):
        decided = post_case(seen, f"before-{n}", cat + bytes([n]))
        set_hash(seen.bench, f"before-{n}", range(n))
        with transaction(seen.bench.pool) as conn:
            given = ReviewInput(action, remove=("body.covered.belly",) if n else ())  # type: ignore[arg-type]
            decide_case(conn, seen.keys, "robin", decided, given)
    found = []
    for n, name in enumerate(("first", "second", LONG[:200], "fourth", "fifth")):
        found.append(post_case(seen, name, cat + bytes([50 + n])))
        set_hash(seen.bench, name, range(3 * n))
    return found


@pytest.fixture
def token(pool: Pool, keys: TenantKeys) -> str:
    with transaction(pool) as conn:
        staff = create_staff(conn, keys, "Robin", ("moderator",))
        conn.execute(
            "INSERT INTO exposure VALUES ('default', %(by)s, current_date, 'nudity', false, 12, 340),"
            " ('default', %(by)s, current_date, 'violence', true, 61, 15000)",
            {"by": staff.by},
        )
        return open_session(conn, keys, staff.id)


def open_context(browser: Browser, url: str, token: str, **options: Any) -> BrowserContext:
    context = browser.new_context(base_url=url, **options)
    context.add_cookies([{"name": "assent_console", "value": token, "url": url}])
    return context


def look(page: Page, name: str, width: int) -> None:
    """What has to hold on every page."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    contrast, words = page.evaluate(WEAKEST_CONTRAST)
    assert contrast >= CONTRAST_WANTED, (name, words)
    assert page.locator("h1").count() == 1
    violations = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in violations if one["impact"] in ("serious", "critical")]
    assert serious == [], name
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_every_page_is_legible(
    browser: Browser, url: str, token: str, cases: list[UUID], scheme: Literal["light", "dark"], width: int
) -> None:
    size = ViewportSize(width=width, height=800)
    context = open_context(browser, url, token, viewport=size, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for path in ("why", "similar", "policies", "statement?action=block"):
        page.goto(f"/console/cases/{cases[0]}/{path}")
        look(page, f"{path.partition('?')[0]}-{width}-{scheme}", width)
    page.goto("/console/care")
    look(page, f"care-{width}-{scheme}", width)
    page.goto(f"/console/clusters/{cases[0]}")
    expect(page.get_by_role("checkbox")).to_have_count(5)
    look(page, f"cluster-{width}-{scheme}", width)
    page.get_by_role("button", name="Block all ticked").click()
    look(page, f"cluster-done-{width}-{scheme}", width)
    assert complaints == []
    context.close()


def test_look_alikes_are_decided_and_undone_without_scripts(
    browser: Browser, url: str, token: str, cases: list[UUID]
) -> None:
    context = open_context(browser, url, token, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/console/cases/{cases[0]}/why")
    page.get_by_role("link", name="4 look alike: decide them together").click()
    page.get_by_role("checkbox", name="second").uncheck()
    page.get_by_role("button", name="Block all ticked").click()
    expect(page.get_by_role("status")).to_contain_text("4 decided: not shown.")
    page.get_by_role("button", name="Undo: first").click()
    expect(page.get_by_role("status")).to_contain_text("1 undone.")
    page.get_by_role("link", name="Look at those that look alike").click()
    expect(page.get_by_role("checkbox")).to_have_count(2)
    context.close()
