"""Who gets into the person's own page, and who does not: links, sessions, forms from elsewhere, guesses."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assent.db.pool import Pool, transaction
from assent.db.queue import database_time
from assent.http.limits import RATES, RateLimiter
from assent.keys.keystore import Keystore, TenantKeys
from assent.subjects import links
from assent.subjects.erase import erase
from assent.tenants import init_tenant
from tests.integration.me_page import AGREED, FORMS, OPEN_PAGES, count, field, is_page, submit


def test_looking_at_a_link_spends_nothing_and_pressing_the_button_spends_it(
    visitor: TestClient, link: Callable[..., str]
) -> None:
    mine = link()
    for _ in range(3):
        seen = visitor.get(mine)
        assert (seen.status_code, is_page(seen), seen.headers.get("set-cookie")) == (200, True, None)
        assert "alice" not in seen.text
    opened = visitor.post(mine)
    assert (opened.status_code, opened.headers["location"]) == (303, "/me")
    cookie = opened.headers["set-cookie"]
    assert re.fullmatch(
        r"__Host-assent_me=[\w-]{43}; HttpOnly; Max-Age=1800; Path=/; SameSite=strict; Secure", cookie, re.IGNORECASE
    )
    assert "alice" in visitor.get("/me").text
    again = visitor.post(mine)
    assert (again.status_code, is_page(again)) == (410, True)
    assert "cannot be used any more" in again.text


@pytest.mark.parametrize(
    ("site", "secure"),
    [
        ("http://localhost", False),
        ("http://127.0.0.1:8400", False),
        ("http://[::1]:8400", False),
        ("http://localhost.example", True),
        ("http://assent.example", True),
        ("https://localhost", True),
    ],
)
def test_the_cookie_goes_over_tls_but_on_ones_own_machine(
    app: FastAPI, link: Callable[..., str], site: str, secure: bool
) -> None:
    with TestClient(app, base_url=site, follow_redirects=False) as client:
        cookie = client.post(link()).headers["set-cookie"]
        assert ("Secure" in cookie, cookie.startswith("__Host-assent_me=")) == (secure, secure)
        sent_back = not secure or site.startswith("https:")
        assert client.get("/me").status_code == (200 if sent_back else 401)


def test_a_cookie_that_another_host_could_have_set_opens_nothing(alice: TestClient) -> None:
    cookie = alice.cookies["__Host-assent_me"]
    alice.cookies.clear()
    alice.cookies.set("assent_me", cookie, domain="assent.example", path="/")
    assert alice.get("/me").status_code == 401


def test_an_expired_or_made_up_link_opens_nothing(visitor: TestClient, link: Callable[..., str]) -> None:
    expired = link(valid_for=timedelta(seconds=-1))
    for path, status in [(expired, 410), (f"/me/{'A' * 43}", 410), ("/me/short", 404), (f"/me/{'A' * 5000}", 404)]:
        answer = visitor.post(path) if status == 410 else visitor.get(path)
        assert (answer.status_code, is_page(answer)) == (status, True)


def test_without_a_session_every_page_and_form_says_that_it_is_closed(visitor: TestClient) -> None:
    answers = [visitor.get(path) for path in OPEN_PAGES] + [visitor.post(path) for path in FORMS]
    visitor.cookies.set("__Host-assent_me", "A" * 43, domain="assent.example", path="/")
    answers += [visitor.get(path) for path in OPEN_PAGES] + [visitor.post(path) for path in FORMS]
    assert {answer.status_code for answer in answers} == {401}
    assert all(is_page(answer) and "Your page is closed" in answer.text for answer in answers)


def test_a_session_ends_after_half_an_hour(alice: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(time: timedelta) -> None:
        monkeypatch.setattr(links, "database_time", lambda conn: database_time(conn) + time)

    wait(timedelta(minutes=29, seconds=58))
    assert "in 1 minute." in alice.get("/me").text
    wait(timedelta(minutes=30))
    assert alice.get("/me").status_code == 401


@pytest.mark.parametrize("path", FORMS)
def test_a_form_from_elsewhere_does_nothing(alice: TestClient, pool: Pool, path: str) -> None:
    before = count(pool, "audit_leaf")
    own = field(alice, "form", "/me/data")
    forged = [
        submit(alice, path, FORMS[path], form=""),
        submit(alice, path, FORMS[path], form="0" * 64),
        submit(alice, path, FORMS[path], form="ü" * 32),
        submit(alice, path, FORMS[path], form=own[:-1]),
    ]
    alice.headers["sec-fetch-site"] = "cross-site"
    forged.append(submit(alice, path, FORMS[path]))
    assert {(answer.status_code, is_page(answer)) for answer in forged} == {(403, True)}
    assert count(pool, "audit_leaf") == before
    assert alice.get("/me").status_code == 200


def test_nobody_else_opens_a_page_of_theirs_in_ones_browser(visitor: TestClient, link: Callable[..., str]) -> None:
    theirs = link("mallory")
    assert visitor.post(theirs, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert visitor.post(theirs, headers={"sec-fetch-site": "same-origin"}).status_code == 303


def test_the_session_of_an_erased_person_is_over(alice: TestClient, pool: Pool, keys: TenantKeys) -> None:
    submit(alice, "/me/consent", AGREED)
    form = field(alice, "form")
    with transaction(pool) as conn:
        erase(conn, keys, "alice")
    answers = [alice.get(path) for path in OPEN_PAGES]
    answers += [alice.post(path, files=[("form", (None, form))]) for path in FORMS]
    assert {(answer.status_code, is_page(answer)) for answer in answers} == {(401, True)}
    assert "when everything was deleted" in answers[0].text
    assert count(pool, "subject") == 0


def test_leaving_ends_the_session_also_for_who_kept_the_cookie(alice: TestClient) -> None:
    cookie = alice.cookies["__Host-assent_me"]
    assert submit(alice, "/me/leave", {}).headers["location"] == "/me/closed"
    assert is_page(alice.get("/me/closed"))
    assert alice.get("/me", headers={"cookie": f"__Host-assent_me={cookie}"}).status_code == 401


def test_a_namesake_at_another_tenant_is_somebody_else(
    alice: TestClient, pool: Pool, keystore: Keystore, link: Callable[..., str]
) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    submit(alice, "/me/consent", AGREED)
    alice.cookies.clear()
    assert alice.post(link("alice", keystore.tenant("other"))).status_code == 303
    assert "You are not recognised in photos" in alice.get("/me").text
    submit(alice, "/me/delete", {"sure": "yes"})
    assert count(pool, "consent WHERE tenant = 'default'") == 1


def test_guessing_costs_the_address_and_a_visit_does_not(
    visitor: TestClient, app: FastAPI, link: Callable[..., str]
) -> None:
    app.state.limits = RateLimiter(clock=lambda: 1000.0)  # time stands still
    assert visitor.post(link()).status_code == 303
    visits = [visitor.get("/me").status_code for _ in range(RATES["person"].burst + 1)]
    assert visits == [200] * RATES["person"].burst + [429]
    slow = visitor.get("/me")
    assert (is_page(slow), slow.headers["retry-after"]) == (True, "1")
    guesses = [visitor.post(f"/me/{'A' * 40}{n:03}").status_code for n in range(RATES["address"].burst + 1)]
    assert guesses == [410] * RATES["address"].burst + [429]
