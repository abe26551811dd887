"""Signing in to the console in a real browser: with a passkey, without scripts, and what is refused."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.looks import CONTRAST_WANTED, WEAKEST_CONTRAST
from tests.browser.passkey import device
from tests.house import House, running
from tests.integration.sign_in_page import PASSWORD, code_of
from tests.web import Web

SHOTS = os.environ.get("ASSENT_TEST_SHOTS")  # a folder for pictures of every page, for whoever wants to look at them
SMALL, LARGE = ViewportSize(width=320, height=640), ViewportSize(width=1440, height=900)

pytestmark = pytest.mark.timeout(240)
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def house(chromium: str, open_folder: Path, platform: Web) -> Iterator[House]:
    """A running server; its console opens on localhost."""
    del chromium  # without a browser the run would be for nothing
    with running(open_folder / "sign-in", platform, "--no-worker") as house:
        yield house


@pytest.fixture
def open_browser(browser: Browser, house: House) -> Iterator[Open]:
    """Opens browsers of their own; whatever their consoles say fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_browser(scripts: bool = True, **options: Any) -> Page:
        address = house.url.replace("127.0.0.1", "localhost")
        context = browser.new_context(base_url=address, java_script_enabled=scripts, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: complaints.append(said.text) if "status of 4" not in said.text else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_browser
    for context in contexts:
        context.close()
    assert complaints == []


def look(page: Page, name: str) -> None:
    """What has to hold on every page, small and large."""
    for size in (SMALL, LARGE):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        contrast, words = page.evaluate(WEAKEST_CONTRAST)
        assert contrast >= CONTRAST_WANTED, words
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"console-{name}-{size['width']}.png", full_page=True)
    told = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in told if one["impact"] in ("serious", "critical")] == []
    assert "built-in" not in page.inner_text("body")  # a word of the table that a method of tables shadows
    assert page.locator("main").count() == page.locator("h1").count() == 1


def link(house: House, *words: str) -> str:
    return house.run("console", "link", *words).strip().replace("127.0.0.1", "localhost")


def set_up(page: Page, house: House, name: str, *words: str) -> None:
    """Makes an account with a passkey."""
    page.goto(link(house, *words))
    page.get_by_label("Your name").first.fill(name)
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Desk")


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


@pytest.mark.parametrize("scheme", ["light", "dark", "forced"])
def test_set_up_sign_out_sign_in_and_step_up_with_a_passkey(open_browser: Open, house: House, scheme: str) -> None:
    looks = {"forced_colors": "active"} if scheme == "forced" else {"color_scheme": scheme}
    page = open_browser(**looks)
    session, authenticator = device(page)
    page.goto(link(house, "--role", "admin", "--name", f"Ada {scheme}"))
    look(page, f"set-up-{scheme}")
    set_up(page, house, f"Ada of the {scheme}", "--role", "admin", "--role", "senior")
    look(page, f"desk-{scheme}")
    page.get_by_role("button", name="Sign out").click()
    heading(page, "Sign in")
    look(page, f"sign-in-{scheme}")
    page.get_by_role("button", name="Sign in with a passkey").click()
    heading(page, "Desk")

    page.goto("/console/step-up?to=/console/team")
    look(page, f"step-up-{scheme}")
    page.get_by_role("button", name="Sign in with a passkey").click()
    heading(page, "Team")
    look(page, f"team-{scheme}")
    page.get_by_role("link", name=f"Ada of the {scheme}").click()
    look(page, f"member-{scheme}")
    page.goto("/console/team")
    page.get_by_role("button", name="Make a link").click()
    look(page, f"link-{scheme}")

    page.goto("/console/account")
    session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})
    device(page)  # another one, for another key
    page.get_by_label("Name of the passkey").last.fill("Blue key")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("status")).to_have_text("The passkey is added.")
    page.get_by_text("Set a new password").first.click()
    look(page, f"account-{scheme}")
    page.get_by_role("button", name="Remove Blue key").click()
    expect(page.get_by_role("status")).to_have_text("The passkey is removed.")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("button", name="Sign in with a passkey").click()  # the device still has what was removed
    expect(page.get_by_role("alert").first).to_contain_text("That did not sign you in")
    look(page, f"refused-{scheme}")


def test_a_passkey_whose_device_verified_nobody_is_refused(open_browser: Open, house: House) -> None:
    page = open_browser()
    session, authenticator = device(page)
    set_up(page, house, "Vera")
    page.get_by_role("button", name="Sign out").click()
    session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("The passkey was not used.")).to_be_visible()
    # A page that asks for less than ours gets a signature without verification, which the server refuses.
    page.evaluate("""() => {
        const form = document.querySelector("form[data-passkey]");
        const options = JSON.parse(form.dataset.options);
        form.dataset.options = JSON.stringify({ ...options, userVerification: "discouraged" });
    }""")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("That did not sign you in")
    page.goto("/console")
    heading(page, "Sign in")


def test_without_scripts_a_password_does(open_browser: Open, house: House) -> None:
    page = open_browser(scripts=False)
    page.goto(link(house, "--role", "moderator"))
    expect(page.get_by_role("button", name="Make a passkey")).to_have_count(0)
    secret = page.locator("code").first.inner_text()
    assert pyotp.parse_uri(page.get_by_role("link", name="Open it in the app").get_attribute("href") or "")
    page.locator("#name").fill("Noah")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Set up with a password").click()
    heading(page, "Desk")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("Noah")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Code").fill(code_of(secret, 1))
    page.get_by_role("button", name="Sign in", exact=True).click()
    heading(page, "Desk")


def test_a_link_that_was_used_says_so(open_browser: Open, house: House) -> None:
    page = open_browser()
    device(page)
    address = link(house)
    page.goto(address)
    page.get_by_label("Your name").first.fill("Olga")
    page.get_by_role("button", name="Make a passkey").click()
    heading(page, "Desk")
    page.goto(address)
    heading(page, "This link was used, or is over")
    look(page, "link-over")


@pytest.fixture(scope="module")
def provided(chromium: str, open_folder: Path, platform: Web) -> Iterator[House]:
    """A running server whose moderators come from an identity provider."""
    del chromium
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from oidc_provider_mock import User, run_server_in_thread

        kim = User(sub="kim", claims={"name": "Kim", "groups": ["mods"], "auth_time": None})
        with run_server_in_thread(user_claims=[kim]) as provider:
            settings = {
                "ASSENT_OIDC_ISSUER": f"http://localhost:{provider.server_port}",
                "ASSENT_OIDC_CLIENT_ID": "assent",
                "ASSENT_OIDC_CLIENT_SECRET": "a secret",
                "ASSENT_OIDC_ROLES": "mods=moderator",
                "ASSENT_ALLOW_PRIVATE": f"127.0.0.1:{platform.port}@127.0.0.0/8,"
                f"localhost:{provider.server_port}@127.0.0.0/8",
            }
            with running(open_folder / "provided", platform, "--no-worker", **settings) as house:
                yield house


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider's own libraries
@pytest.mark.parametrize("scripts", [True, False])
def test_an_identity_provider_signs_in(browser: Browser, provided: House, scripts: bool) -> None:
    address = provided.url.replace("127.0.0.1", "localhost")
    context = browser.new_context(base_url=address, java_script_enabled=scripts)
    page = context.new_page()
    page.goto("/console")
    page.get_by_role("button", name="Sign in with localhost").click()
    page.get_by_role("button", name="kim").click()
    heading(page, "Desk")
    expect(page.get_by_text("Signed in as Kim")).to_be_visible()
    context.close()
