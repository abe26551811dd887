"""A form that is sent after its session ended, or that needs a step-up: nothing is lost or done twice."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from assent.console.words import WORDS
from assent.db.pool import Pool, transaction
from assent.db.queue import database_time
from assent.keys.keystore import TenantKeys
from assent.staff.sessions import open_session, owner_of, purge_tokens
from tests.events import leaves, rows
from tests.integration.sign_in_page import PASSWORD, code_of, form_of, link_of, set_up, sign_in

STALE = "UPDATE staff_session SET seen_at = now() - interval '31 minutes'"


@dataclass
class Admin:
    """Somebody at work on the page of the team; `steps`: of the app's codes, one for each sign-in."""

    client: TestClient
    secret: str
    steps: int = 0
    form: str = field(default="", init=False)

    def send(self) -> Response:
        """Asks for a link for `Kim <b>`, from the page that was opened before."""
        return self.client.post("/console/team", data={"form": self.form, "name": "Kim <b>", "role": "viewer"})

    def open(self) -> None:
        self.form = form_of(self.client.get("/console/team").text)

    def sign_in(self, asked: Response, name: str = "Ada") -> Response:
        self.steps += 1
        return sign_in(self.client, name, code_of(self.secret, self.steps), unsent=unsent_in(asked.text), to="/console")


@pytest.fixture
def ada(stranger: TestClient, pool: Pool, keys: TenantKeys) -> Admin:
    secret = set_up(stranger, link_of(pool, keys, "admin"), "Ada")
    ada = Admin(stranger, secret)
    ada.open()
    return ada


@pytest.fixture
def run(pool: Pool) -> Callable[[str], None]:
    def run(sql: str) -> None:
        with transaction(pool) as conn:
            conn.execute(sql)

    return run


def unsent_in(page: str) -> str:
    found = re.search(r'name="unsent" value="([^"]*)"', page)
    assert found
    return found[1]


def fields_of(page: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page):
        fields.setdefault(name, []).append(html.unescape(value))
    return fields


@pytest.mark.parametrize("ends", [
    STALE,
    "UPDATE staff_session SET expires_at = now()",
    "UPDATE staff_session SET sealed = '', expires_at = now()",
])  # fmt: skip
def test_a_form_of_a_session_that_ended_is_sent_after_the_sign_in(
    ada: Admin, run: Callable[[str], None], pool: Pool, ends: str
) -> None:
    run(ends)
    asked = ada.send()
    assert asked.status_code == 401
    assert WORDS["sign_in"]["kept"].split(":")[0] in asked.text
    assert "Kim" not in asked.text
    again = ada.sign_in(asked)
    assert again.status_code == 200
    assert "Kim &lt;b&gt;" in again.text
    assert len(leaves(pool, "staff.invited")) == 1  # that of Ada's own link
    done = ada.client.post("/console/team", data=fields_of(again.text))
    assert "/console/set-up/" in done.text
    assert len(leaves(pool, "staff.invited")) == 2


def test_another_account_is_not_shown_it(
    ada: Admin, run: Callable[[str], None], pool: Pool, keys: TenantKeys, app: object
) -> None:
    run(STALE)
    asked = ada.send()
    path = link_of(pool, keys, "admin")
    kim = TestClient(ada.client.app, base_url=str(ada.client.base_url), follow_redirects=False)
    ada.secret = set_up(kim, path, "Kim")
    answer = ada.sign_in(asked, "Kim")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_a_wrong_password_keeps_it(ada: Admin, run: Callable[[str], None]) -> None:
    run(STALE)
    asked = ada.send()
    refused = sign_in(ada.client, "Ada", "000000", unsent=unsent_in(asked.text))
    assert refused.status_code == 401
    assert ada.sign_in(refused).status_code == 200


def test_a_form_of_another_session_is_not_kept(ada: Admin, run: Callable[[str], None]) -> None:
    run(STALE)
    ada.form = "0" * 64
    assert unsent_in(ada.send().text) == ""


