"""Every page of the console in a real browser: for eyes, readers, small windows, and from right to left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, ViewportSize, expect

from assent.core.settings import Settings
from tests.browser.console_site import DESKTOP, OPEN_ALL, SMALLEST, Seat, console_site, faults, seated, shoot
from tests.integration.album import Album
from tests.integration.sign_in_page import link_of
from tests.looked_at import case_of

pytestmark = pytest.mark.timeout(180)
ALICE = "alice-the-subject"
IN_DISGUISE = """document.querySelector("#deciding [name=claim]").value = "00000000-0000-4000-8000-000000000000" """


@pytest.fixture
def site(app: FastAPI, settings: Settings, desk: Album) -> Iterator[str]:
    """The console, with a case in which somebody is recognised and one that looks like it."""
    desk.opt_in(ALICE, "second")
    desk.wait(ALICE, 1)
    desk.post(author=ALICE)
    desk.post("again")
    with console_site(settings, app) as url:
        yield url


@pytest.mark.parametrize("scheme", ["light", "dark", "forced"])
def test_every_page_suits_eyes_and_readers(browser: Browser, site: str, desk: Album, scheme: str) -> None:
    colours = {"forced_colors": "active"} if scheme == "forced" else {"color_scheme": scheme}
    found = []
    with at_work(browser, site, desk, **colours) as seat:
        for name in pages(seat.page, desk):
            seat.page.evaluate(OPEN_ALL)
            shoot(seat.page, f"{name}-{scheme}-1440")
            found += [f"{name}: {fault}" for fault in faults(seat.page)]
    assert found == []


def test_every_page_suits_small_windows_and_runs_from_right_to_left(browser: Browser, site: str, desk: Album) -> None:
    found = []
    with at_work(browser, site, desk) as seat:
        for name in pages(seat.page, desk):
            seat.page.set_viewport_size(SMALLEST)
            seat.page.evaluate(OPEN_ALL)
            found += [f"{name}: {fault}" for fault in faults(seat.page)]
            seat.page.evaluate("document.documentElement.dir = 'rtl'")
            if seat.page.evaluate("document.documentElement.scrollWidth") > SMALLEST["width"]:
                found.append(f"{name}: wider than its window from right to left")
            seat.page.set_viewport_size(ViewportSize(width=390, height=844))
            shoot(seat.page, f"{name}-rtl-390")
            seat.page.set_viewport_size(DESKTOP)
    assert found == []


@contextmanager
def at_work(browser: Browser, site: str, desk: Album, **options: Any) -> Iterator[Seat]:
    """Somebody who may see every page. That some of them are errors is no complaint."""
    with seated(browser, site, desk, "moderator", "senior", "policy", "admin", **options) as seat:
        yield seat
        seat.complaints[:] = [one for one in seat.complaints if "server responded with a status of 4" not in one]


def pages(page: Page, desk: Album) -> Iterator[str]:
    """Opens one page after another; its name."""
    case = case_of(desk.bench, "group")
    yield from visited(
        page,
        {
            "desk": "/console",
            "queue": "/console/queues/default",
            "unclaimed": f"/console/cases/{case}",
            "why": f"/console/cases/{case}/why",
            "similar": f"/console/cases/{case}/similar",
            "policies": f"/console/cases/{case}/policies",
            "statement": f"/console/cases/{case}/statement?action=block",
            "care": "/console/care",
            "settings": "/console/settings",
            "account": "/console/account",
            "step-up": "/console/step-up?to=/console/team",
            "team": "/console/team",
            "log": "/console/log",
            "leaf": "/console/log/0",
            "system": "/console/system",
            "error": f"/console/cases/{uuid4()}",
            "set-up": link_of(desk.bench.pool, desk.keys),
            "set-up-over": "/console/set-up/" + "x" * 43,
        },
    )
    page.goto(f"/console/cases/{case}")
    page.get_by_role("button", name="Claim").click()
    yield "case"
    page.get_by_role("button", name="Not this person").click()
    expect(page.get_by_text("This is final")).to_be_visible()
    yield "not-this-person"
    page.goto(f"/console/cases/{case}")
    page.get_by_label("Note").fill("The sign says so.")
    page.evaluate(IN_DISGUISE)
    page.get_by_role("button", name="Block").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("The sign says so.")
    yield "refused"
    yield from visited(page, {"cluster": f"/console/clusters/{case}"})
    page.get_by_role("button", name="Block all ticked").click()
    yield "cluster-decided"
    yield from visited(page, {"closed": f"/console/cases/{case}", "empty-queue": "/console/queues/default"})
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    yield "sign-in"


def visited(page: Page, paths: dict[str, str]) -> Iterator[str]:
    for name, path in paths.items():
        page.goto(path)
        assert page.locator("h1").count() == 1, name
        yield name
