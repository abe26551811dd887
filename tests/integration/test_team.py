"""The page of the team: who may open it, links for new accounts, roles, disabling, and the last administrator."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from assent.console.words import WORDS
from assent.db.pool import Pool
from assent.keys.keystore import TenantKeys
from tests.events import leaves
from tests.fixtures.console import SignedIn
from tests.integration.sign_in_page import form_of, link_of, set_up


@pytest.fixture
def ada(signed_in: SignedIn) -> TestClient:
    return signed_in("admin", name="Ada")


def post(client: TestClient, path: str, **fields: object) -> Response:
    form = form_of(client.get("/console/account").text)
    return client.post(f"/console/team{path}", data={"form": form, **fields})


def test_only_administrators_open_it(signed_in: SignedIn) -> None:
    for role in ("viewer", "moderator", "senior", "policy", "privacy"):
        client = signed_in(role)
        assert client.get("/console/team").status_code == 403
        assert post(client, "", role="admin").status_code == 403
        assert "/console/team" not in client.get("/console").text


def test_a_link_is_shown_once_and_makes_the_account(ada: TestClient, stranger: TestClient) -> None:
    page = post(ada, "", role=["viewer", "policy"], queues="nsfw\nspam", name="Kim").text
    found = re.search(r"http://localhost:8400(/console/set-up/[A-Za-z0-9_-]{43})", page)
    assert found
    set_up(stranger, found[1], "Kim")
    team = ada.get("/console/team").text
    assert "Kim" in team
    assert "nsfw, spam" in team
    assert "viewer, policy writer" in team


def test_other_roles_count_from_the_next_sign_in_on(ada: TestClient, signed_in: SignedIn, pool: Pool) -> None:
    kim = signed_in("moderator", name="Kim")
    path = f"/{kim.headers['x-staff']}"
    assert ada.get(f"/console/team{path}").status_code == 200
    assert post(ada, path, role=["senior"]).status_code == 303
    assert kim.get("/console").status_code == 303
    (leaf,) = leaves(pool, "staff.changed")
    assert "Kim" not in str(leaf)


def test_an_account_that_is_disabled_cannot_sign_in(
    ada: TestClient, signed_in: SignedIn, stranger: TestClient, pool: Pool, keys: TenantKeys
) -> None:
    kim = signed_in("moderator", name="Kim")
    path = f"/{kim.headers['x-staff']}"
    assert post(ada, f"{path}/disable").status_code == 303
    assert kim.get("/console").status_code == 303
    assert post(ada, f"{path}/link").status_code == 404
    assert post(ada, f"{path}/enable").status_code == 303
    page = post(ada, f"{path}/link").text
    found = re.search(r"/console/set-up/[A-Za-z0-9_-]{43}", page)
    assert found
    set_up(stranger, found[0], "")
    assert "Signed in as Kim" in stranger.get("/console").text


def test_the_last_administrator_stays(ada: TestClient, signed_in: SignedIn) -> None:
    path = f"/{ada.headers['x-staff']}"
    title = WORDS["wrong"]["last_admin"]["title"]
    for act, fields in ((path, {"role": "viewer"}), (f"{path}/disable", {})):
        answer = post(ada, act, **fields)
        assert answer.status_code == 409
        assert title in answer.text
    signed_in("admin", name="Other")
    assert post(ada, f"{path}/disable").status_code == 303


@pytest.mark.parametrize("fields", [{"role": "owner"}, {}, {"role": "viewer", "queues": "<img>"}])
def test_what_is_no_role_or_queue_is_refused(ada: TestClient, fields: dict[str, str]) -> None:
    assert post(ada, "", **fields).status_code == 400


def test_the_last_way_to_sign_in_stays(stranger: TestClient, pool: Pool, keys: TenantKeys) -> None:
    set_up(stranger, link_of(pool, keys), "Ada")
    form = form_of(stranger.get("/console/account").text)
    assert stranger.post("/console/account/password/remove", data={"form": form}).status_code == 409
    assert stranger.get("/console/account").status_code == 200
