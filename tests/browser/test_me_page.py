"""The person's own page in a real browser, from opening the link to a receipt that is verified offline; with scripts
switched on and off, which must make no difference."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize, expect

from tests.browser.looks import CONTRAST_WANTED, PHONE, WEAKEST_CONTRAST
from tests.command import assent, invoke
from tests.house import House, running
from tests.photos import FACES, altered
from tests.waiting import until
from tests.web import Web

ROOT = Path(__file__).parents[2]
SHOTS = os.environ.get("ASSENT_TEST_SHOTS")  # a folder for pictures of every page, for whoever wants to look at them
SHOT = ViewportSize(width=390, height=844)
REFUSED = "status of 422"  # Chromium notes in the console that a photo was refused, as it does of any such answer
TARGET = 44  # pixels that a finger needs
SMALL_TARGETS = """(wanted) => {
  const all = document.querySelectorAll("button, .button, nav a, summary, select, .choice, input[type=file]");
  const small = (e) => e.checkVisibility() && e.getBoundingClientRect().height < wanted;
  return [...all].filter(small).map((e) => e.outerHTML);
}"""
UNLABELLED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
  .filter((e) => ![...e.labels].some((l) => l.textContent.trim())).map((e) => e.outerHTML)"""
UNNAMED = """() => [...document.querySelectorAll("button, a, summary")]
  .filter((e) => !e.textContent.trim()).map((e) => e.outerHTML)"""
BROKEN_REFERENCES = """() => [...document.querySelectorAll("[aria-describedby], [aria-labelledby], label[for]")]
  .filter((e) => { const id = e.getAttribute("aria-describedby") || e.getAttribute("aria-labelledby") || e.htmlFor;
                   return document.querySelectorAll("#" + CSS.escape(id)).length !== 1; }).map((e) => e.outerHTML)"""
UNGROUPED = """() => [...document.querySelectorAll("input[type=radio]")]
  .filter((e) => !e.closest("fieldset")?.querySelector("legend")?.textContent.trim()).length"""

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Visit:
    """Who visits, with which face of the group photo, and how their browser is set up."""

    name: str
    face: str
    scope: str
    scripts: bool
    scheme: Literal["light", "dark"]


ALICE = Visit("alice", "second", "Only in what you post yourself", True, "light")
BOB = Visit("bob", "fifth", "In what you post, and in posts by accounts that you chose", False, "dark")


@pytest.fixture(scope="module")
def house(chromium: str, open_folder: Path, platform: Web) -> Iterator[House]:
    """A server with its worker under the policy that asks first."""
    del chromium  # without a browser the run would be for nothing
    settings = {
        "ASSENT_POLICY": str(ROOT / "policies" / "ask-first.yaml"),
        "ASSENT_MEDIA_PAGE": f"{platform.url}/pictures/{{media}}",
    }
    with running(open_folder / "me-page", platform, **settings) as house:
        house.wait_for_worker()
        yield house


@pytest.fixture
def visit(request: pytest.FixtureRequest) -> Visit:
    found: Visit = request.param
    return found


@pytest.fixture
def page(visit: Visit, browser: Browser, house: House) -> Iterator[Page]:
    """A phone; whatever its console says or it asks of another host fails the test that used it."""
    context = browser.new_context(
        base_url=house.url, viewport=PHONE, java_script_enabled=visit.scripts, color_scheme=visit.scheme
    )
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if REFUSED not in message.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    yield page
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(f"{house.url}/me")] == []


