"""The whole work of a moderator in a real browser, from the set-up link to the sign-out: by mouse, by keyboard alone,
and with a password where no script runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from assent.core.settings import Settings
from tests.browser.console_site import (
    FULL,
    SHOWN,
    VEIL_2,
    console_site,
    looks,
    outcomes,
    ready,
    tab_to,
    watched,
)
from tests.browser.passkey import device
from tests.events import rows
from tests.integration.album import Album
from tests.integration.sign_in_page import PASSWORD, code_of, link_of
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)
MISSING = "nudity.partial.belly"


@pytest.fixture
def site(app: FastAPI, settings: Settings, desk: Album) -> Iterator[str]:
    """The console, with three cases in it."""
    for name in ("first", "second", "third"):
        desk.post(name)
    with console_site(settings, app) as url:
        yield url


def test_by_mouse(browser: Browser, site: str, desk: Album) -> None:
    with watched(browser, site) as seat:
        page = seat.page
        device(page)
        page.goto(link_of(desk.bench.pool, desk.keys))
        page.get_by_label("Your name").first.fill("Mona")
        page.get_by_role("button", name="Make a passkey").click()
        heading(page, "Desk")
        page.get_by_role("button", name="Next case").click()
        heading(page, "Case of queue default")
        page.get_by_role("link", name="Next veil").click()
        expect(page.locator(VEIL_2)).to_have_count(1)
        assert looks(desk) == 0
        page.get_by_role("button", name="See in full").click()
        full_is_shown(page)
        assert looks(desk) == 1
        page.get_by_role("button", name="Veil at once").click()
        expect(page.locator(FULL)).to_have_count(0)
        page.get_by_role("checkbox", name="Wrong:").first.check()
        page.get_by_label("Labels that are missing").fill(MISSING)
        draw_area(page)
        page.get_by_role("button", name="Limit").click()
        was_limited(page, desk)
        page.get_by_role("button", name="Undo").click()
        was_undone(page, desk)
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        page.get_by_role("button", name="Skip").click()
        expect(page.get_by_text("Skipped.")).to_be_visible()
        assert [outcome for outcome, _ in outcomes(desk)] == ["block", None, None]
        page.get_by_role("button", name="Release").click()
        expect(page.get_by_text("waits for anybody")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        heading(page, "Sign in")
        page.get_by_role("button", name="Sign in with a passkey").click()
        heading(page, "Desk")


def test_by_keyboard_alone(browser: Browser, site: str, desk: Album) -> None:
    with watched(browser, site) as seat:
        page = seat.page
        device(page)
        page.goto(link_of(desk.bench.pool, desk.keys))
        tab_to(page, page.get_by_label("Your name").first)
        page.keyboard.type("Kay")
        tab_to(page, page.get_by_role("button", name="Make a passkey"))
        page.keyboard.press("Enter")
        heading(page, "Desk")
        tab_to(page, page.get_by_role("button", name="Next case"))
        page.keyboard.press("Enter")
        heading(page, "Case of queue default")
        ready(page)
        page.keyboard.press("v")
        expect(page.locator(VEIL_2)).to_have_count(1)
        page.keyboard.down(" ")
        full_is_shown(page)
        page.keyboard.up(" ")
        expect(page.locator(FULL)).to_have_count(0)
        assert looks(desk) == 1
        page.keyboard.press("g")
        expect(page.locator("svg.grey")).to_have_count(0)
        correct_with_keys(page)
        page.keyboard.press("l")
        was_limited(page, desk)
        ready(page)
        page.keyboard.press("u")
        was_undone(page, desk)
        ready(page)
        page.keyboard.press("k")
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        ready(page)
        page.keyboard.press("Control+z")
        expect(page.get_by_text("nothing of the decision was sent")).to_be_visible()
        ready(page)
        page.keyboard.press("a")
        expect(page.get_by_text("Decided: allowed.")).to_be_visible()
        ready(page)
        page.keyboard.press("?")
        expect(page.locator("#keys dl")).to_be_visible()
        page.keyboard.press("e")
        expect(page.get_by_label("Reason")).to_be_focused()  # an escalation needs one
        page.keyboard.press("Tab")
        page.keyboard.press("s")
        expect(page.get_by_text("Skipped.")).to_be_visible()
        assert [outcome for outcome, _ in outcomes(desk)] == ["allow", None, None]
        tab_to(page, page.get_by_role("button", name="Sign out"))
        page.keyboard.press("Enter")
        heading(page, "Sign in")
        tab_to(page, page.get_by_role("button", name="Sign in with a passkey"))
        page.keyboard.press("Enter")
        heading(page, "Desk")


def test_with_a_password_and_without_scripts(browser: Browser, site: str, desk: Album) -> None:
    with watched(browser, site, java_script_enabled=False) as seat:
        page = seat.page
        page.goto(link_of(desk.bench.pool, desk.keys))
        secret = page.locator("code").first.inner_text()
        page.locator("#name").fill("Noah")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Code").fill(code_of(secret))
        page.get_by_role("button", name="Set up with a password").click()
        heading(page, "Desk")
        page.get_by_role("link", name="default").click()
        page.get_by_role("button", name="Next case").click()
        page.get_by_role("link", name="Next veil").click()
        expect(page.locator(VEIL_2)).to_have_count(1)
        with page.expect_response("**/console/looks/*") as full:
            page.get_by_role("button", name="See in full").click()
        assert full.value.status == 200
        assert looks(desk) == 1
        expect(page.get_by_role("button", name="Boxes")).to_be_hidden()
        page.get_by_role("checkbox", name="Wrong:").first.check()
        page.get_by_label("Labels that are missing").fill(MISSING)
        page.locator("summary", has_text="Hide an area").click()
        for side in ("From the left", "From the top", "Width", "Height"):
            page.get_by_label(side).fill("30")
        page.get_by_role("button", name="Limit").click()
        was_limited(page, desk)
        page.get_by_role("button", name="Undo").click()
        was_undone(page, desk)
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        page.get_by_role("button", name="Skip").click()
        expect(page.get_by_text("Skipped.")).to_be_visible()
        assert [outcome for outcome, _ in outcomes(desk)] == ["block", None, None]
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Name").fill("Noah")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Code").fill(code_of(secret, 1))
        page.get_by_role("button", name="Sign in", exact=True).click()
        heading(page, "Desk")


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def full_is_shown(page: Page) -> None:
    until(lambda: page.evaluate(SHOWN), "the picture is shown", 5)
    expect(page.locator(FULL)).to_have_count(1)


def draw_area(page: Page) -> None:
    """Hides an area with the pointer."""
    page.locator("summary", has_text="Hide an area").click()
    picture = page.locator(".frame svg")
    picture.scroll_into_view_if_needed()
    place = picture.bounding_box()
    assert place
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2 + 40, place["y"] + place["height"] / 2 + 30, steps=4)
    page.mouse.up()
    expect(page.locator(".areas input:checked")).to_have_count(1)


def correct_with_keys(page: Page) -> None:
    """Says that the first label is wrong and that one is missing, and hides an area."""
    page.keyboard.press("1")
    expect(page.get_by_role("checkbox", name="Wrong:").first).to_be_checked()
    page.keyboard.press("q")
    page.keyboard.type(MISSING)  # a, b and l in it decide nothing
    expect(page.get_by_label("Labels that are missing")).to_have_value(MISSING)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("h")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".areas input:checked")).to_have_count(1)


def was_limited(page: Page, desk: Album) -> None:
    """The decision stands with both corrections and one hidden area."""
    expect(page.get_by_text("Decided: hidden behind a warning.")).to_be_visible()
    assert outcomes(desk)[0] == ("limit", "limit")
    ((hidden,),) = rows(desk.bench, "SELECT document -> 'redact' FROM decision WHERE action = 'limit'")
    assert len(hidden) == 1
    corrections = rows(desk.bench, "SELECT label, holds FROM correction ORDER BY holds")
    assert [holds for _, holds in corrections] == [False, True]
    assert corrections[1][0] == MISSING


def was_undone(page: Page, desk: Album) -> None:
    expect(page.get_by_text("nothing of the decision was sent")).to_be_visible()
    assert outcomes(desk)[0] == (None, "review")
    assert rows(desk.bench, "SELECT FROM correction") == []
