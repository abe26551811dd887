"""Makes the README's four pictures of the review console: `python -m examples.console_pictures [FOLDER]` (docs).

Runs the demo's platform with its stories, signs somebody in and photographs the case of an astronaut, light and dark,
on a desktop and a phone, with the machine's Chromium. It needs the packages that the browser tests need.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from assent.core.settings import Settings
from assent.db.pool import open_pool, transaction
from assent.keys.installation import database, open_keys
from assent.staff.accounts import create_staff
from assent.staff.sessions import open_session
from examples.cases import fill_console
from examples.demo import opt_in
from examples.photos import packaged_cast
from examples.platform.app import running
from examples.platform.feed import Connection, Feed
from examples.server import Assent, Place, free_listener, initialise, started, temporary_data

Scheme = Literal["light", "dark"]
DESKTOP, PHONE = ViewportSize(width=1280, height=960), ViewportSize(width=390, height=844)
# Name of the picture: scheme, size, and whether the case was looked at in full.
PICTURES: dict[str, tuple[Scheme, ViewportSize, bool]] = {
    "console-light-desktop": ("light", DESKTOP, False),
    "console-dark-desktop": ("dark", DESKTOP, True),
    "console-light-phone": ("light", PHONE, False),
    "console-dark-phone": ("dark", PHONE, True),
}


def main(folder: Path) -> None:
    """Writes the four JPEG files into `folder`."""
    with ExitStack() as stack:
        cast, feed, listener = packaged_cast(), Feed(follows={"bob": ("alice",)}), free_listener()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        data = stack.enter_context(temporary_data())
        stack.enter_context(running(feed, listener))
        place = initialise(data, base, data / "assent.log")
        assent = stack.enter_context(started(place, data / "assent.log"))
        feed.connection = Connection(assent.events_url, assent.events_secret, assent.deliveries_secret)
        for person in cast.people:
            opt_in(assent, person)
        fill_console(place, assent, feed, base, cast)
        cookie = {"name": "assent_console", "value": _sign_in(place), "url": f"http://localhost:{place.port}"}
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (scheme, size, looked_at) in PICTURES.items():
            _photograph(browser, cookie, _astronaut(assent), folder / f"{name}.jpg", (scheme, size, looked_at))
        browser.close()


def _sign_in(place: Place) -> str:
    """Makes an account of a moderator beside the running server; its session's token."""
    settings = Settings(data_dir=Path(place.environment["ASSENT_DATA_DIR"]))
    with database(settings) as url, open_pool(url, size=1) as pool:
        keys = open_keys(settings, pool).tenant("demo")
        with transaction(pool) as conn:
            return open_session(conn, keys, create_staff(conn, keys, "Robin", ("moderator", "senior"), None).id)


def _astronaut(assent: Assent) -> str:
    """The first case of a picture of one person that nobody works on."""
    for case in assent.client.get("/v1/reviews", params={"queue": "people"}).json()["reviews"]:
        decision = assent.client.get(f"/v1/reviews/{case['id']}").json()["decision"]
        if len(decision["faces"]) == 1:
            return str(case["id"])
    raise LookupError("no case of an astronaut waits")


def _photograph(browser: Browser, cookie: Any, case: str, file: Path, look: tuple[Scheme, ViewportSize, bool]) -> None:
    scheme, size, looked_at = look
    context = browser.new_context(viewport=size, color_scheme=scheme)
    context.add_cookies([cookie])
    page: Page = context.new_page()
    page.goto(f"{cookie['url']}/console/cases/{case}")
    if page.locator(f"form[action$='/cases/{case}/claim'] button").count():
        page.locator(f"form[action$='/cases/{case}/claim'] button").first.click()
    page.goto(f"{cookie['url']}/console/cases/{case}?veil=2")
    if looked_at:
        page.locator("[data-act=look]").first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file, type="jpeg", quality=85)
    context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