@pytest.fixture
def look(page: Page, visit: Visit) -> Callable[[str], None]:
    """What has to hold on every page, whatever it says."""

    def look(name: str) -> None:
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        contrast, words = page.evaluate(WEAKEST_CONTRAST)
        assert contrast >= CONTRAST_WANTED, words
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.title()
        assert page.locator("main").count() == page.locator("h1").count() == 1
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
        assert all(after <= before + 1 for before, after in pairwise([1, *levels]))
        assert page.evaluate(SMALL_TARGETS, TARGET) == []
        for wrong in (UNLABELLED, UNNAMED, BROKEN_REFERENCES):
            assert page.evaluate(wrong) == []
        assert page.evaluate(UNGROUPED) == 0
        assert page.locator("script, iframe, [style], [onclick]").count() == 0
        assert not re.search(r"\b0\.\d", page.inner_text("body"))  # no score, ever
        if SHOTS:
            page.set_viewport_size(SHOT)
            page.screenshot(path=Path(SHOTS) / f"{visit.name}-{name}.png")
            page.screenshot(path=Path(SHOTS) / f"{visit.name}-{name}-whole.png", full_page=True)
            page.set_viewport_size(PHONE)

    return look


def open_page(page: Page, house: House, name: str, look: Callable[[str], None]) -> None:
    link = httpx2.post(f"{house.url}/v1/subjects/{name}/links", headers=house.headers, timeout=30).json()["url"]
    assert httpx2.get(house.url + link, timeout=30).status_code == 200  # what a preview of the link does
    page.goto(link)
    look("0-link")
    page.get_by_role("button", name="Open my page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not recognised in photos")


def agree(page: Page, visit: Visit) -> None:
    page.get_by_label(visit.scope, exact=True).check()
    page.get_by_label("Where do you live?").select_option("Germany")
    page.get_by_label("18 or older").check()
    page.get_by_role("button", name="I agree").click()
    expect(page.get_by_role("status")).to_contain_text("You have agreed.")


def send(page: Page, label: str, *photos: bytes) -> None:
    files = [FilePayload(name=f"{n}.jpg", mimeType="image/jpeg", buffer=data) for n, data in enumerate(photos)]
    page.get_by_label(label).set_input_files(files)
    page.get_by_role("button", name="Send", exact=True).click()


def post_group_photo(house: House, platform: Web, photo: bytes, author: str) -> str:
    """The platform tells of a post; the picture's id once it is decided."""
    media = f"{author}-{uuid4()}"
    platform.files[f"/{media}.jpg"] = photo
    body = {
        "type": "media.created",
        "media": [{"id": media, "url": f"{platform.url}/{media}.jpg"}],
        "author": author,
        "visibility": "public",
        "surface": "post",
    }
    assert house.post(f"msg_{media}", body).status_code == 202
    until(lambda: house.get(f"/v1/media/{media}").status_code == 200, "the picture is decided", 60, 0.1)
    return media


def named(house: House, media: str) -> list[str]:
    """Whom the platform finds in the picture."""
    faces = house.get(f"/v1/media/{media}").json()["faces"]
    return [face["match"]["subject"] for face in faces if face["match"]]


def told(platform: Web, media: str) -> list[tuple[str, list[str]]]:
    """What the platform was sent about the picture: type and names."""
    messages: list[dict[str, Any]] = [json.loads(posted.body) for posted in platform.received]
    return [
        (said["type"], [face["match"]["subject"] for face in said["data"]["faces"] if face["match"]])
        for said in messages
        if said["data"]["media"]["id"] == media
    ]


