"""Signing in to the console with a password and an app's code, and what is refused."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from assent.console.words import WORDS
from assent.db.pool import Pool, transaction
from assent.http.limits import RATES, RateLimiter
from assent.keys.keystore import TenantKeys
from tests.events import leaves, rows
from tests.integration.sign_in_page import PASSWORD, code_of, link_of, secret_on, set_up, sign_in

REFUSED = WORDS["wrong"]["sign_in_refused"]["title"]


@pytest.fixture
def alex(stranger: TestClient, pool: Pool, keys: TenantKeys) -> str:
    """The secret of an account that is set up; nobody is signed in."""
    secret = set_up(stranger, link_of(pool, keys), "Alex")
    stranger.cookies.clear()
    return secret


def patient(client: TestClient) -> None:
    """As if each try came from another address."""
    client.app.state.limits = RateLimiter({**RATES, "sign-in": RATES["address"]})  # type: ignore[attr-defined]


def test_a_link_makes_an_account_once(stranger: TestClient, pool: Pool, keys: TenantKeys) -> None:
    path = link_of(pool, keys, "senior", "admin", name="Alex")
    for _ in range(2):  # a preview spends nothing
        page = stranger.get(path)
        assert page.status_code == 200
        assert "senior moderator, administrator" in page.text
    set_up(stranger, path, " Alex\t<b>  B ")
    assert "Alex &lt;b&gt; B" in stranger.get("/console").text
    again = stranger.get(path)
    assert again.status_code == 410
    assert "assent console link" in again.text
    assert stranger.post(path, data={"name": "Eve", "password": PASSWORD, "code": "1"}).status_code == 410
    assert len(leaves(pool, "staff.added")) == 1


@pytest.mark.parametrize(("fields", "said"), [
    ({"password": "short"}, "password_short"),
    ({"code": "000000"}, "code_wrong"),
    ({"name": "  "}, "name_missing"),
    ({"name": "aLEX"}, "name_taken"),
])  # fmt: skip
def test_what_is_wrong_is_said_and_spends_nothing(
    stranger: TestClient, pool: Pool, keys: TenantKeys, alex: str, fields: dict[str, str], said: str
) -> None:
    path = link_of(pool, keys)
    right = {"name": "Kim", "password": PASSWORD, "code": code_of(secret_on(stranger.get(path).text))}
    answer = stranger.post(path, data={**right, **fields})
    assert answer.status_code == 422
    assert WORDS["set_up"][said].split(".")[0] in answer.text.replace("&#39;", "'")
    assert stranger.post(path, data=right).status_code == 303


def test_name_password_and_code_open_a_session(stranger: TestClient, alex: str, pool: Pool) -> None:
    answer = sign_in(stranger, "  alex ", code_of(alex), to="/console?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console?x=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert stranger.get("/console").status_code == 200
    assert len(leaves(pool, "staff.signed-in")) == 2


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/consolefake", "/console\\x", "/me", ""])
def test_it_leads_into_the_console_only(stranger: TestClient, alex: str, to: str) -> None:
    assert sign_in(stranger, "Alex", code_of(alex), to=to).headers["location"] == "/console"


def test_a_code_counts_once(stranger: TestClient, alex: str) -> None:
    assert sign_in(stranger, "Alex", code_of(alex)).status_code == 303
    assert sign_in(stranger, "Alex", code_of(alex)).status_code == 401
    assert sign_in(stranger, "Alex", code_of(alex, -1)).status_code == 401
    assert sign_in(stranger, "Alex", code_of(alex, 1)).status_code == 303


@pytest.mark.parametrize(("steps", "status"), [(9, 303), (12, 401)])
def test_clocks_may_differ_by_five_minutes(stranger: TestClient, alex: str, steps: int, status: int) -> None:
    assert sign_in(stranger, "Alex", code_of(alex, steps)).status_code == status


def test_unknown_and_wrong_look_the_same(stranger: TestClient, alex: str, pool: Pool) -> None:
    answers = [
        sign_in(stranger, "Nobody", code_of(alex)),
        sign_in(stranger, "Alex", "000000"),
        sign_in(stranger, "Alex", code_of(alex), password="another password"),
    ]
    with transaction(pool) as conn:
        conn.execute("UPDATE staff SET locked_until = now() + interval '1 minute'")
    answers.append(sign_in(stranger, "Alex", code_of(alex)))
    assert {answer.status_code for answer in answers} == {401}
    assert all(REFUSED in answer.text for answer in answers)


def test_twenty_wrong_ones_close_the_account_for_a_while(stranger: TestClient, alex: str, pool: Pool) -> None:
    patient(stranger)
    for _ in range(20):
        assert sign_in(stranger, "Alex", "000000").status_code == 401
    assert sign_in(stranger, "Alex", code_of(alex)).status_code == 401
    assert len(leaves(pool, "staff.locked")) == 1
    with transaction(pool) as conn:
        conn.execute("UPDATE staff SET locked_until = now() - interval '1 second'")
    assert sign_in(stranger, "Alex", "000000").status_code == 401  # one more, and it is closed for 30 minutes
    ((minutes,),) = rows(pool, "SELECT extract(epoch FROM locked_until - now()) / 60 FROM staff")
    assert 29 < minutes <= 30
    with transaction(pool) as conn:
        conn.execute("UPDATE staff SET locked_until = now() - interval '1 second'")
    assert sign_in(stranger, "Alex", code_of(alex)).status_code == 303
    assert rows(pool, "SELECT failed, locked_until FROM staff") == [(0, None)]


def test_twenty_wrong_ones_close_the_address_for_a_while(stranger: TestClient, alex: str) -> None:
    for _ in range(20):
        assert sign_in(stranger, "Nobody", "000000").status_code == 401
    answer = sign_in(stranger, "Alex", code_of(alex))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) <= 45


def test_signing_in_gives_the_session_another_token_and_ends_the_one_before(stranger: TestClient, alex: str) -> None:
    sign_in(stranger, "Alex", code_of(alex))
    before = stranger.cookies["assent_console"]
    sign_in(stranger, "Alex", code_of(alex, 1))
    assert stranger.cookies["assent_console"] != before
    assert stranger.get("/console").status_code == 200
    stranger.cookies.clear()
    stranger.cookies.set("assent_console", before)
    assert stranger.get("/console").status_code == 303


def test_another_site_signs_nobody_in(stranger: TestClient, alex: str) -> None:
    fields = {"name": "Alex", "password": PASSWORD, "code": code_of(alex)}
    answer = stranger.post("/console/sign-in", data=fields, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


def test_names_passwords_and_codes_stand_nowhere_in_clear(alex: str, pool: Pool) -> None:
    stored = str(rows(pool, "SELECT * FROM staff")) + str(rows(pool, "SELECT * FROM staff_session"))
    assert not any(word in stored for word in ("Alex", PASSWORD, alex))