@pytest.fixture
def tired(ada: Admin, pool: Pool) -> Admin:
    """Ada, signed in six minutes ago."""
    token = ada.client.cookies["assent_console"]
    ada.client.cookies.clear()
    ada.client.cookies.set("assent_console", six_minutes_old(ada, pool, token))
    return ada


def six_minutes_old(ada: Admin, pool: Pool, token: str) -> str:
    state = ada.client.app.state.app_state  # type: ignore[attr-defined]
    with transaction(pool) as conn:
        owner = owner_of(conn, token)
        assert owner
        at = database_time(conn) - timedelta(minutes=6)
        return open_session(conn, state.keystore.tenant(owner[0]), owner[1], at)


def test_what_needs_a_step_up_leads_there_and_back(tired: Admin) -> None:
    answer = tired.client.get("/console/team")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/step-up?to=%2Fconsole%2Fteam")
    page = tired.client.get(answer.headers["location"])
    before = page.request.headers["cookie"].partition("=")[2]
    fields = {name: values[0] for name, values in fields_of(page.text).items()}
    assert tired.client.post("/console/step-up", data={**fields, "password": "x" * 12, "code": "1"}).status_code == 401
    code = code_of(tired.secret)
    done = tired.client.post("/console/step-up", data={**fields, "password": PASSWORD, "code": code})
    assert (done.status_code, done.headers["location"]) == (303, "/console/team")
    assert tired.client.get("/console/team").status_code == 200
    assert "assent_console=" in done.headers["set-cookie"]
    assert before not in done.headers["set-cookie"]
    tired.client.cookies.clear()
    tired.client.cookies.set("assent_console", before)
    assert tired.client.get("/console").status_code == 303


def test_a_form_that_needs_a_step_up_is_kept_too(tired: Admin, pool: Pool) -> None:
    tired.form = form_of(tired.client.get("/console/account").text)
    asked = tired.send()
    assert asked.status_code == 403
    fields = {name: values[0] for name, values in fields_of(asked.text).items()}
    page = tired.client.post("/console/step-up", data={**fields, "password": PASSWORD, "code": code_of(tired.secret)})
    assert "Kim &lt;b&gt;" in page.text
    done = tired.client.post("/console/team", data=fields_of(page.text))
    assert "/console/set-up/" in done.text
    assert len(rows(pool, "SELECT FROM staff_session WHERE kind = 'set-up'")) == 1


def test_passwords_and_codes_are_not_kept(tired: Admin) -> None:
    form = form_of(tired.client.get("/console").text)
    fields = {"form": form, "password": "a new password", "code": "123456"}
    asked = tired.client.post("/console/account/password", data=fields)
    assert asked.status_code == 403
    assert unsent_in(asked.text) == ""
    assert 'name="to" value="/console/account"' in asked.text


def test_whose_a_session_was_is_known_for_a_day(ada: Admin, run: Callable[[str], None], pool: Pool) -> None:
    run("UPDATE staff_session SET sealed = '', expires_at = now() - interval '23 hours'")
    with transaction(pool) as conn:
        purge_tokens(conn)
    assert unsent_in(ada.send().text)
    run("UPDATE staff_session SET expires_at = now() - interval '25 hours'")
    with transaction(pool) as conn:
        purge_tokens(conn)
    assert rows(pool, "SELECT FROM staff_session") == []
    assert not unsent_in(ada.send().text)


def test_of_many_sessions_that_end_under_way_nothing_is_lost_or_done_twice(
    ada: Admin, run: Callable[[str], None], pool: Pool
) -> None:
    """Each time the session ends in another way; what was sent is shown again and counts once."""
    ends = [STALE, "UPDATE staff_session SET sealed = '', expires_at = now() WHERE kind = 'session'"]
    for n in range(6):
        run("UPDATE staff SET totp_step = NULL")
        run(ends[n % 2])
        ada.steps = 0
        page = ada.sign_in(ada.send())
        assert "Kim &lt;b&gt;" in page.text
        assert "/console/set-up/" in ada.client.post("/console/team", data=fields_of(page.text)).text
        ada.form = fields_of(page.text)["form"][0]
    assert len(leaves(pool, "staff.invited")) == 1 + 6
