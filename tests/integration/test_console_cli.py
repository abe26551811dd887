"""`assent console`: links for accounts, a list of them, and how queues are treated."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from assent.db.pool import Pool
from tests.command import assent, failing, invoke
from tests.events import leaves, rows
from tests.integration.sign_in_page import set_up


def test_a_link_sets_up_an_account_and_another_way_to_sign_in(
    stranger: TestClient, environment: dict[str, str], pool: Pool
) -> None:
    assert "assent console link" in assent(environment, "console", "accounts")
    link = assent(environment, "console", "link", "--role", "senior", "--queue", "nsfw", "--name", "Kim").strip()
    assert link.startswith("http://localhost:8400/console/set-up/")
    path = link.removeprefix("http://localhost:8400")
    assert 'value="Kim"' in stranger.get(path).text
    set_up(stranger, path, "Kim")
    told = assent(environment, "console", "accounts")
    assert all(word in told for word in ("Kim", "senior", "nsfw"))
    ((account,),) = rows(pool, "SELECT id FROM staff")
    again = assent(environment, "console", "link", "--account", str(account)).strip()
    page = stranger.get(again.removeprefix("http://localhost:8400"))
    assert "The account Kim gets another way to sign in." in page.text
    assert len(leaves(pool, "staff.invited")) == 2


def test_what_is_no_role_is_refused(environment: dict[str, str]) -> None:
    assert "'owner' is no role" in failing(environment, "console", "link", "--role", "owner")


def test_a_queue_is_grave_or_ordinary_and_the_log_says_so(environment: dict[str, str], pool: Pool) -> None:
    assent(environment, "console", "queue", "nsfw", "--due", "30", "--grave")
    assent(environment, "console", "queue", "nsfw", "--due", "60")
    found: list[tuple[Any, ...]] = rows(pool, "SELECT name, due_minutes, grave FROM review_queue")
    assert found == [("nsfw", 60, False)]
    (first, second) = leaves(pool, "queue.changed")
    assert (first["due_minutes"], first["grave"], second["grave"]) == (30, True, False)
    assert invoke(environment, "console", "queue", "nsfw", "--due", "0").status == 2
