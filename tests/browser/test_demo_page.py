"""The whole demo as a stranger runs it, then its page in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser.looks import CONTRAST_WANTED, PHONE, WEAKEST_CONTRAST

ROOT = Path(__file__).parents[2]
DESK = ViewportSize(width=1280, height=900)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def page_file(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one complete run; its terminal text lies beside it."""
    del chromium  # without a browser the run would be for nothing
    out = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "OUT": str(out)}
    environment.pop("PHOTOS", None)
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    (out / "terminal.txt").write_text(done.stdout)
    return out / "index.html"


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser, page_file: Path) -> Iterator[Page]:
    """The page at phone width, for all tests; any complaint of it fails the last of them."""
    opened = browser.new_page(viewport=PHONE, color_scheme=request.param)
    complaints: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("requestfailed", lambda failed: complaints.append(failed.url))
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()
    assert not complaints
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_the_terminal_tells_the_story(page_file: Path) -> None:
    said = (page_file.parent / "terminal.txt").read_text()
    assert "alice, bob" in said
    assert "altered copies of the photo" in " ".join(said.split())
    assert "Traceback" not in said
    assert str(page_file) in said


def test_every_picture_loads_and_is_described(page: Page) -> None:
    pictures = page.evaluate("[...document.images].map(i => [i.alt, i.complete && i.naturalWidth])")
    assert len(pictures) == 4 + 9  # enrolment photos, then posts that could be looked at
    assert all(alt and width for alt, width in pictures)


def test_nothing_has_to_be_scrolled_sideways(page: Page) -> None:
    for viewport in (DESK, PHONE):  # the width that the other tests expect comes last
        page.set_viewport_size(viewport)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide == viewport["width"]


def test_headings_lead_through_the_page(page: Page) -> None:
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert levels.count(2) == 6
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_story_is_on_the_page(page: Page) -> None:
    text = page.inner_text("body")
    assert "Chelsea the cat" in text
    assert "@alice withdrew the consent: tag.retracted, with no name in it. The report stood." in text
    assert "the report is resolved" in text
    assert "fetch_missing" in text
    assert "media_unsupported" in text
    assert page.get_by_text("broken", exact=True).count() == 0
    mine = page.locator("article").first
    assert mine.locator(".chip.yes").all_inner_texts() == ["alice", "bob"]
    assert mine.get_by_text("4 left alone").is_visible()
    stranger = page.locator("article").nth(1)
    assert stranger.get_by_text("6 left alone").is_visible()
    assert stranger.locator(".chip.yes").count() == 0


def test_words_stand_out_from_their_ground(page: Page) -> None:
    contrast, words = page.evaluate(WEAKEST_CONTRAST)
    assert contrast >= CONTRAST_WANTED, words
