"""A moderator's work in a real browser: by mouse, by keyboard alone, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Locator, Page, expect

from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from tests.browser.console_site import NARROW, Seat, console_site, faults, seated, shoot
from tests.events import rows
from tests.fixtures.figures import Figure
from tests.integration.album import Album
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"
PAGES = {"desk": "/console", "queue": "/console/queues/default", "settings": "/console/settings"}
LEFT = "SELECT extract(epoch FROM claimed_until - now()) FROM review_case WHERE claim IS NOT NULL"
OPEN_FOR_A_WHILE = "performance.now() > 310 + performance.getEntriesByName('opened')[0]?.startTime"
# From the press on the button, through the redirect, to the last byte of the next picture.
VEIL_TIME = "performance.getEntriesByType('resource').find((one) => one.name.endsWith('/veil/1'))?.responseEnd || 0"
WEIGHT = """[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
  .filter((one) => !one.name.includes('/veil/')).reduce((sum, one) => sum + one.decodedBodySize, 0)"""
MOST_BYTES = 100_000
OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
VEIL_2 = "svg image.shown[href$='/veil/2']"
HELD_DOWN = """document.body.dispatchEvent(
  new KeyboardEvent("keydown", { key: "k", repeat: true, bubbles: true }))"""
FULL = "image.full[visibility=visible]"
SHOWN = "performance.getEntriesByName('full').length > 0"


@pytest.fixture
def site(app: FastAPI, settings: Settings, desk: Album) -> Iterator[str]:
    """The console, with three cases in it."""
    for name in ("first", "second", "third"):
        desk.post(name)
    with console_site(settings, app) as url:
        yield url


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
    expect(wanted).to_be_visible()
    for _ in range(80):
        if wanted.evaluate("e => e === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab does not reach it")


def test_by_mouse(browser: Browser, site: str, desk: Album) -> None:
    with seated(browser, site, desk) as seat:
        page = seat.page
        page.goto("/console")
        page.get_by_role("button", name="Next case").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Case of queue default")
        page.get_by_role("link", name="Next veil").click()
        expect(page.locator("svg image.shown")).to_have_attribute(
            "href", "/veil/2".join((page.url.split("?")[0][len(site) :], ""))
        )
        assert looks(desk) == 0
        page.get_by_role("button", name="See in full").click()
        until(lambda: page.evaluate(SHOWN), "the picture is shown", 5)
        expect(page.locator(FULL)).to_have_count(1)
        assert looks(desk) == 1
        shoot(page, "look")
        page.get_by_role("button", name="Veil at once").click()
        expect(page.locator(FULL)).to_have_count(0)
        page.get_by_role("checkbox", name="Wrong:").first.check()
        page.get_by_label("Labels that are missing").fill("nudity.partial.belly")
        draw_area(page)
        page.get_by_role("button", name="Limit").click()
        expect(page.get_by_text("Decided: hidden behind a warning.")).to_be_visible()
        assert outcomes(desk)[0] == ("limit", "limit")
        ((hidden,),) = rows(desk.bench, "SELECT document -> 'redact' FROM decision WHERE action = 'limit'")
        assert len(hidden) == 1
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("nothing of the decision was sent")).to_be_visible()
        assert outcomes(desk)[0] == (None, "review")
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        page.get_by_role("button", name="Skip").click()
        expect(page.get_by_text("Skipped.")).to_be_visible()
        assert [outcome for outcome, _ in outcomes(desk)] == ["block", None, None]
        page.get_by_role("button", name="Release").click()
        expect(page.get_by_text("waits for anybody")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/console/sign-in**")


def draw_area(page: Page) -> None:
    """Hides an area with the pointer."""
    page.locator("summary", has_text="Hide an area").click()
    place = page.locator(".frame svg").bounding_box()
    assert place
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2 + 40, place["y"] + place["height"] / 2 + 30, steps=4)
    page.mouse.up()
    expect(page.locator(".areas input:checked")).to_have_count(1)


def test_by_keyboard_alone(browser: Browser, site: str, desk: Album) -> None:
    with seated(browser, site, desk) as seat:
        page = seat.page
        page.goto("/console")
        tab_to(page, page.get_by_role("button", name="Next case"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Case of queue default")
        ready(page)
        page.keyboard.press("v")
        expect(page.locator(VEIL_2)).to_have_count(1)
        page.keyboard.down(" ")
        until(lambda: page.evaluate(SHOWN), "the picture is shown", 5)
        expect(page.locator(FULL)).to_have_count(1)
        page.keyboard.up(" ")
        expect(page.locator(FULL)).to_have_count(0)
        assert looks(desk) == 1
        page.keyboard.press("g")
        expect(page.locator("svg.grey")).to_have_count(0)
        page.keyboard.press("1")
        expect(page.get_by_role("checkbox", name="Wrong:").first).to_be_checked()
        page.keyboard.press("q")
        page.keyboard.type("nudity.partial.belly")  # a, b and l in it decide nothing
        expect(page.get_by_label("Labels that are missing")).to_have_value("nudity.partial.belly")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("h")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".areas input:checked")).to_have_count(1)
        page.keyboard.press("l")
        expect(page.get_by_text("Decided: hidden behind a warning.")).to_be_visible()
        ready(page)
        page.keyboard.press("u")
        expect(page.get_by_text("nothing of the decision was sent")).to_be_visible()
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
        page.wait_for_url("**/console/sign-in**")


def test_without_scripts(browser: Browser, site: str, desk: Album) -> None:
    with seated(browser, site, desk, java_script_enabled=False) as seat:
        page = seat.page
        page.goto("/console")
        page.get_by_role("link", name="default").click()
        page.get_by_role("button", name="Next case").click()
        page.get_by_role("link", name="Next veil").click()
        expect(page.locator("svg image.shown")).to_have_attribute(
            "href", page.url[len(site) :].replace("?veil=2", "/veil/2")
        )
        with page.expect_response("**/console/looks/*") as full:
            page.get_by_role("button", name="See in full").click()
        assert full.value.status == 200
        assert looks(desk) == 1
        expect(page.get_by_role("button", name="Boxes")).to_be_hidden()
        page.get_by_role("checkbox", name="Wrong:").first.check()
        page.get_by_label("Labels that are missing").fill("nudity.partial.belly")
        page.locator("summary", has_text="Hide an area").click()
        for side in ("From the left", "From the top", "Width", "Height"):
            page.get_by_label(side).fill("30")
        page.get_by_role("button", name="Limit").click()
        expect(page.get_by_text("Decided: hidden behind a warning.")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("nothing of the decision was sent")).to_be_visible()
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        page.get_by_role("button", name="Skip").click()
        expect(page.get_by_text("Skipped.")).to_be_visible()
        assert [outcome for outcome, _ in outcomes(desk)] == ["block", None, None]
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/console/sign-in**")


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


@pytest.mark.parametrize("scheme", ["light", "dark", "forced"])
def test_every_page_suits_eyes_and_readers(browser: Browser, site: str, desk: Album, scheme: str) -> None:
    colours = {"forced_colors": "active"} if scheme == "forced" else {"color_scheme": scheme}
    with seated(browser, site, desk, **colours) as seat:
        page = seat.page
        open_case(seat)
        case = page.url
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_text("Decided: not shown.")).to_be_visible()
        found = []
        for name, path in {"case": page.url, "closed": case, **PAGES}.items():
            page.goto(path)
            for window in (None, NARROW):
                if window:
                    page.set_viewport_size(window)
                page.evaluate(OPEN_ALL)
                shoot(page, f"{name}-{scheme}-{'320' if window else '1440'}")
                found += [f"{name} {window}: {fault}" for fault in faults(page)]
            page.set_viewport_size({"width": 1440, "height": 900})
        assert found == []


def test_from_right_to_left_nothing_leaves_the_window(browser: Browser, site: str, desk: Album) -> None:
    with seated(browser, site, desk, viewport=NARROW) as seat:
        page = seat.page
        open_case(seat)
        for path in (page.url, *PAGES.values()):
            page.goto(path)
            page.evaluate("document.documentElement.dir = 'rtl'")
            page.evaluate(OPEN_ALL)
            assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        shoot(page, "settings-rtl")


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
