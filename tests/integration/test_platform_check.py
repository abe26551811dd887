"""`assent platform check` sends each platform's samples to a running server, and tells what went as it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import assent, invoke
from tests.house import House, running
from tests.web import Web

THEIRS = "a-secret-of-the-platforms-own"


@pytest.fixture(scope="module")
def house(open_folder: Path, platform: Web) -> Iterator[House]:
    with running(open_folder / "checked", platform, "--no-worker") as house:
        yield house


def added(house: House, kind: str, url: str) -> str:
    """Adds a source with a secret that the platform made; returns its webhook's address."""
    secret = Path(house.environment["ASSENT_DATA_DIR"]) / "their-secret"
    secret.write_text(THEIRS + "\n")
    said = assent(house.environment, "platform", "add", kind, "--platform", kind, "--url", url, "--secret-file", secret)
    assert THEIRS not in said
    return f"{house.url}/v1/webhooks/{kind}"


@pytest.mark.parametrize(
    ("kind", "url"), [("mastodon", "https://social.example"), ("discourse", "https://forum.example/")]
)
def test_all_samples_of_a_platform_are_answered_as_they_should_be(house: House, kind: str, url: str) -> None:
    address = added(house, kind, url)
    said = assent(house.environment, "platform", "check", kind, "--url", address, "--secret", THEIRS)
    *_, last = said.splitlines()
    sent, _, total = last.partition(" of ")
    assert total == f"{sent} as expected"
    assert int(sent) > 100
    again = assent(house.environment, "platform", "check", kind, "--url", address, "--secret", THEIRS)
    assert again.splitlines()[-1] == last


def test_the_installations_own_source_passes(house: House) -> None:
    source = house.printed["source"]
    said = assent(
        *(house.environment, "platform", "check", "standard"),
        *("--url", house.url + source["path"], "--secret", source["secret"]),
    )
    assert said.splitlines()[-1] == "22 of 22 as expected"


def test_a_wrong_secret_is_seen_in_the_table(house: House) -> None:
    done = invoke(
        *(house.environment, "platform", "check", "standard"),
        *("--url", house.url + house.printed["source"]["path"], "--secret", "whsec_" + "c2VjcmV0" * 5),
    )
    assert done.status == 1
    assert "created, signed: expected event, answered 401" in done.stdout


def test_a_server_that_is_away_is_named(house: House) -> None:
    words = ("platform", "check", "standard", "--url", "http://127.0.0.1:1/x", "--secret", "whsec_" + "c2VjcmV0" * 5)
    done = invoke(house.environment, *words)
    assert done.status == 1
    assert "fetch_failed" in done.stdout