@pytest.mark.parametrize("visit", [ALICE, BOB], ids=lambda visit: visit.name, indirect=True)
def test_from_consent_to_a_verified_receipt(
    page: Page,
    look: Callable[[str], None],
    visit: Visit,
    house: House,
    platform: Web,
    six_people: bytes,
    tmp_path: Path,
) -> None:
    open_page(page, house, visit.name, look)
    look("1-nothing-agreed")
    agree(page, visit)
    look("2-agreed")
    send(page, "Or take one now", six_people)
    expect(page.get_by_role("alert")).to_contain_text("Photo 1 shows 6 faces. Send a photo that shows only you.")
    look("3-photo-refused")
    send(page, "Choose photos", altered(six_people, FACES[visit.face]))
    expect(page.get_by_role("status")).to_contain_text("From now on you can be recognised")
    look("4-enrolled")

    media = post_group_photo(house, platform, six_people, visit.name)
    assert named(house, media) == []
    page.get_by_role("link", name="Pictures").click()
    expect(page.get_by_role("article")).to_contain_text("Waits for your answer")
    expect(page.get_by_role("link", name="Look at the picture")).to_have_attribute(
        "href", f"{platform.url}/pictures/{media}"
    )
    look("5-suggested")
    page.get_by_role("button", name="Yes, show my name").click()
    expect(page.get_by_role("article")).to_contain_text("Your name is shown")
    look("6-approved")
    until(lambda: ("tag.published", [visit.name]) in told(platform, media), "the platform is told the name")
    assert named(house, media) == [visit.name]

    page.get_by_role("button", name="This is not me").click()
    expect(page.get_by_role("article")).to_have_count(0)
    look("7-not-me")
    assert named(house, media) == []
    until(lambda: ("tag.retracted", []) in told(platform, media), "the platform is told to take the name away")

    page.get_by_role("link", name="My data").click()
    look("8-data")
    with page.expect_download() as exported:
        page.get_by_role("link", name="Download my data").click()
    assert json.loads(exported.value.path().read_bytes())["subject"]["ref"] == visit.name
    receipt = delete_everything(page, house, look, tmp_path)
    offline = {"PATH": "/usr/bin:/bin", "ASSENT_DATA_DIR": str(tmp_path / "nothing")}
    said = assent(offline, "audit", "verify-receipt", str(receipt), "--key", house.printed["audit_key"])
    assert "destroyed" in said
    assert [names for _, names in told(platform, media)][-1] == []


def delete_everything(page: Page, house: House, look: Callable[[str], None], folder: Path) -> Path:
    """Deletes, waits for the rotation as an admin may bring it about, and downloads the receipt."""
    page.get_by_label("Yes, delete everything about me").check()
    page.get_by_role("button", name="Delete everything").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything is deleted")
    look("9-deleted")
    token = page.url.rpartition("/")[2]

    def ready() -> bool:
        rotated = invoke(house.environment, "keys", "rotate-epoch")
        assert rotated.status == 0 or "rotation_under_way" in rotated.stderr, rotated.stderr  # the worker's own
        return httpx2.get(f"{house.url}/v1/erasures/{token}", timeout=30).status_code == 200

    until(ready, "the receipt is signed", 60)
    page.get_by_role("link", name="Is the receipt ready?").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your receipt is ready")
    look("10-receipt")
    with page.expect_download() as sent:
        page.get_by_role("link", name="Download the receipt").click()
    file = folder / sent.value.suggested_filename
    sent.value.save_as(file)
    return file


@pytest.mark.parametrize("visit", [Visit("carol", "third", BOB.scope, True, "light")], ids=["carol"], indirect=True)
def test_it_can_be_used_by_keyboard_and_speaks_of_what_has_happened(
    page: Page, visit: Visit, house: House, look: Callable[[str], None]
) -> None:
    open_page(page, house, visit.name, look)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    agree(page, visit)
    expect(page.get_by_role("status")).to_be_focused()
    page.get_by_text("Choose again where").press("Enter")
    expect(page.get_by_label("Where do you live?")).to_have_value("DE")
    look("11-change")
    page.get_by_role("button", name="Stop recognising me").press("Enter")
    expect(page.get_by_role("status")).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not recognised in photos")
    page.get_by_role("button", name="Close my page").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your page is closed")
    look("12-closed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_refusals_are_pages_like_the_others(browser: Browser, house: House, scheme: Any) -> None:
    context = browser.new_context(base_url=house.url, viewport=PHONE, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"/me/{'A' * 43}")
    page.get_by_role("button", name="Open my page").click()
    expect(page.get_by_role("alert")).to_contain_text("Ask for a new one where you got this one.")
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"refused-{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    contrast, words = page.evaluate(WEAKEST_CONTRAST)
    assert contrast >= CONTRAST_WANTED, words
    answer = page.goto("/me")
    assert answer is not None
    assert answer.status == 401
    expect(page.get_by_role("heading", level=1)).to_have_text("Your page is closed")
    context.close()
