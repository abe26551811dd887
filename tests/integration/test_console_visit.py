"""Who may open the console, from where, and with which session."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from assent.db.pool import Pool, transaction
from tests.fixtures.console import SignedIn


def form_of(page: str) -> str:
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_who_is_signed_in_sees_the_desk(signed_in: SignedIn) -> None:
    page = signed_in("moderator", name="<img src=x onerror=alert(1)>").get("/console")
    assert page.status_code == 200
    assert "&lt;img src=x" in page.text
    assert "<img src=x" not in page.text
    policy = page.headers["content-security-policy"]
    assert "require-trusted-types-for 'script'" in policy
    assert page.headers["cache-control"] == "no-store"


def test_who_is_not_is_led_to_the_sign_in(stranger: TestClient) -> None:
    answer = stranger.get("/console")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?to=%2Fconsole")


def test_signing_out_ends_the_session(signed_in: SignedIn) -> None:
    robin = signed_in()
    form = form_of(robin.get("/console").text)
    token = robin.cookies["assent_console"]
    assert robin.post("/console/sign-out", data={"form": form}).status_code == 303
    robin.cookies.set("assent_console", token)
    assert robin.get("/console").status_code == 303


def test_a_form_without_its_token_does_nothing(signed_in: SignedIn) -> None:
    robin = signed_in()
    assert robin.post("/console/sign-out", data={"form": "0" * 64}).status_code == 403
    assert robin.get("/console").status_code == 200


@pytest.mark.parametrize("sql", [
    "UPDATE staff_session SET expires_at = now()",
    "UPDATE staff_session SET seen_at = now() - interval '31 minutes'",
    "UPDATE staff SET roles = '{admin}'",
    "UPDATE staff SET disabled_at = now()",
])  # fmt: skip
def test_a_session_ends_with_its_time_its_idling_or_an_altered_account(
    signed_in: SignedIn, pool: Pool, sql: str
) -> None:
    robin = signed_in()
    with transaction(pool) as conn:
        conn.execute(sql)
    assert robin.get("/console").status_code == 303


def test_the_console_opens_on_this_machine_only_unless_an_origin_is_set(signed_in: SignedIn) -> None:
    robin = signed_in()
    assert robin.get("/console", headers={"Host": "social.example"}).status_code == 404
    assert robin.get("/console").status_code == 200
