"""A case's page in a real browser: keys that are off or held, figures, hostile names, claims that last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, expect

from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from tests.browser.console_site import (
    Seat,
    console_site,
    faults,
    looks,
    outcomes,
    ready,
    seated,
)
from tests.events import rows
from tests.fixtures.figures import Figure
from tests.integration.album import Album
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"
LEFT = "SELECT extract(epoch FROM claimed_until - now()) FROM review_case WHERE claim IS NOT NULL"
# From the press on the button, through the redirect, to the last byte of the next picture.
VEIL_TIME = "performance.getEntriesByType('resource').find((one) => one.name.endsWith('/veil/1'))?.responseEnd || 0"
WEIGHT = """[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
  .filter((one) => !one.name.includes('/veil/')).reduce((sum, one) => sum + one.decodedBodySize, 0)"""
MOST_BYTES = 100_000
HELD_DOWN = """document.body.dispatchEvent(
  new KeyboardEvent("keydown", { key: "k", repeat: true, bubbles: true }))"""


@pytest.fixture
def site(app: FastAPI, settings: Settings, desk: Album) -> Iterator[str]:
    """The console, with three cases in it."""
    for name in ("first", "second", "third"):
        desk.post(name)
    with console_site(settings, app) as url:
        yield url


def test_switched_off_no_letter_acts(browser: Browser, site: str, desk: Album) -> None:
    with seated(browser, site, desk) as seat:
        page = seat.page
        page.goto("/console/settings")
        page.get_by_label("Single letters act").uncheck()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_have_text("Saved.")
        open_case(seat)
        ready(page)
        for key in ("k", "a", "s", " ", "1", "?"):
            page.keyboard.press(key)
        expect(page.get_by_role("checkbox", name="Wrong:").first).not_to_be_checked()
        assert [outcome for outcome, _ in outcomes(desk)] == [None, None, None]
        assert looks(desk) == 0
        page.goto("/console/settings")
        page.get_by_label("Single letters act").check()
        page.get_by_label("Block", exact=True).fill("x")
        page.get_by_role("button", name="Save").click()
        open_case(seat)
        ready(page)
        page.keyboard.press("k")
        page.keyboard.press("x")
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()


def test_keys_held_down_or_meant_for_the_case_before_do_nothing(browser: Browser, site: str, desk: Album) -> None:
    with seated(browser, site, desk) as seat:
        page = seat.page
        open_case(seat)
        ready(page)
        page.keyboard.press("k")
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        page.keyboard.press("k")  # too soon
        ready(page)
        page.evaluate(HELD_DOWN)
        assert [outcome for outcome, _ in outcomes(desk)] == ["block", None, None]


def test_the_next_veil_is_there_soon_after_a_decision(browser: Browser, site: str, desk: Album, figure: Figure) -> None:
    with seated(browser, site, desk) as seat:
        page = seat.page
        open_case(seat)
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        until(lambda: page.evaluate(VEIL_TIME), "the veil is there", 5)
        spent = page.evaluate(VEIL_TIME)
        weight = page.evaluate(WEIGHT)
    figure(f"from a decision to the next case's veil, in Chromium: {spent:.0f} ms")
    figure(f"a case's page with its style sheet and script, without its picture: {weight / 1000:.0f} kB")
    assert weight <= MOST_BYTES


def open_case(seat: Seat) -> None:
    """Opens the next case of the queue."""
    seat.page.goto("/console/queues/default")
    seat.page.get_by_role("button", name="Next case").click()
    expect(seat.page.get_by_role("heading", level=1)).to_have_text("Case of queue default")


def test_hostile_names_do_nothing(browser: Browser, site: str, desk: Album, pool: Pool) -> None:
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET reason = %s", [HOSTILE])
        conn.execute(
            "UPDATE review_case SET media_id = 'line' || repeat(chr(10) || 'x', 10000) WHERE media_id = 'third'"
        )
    with seated(browser, site, desk, name=HOSTILE * 40) as seat:
        page = seat.page
        for path in ("/console", "/console/queues/default"):
            page.goto(path)
            assert page.locator("img[src=x]").count() == 0
            assert faults(page) == []
        open_case(seat)
        expect(page.get_by_text("<img src=x onerror=alert(1)>{U+202E}gnp.exe").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 1440
        seat.complaints[:] = [one for one in seat.complaints if "/veil/" not in one]  # no picture has the new id


def test_a_claim_is_extended_while_somebody_works(browser: Browser, site: str, desk: Album, pool: Pool) -> None:
    with seated(browser, site, desk) as seat:
        page = seat.page
        page.clock.install()
        open_case(seat)
        with transaction(pool) as conn:
            conn.execute("UPDATE review_case SET claimed_until = now() + interval '20 seconds' WHERE claim IS NOT NULL")
        page.keyboard.press("Shift")
        page.clock.run_for(61_000)

        def extended() -> bool:
            ((left,),) = rows(
                pool, "SELECT extract(epoch FROM claimed_until - now()) FROM review_case WHERE claim IS NOT NULL"
            )
            return float(left) > 200

        until(extended, "the claim is extended", 5)
