"""Signing in by an identity provider: its groups give the roles, and what does not fit is refused."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from assent.app import create_app
from assent.core.settings import AllowedHost, Settings
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.staff.accounts import list_staff
from assent.staff.team import make_link_for
from tests.events import leaves
from tests.fixtures.console import CONSOLE
from tests.integration.sign_in_page import form_of

BACK = "/console/sign-in/provider"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider's own libraries


@dataclass
class Provider:
    """A provider that signs in whoever is named; the groups that it tells of them."""

    url: str

    def tell(self, subject: str, **claims: object) -> None:
        assert httpx2.put(f"{self.url}/users/{subject}", json={"auth_time": None, **claims}).status_code == 204

    def sign_in(self, client: TestClient, subject: str = "kim", **changed: str) -> httpx2.Response:
        """Goes there and comes back; `changed`: parts of what the provider is asked."""
        address = self.asked(client.post(BACK, data={"to": "/console/account"}))
        return client.get(self.answer(address, subject, **changed))

    def asked(self, page: httpx2.Response) -> str:
        assert page.status_code == 200, page.text
        found = re.search(r'content="0; url=([^"]+)"', page.text)
        assert found
        return found[1].replace("&amp;", "&")

    def answer(self, address: str, subject: str, **changed: str) -> str:
        """Where the browser is sent back to."""
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        address = urlunsplit(parts._replace(query=urlencode({**query, **changed})))
        answer = httpx2.post(address, data={"sub": subject}, follow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"].removeprefix(CONSOLE)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from oidc_provider_mock import run_server_in_thread

        with run_server_in_thread() as server:
            yield Provider(f"http://localhost:{server.server_port}")


@pytest.fixture
def at_home(settings: Settings, provider: Provider, keys: TenantKeys, database_url: str) -> Iterator[TestClient]:
    """A browser at a console whose users come from the provider."""
    port = urlsplit(provider.url).port
    changed = {
        "oidc_issuer": provider.url,
        "oidc_client_id": "assent",
        "oidc_client_secret": SecretStr("a secret"),
        "oidc_roles": (("mods", "moderator"), ("bosses", "admin")),
        "allow_private": (AllowedHost.parse(f"localhost:{port}@127.0.0.0/8"),),
    }
    app = create_app(settings.model_copy(update=changed), database_url)
    with TestClient(app, base_url=CONSOLE, follow_redirects=False) as client:
        yield client


def test_groups_give_the_roles_at_each_sign_in(at_home: TestClient, provider: Provider, pool: Pool) -> None:
    provider.tell("kim", name="Kim", groups=["mods", "others"])
    page = provider.sign_in(at_home)
    assert page.status_code == 200
    assert 'content="0; url=/console/account"' in page.text  # no redirect: a strict cookie is not sent along one
    assert "SameSite=strict" in page.headers["set-cookie"]
    account = at_home.get("/console/account").text
    assert "Signed in as Kim" in account
    assert "<dd>moderator</dd>" in account
    provider.tell("kim", name="Kim", groups=["bosses"])
    provider.sign_in(at_home)
    assert "<dd>administrator</dd>" in at_home.get("/console/account").text
    provider.tell("kim", name="Kim", groups=[])
    assert provider.sign_in(at_home).status_code == 403
    assert at_home.get("/console/account").status_code == 303
    assert len(leaves(pool, "staff.added")) == len(leaves(pool, "staff.changed")) == 1


@pytest.mark.parametrize("wrong", ["state", "nonce", "cookie", "twice", "code"])
def test_an_answer_that_does_not_fit_is_refused(at_home: TestClient, provider: Provider, wrong: str) -> None:
    provider.tell("kim", groups=["mods"])
    address = provider.asked(at_home.post(BACK, data={}))
    changed = {"state": {"state": "A" * 43}, "nonce": {"nonce": "another"}}.get(wrong, {})
    back = provider.answer(address, "kim", **changed)
    if wrong == "cookie":
        at_home.cookies.clear()
    if wrong == "code":
        back = re.sub(r"code=[^&]+", "code=x", back)
    if wrong == "twice":
        assert at_home.get(back).status_code == 200
        at_home.cookies.clear()
    refused = at_home.get(back)
    assert refused.status_code == 502
    assert "The identity provider did not sign you in" in refused.text
    assert at_home.get("/console").status_code == 303


@pytest.mark.parametrize(("claims", "status"), [
    ({"iss": "https://evil.example"}, 502),
    ({"aud": "another"}, 502),
    ({"aud": ["assent", "another"], "azp": "another"}, 502),
    ({"exp": -280.0}, 200),  # clocks may differ by five minutes
    ({"exp": -400.0}, 502),
    ({"iat": 200.0}, 200),
])  # fmt: skip
def test_another_issuer_or_audience_and_what_is_over_are_refused(
    provider: Provider, at_home: TestClient, claims: dict[str, object], status: int
) -> None:
    now = int(time.time())
    at = {name: now + int(value) if isinstance(value, float) else value for name, value in claims.items()}
    provider.tell("kim", groups=["mods"], **at)
    assert provider.sign_in(at_home).status_code == status
    assert at_home.get("/console").status_code == (200 if status == 200 else 303)


def test_a_document_of_another_issuer_is_refused(provider: Provider, at_home: TestClient) -> None:
    state = at_home.app.state.app_state  # type: ignore[attr-defined]
    back = provider.answer(provider.asked(at_home.post(BACK, data={})), "kim")
    changed = {"oidc_issuer": f"{provider.url}/"}  # what it says there names another one
    object.__setattr__(state, "settings", state.settings.model_copy(update=changed))
    assert at_home.get(back).status_code == 502


def test_a_step_up_needs_the_time_of_a_sign_in_anew(at_home: TestClient, provider: Provider) -> None:
    provider.tell("kim", name="Kim", groups=["bosses"])
    provider.sign_in(at_home)
    assert at_home.get("/console/team").headers["location"].startswith("/console/step-up")
    form = form_of(at_home.get("/console/step-up").text)
    for auth_time, status in ((None, 502), (int(time.time()) - 1000, 502), (int(time.time()), 200)):
        said = {} if auth_time is None else {"auth_time": auth_time}
        provider.tell("kim", name="Kim", groups=["bosses"], **said)
        page = at_home.post(BACK, data={"again": "yes", "form": form, "to": "/console/team"})
        address = provider.asked(page)
        assert "prompt=login" in address
        assert "max_age=0" in address
        assert at_home.get(provider.answer(address, "kim")).status_code == status
    assert at_home.get("/console/team").status_code == 200


def test_a_step_up_as_another_account_is_refused(at_home: TestClient, provider: Provider) -> None:
    for name in ("kim", "eve"):
        provider.tell(name, name=name, groups=["bosses"], auth_time=int(time.time()))
    provider.sign_in(at_home)
    form = form_of(at_home.get("/console/step-up").text)
    address = provider.asked(at_home.post(BACK, data={"again": "yes", "form": form}))
    assert at_home.get(provider.answer(address, "eve")).status_code == 502
    assert "Signed in as kim" in at_home.get("/console").text


def test_a_provider_that_is_away_leaves_the_other_ways(at_home: TestClient, settings: Settings) -> None:
    state = at_home.app.state.app_state  # type: ignore[attr-defined]
    away = state.settings.model_copy(update={"oidc_issuer": "http://localhost:9"})
    object.__setattr__(state, "settings", away)
    page = at_home.post(BACK, data={})
    assert page.status_code == 502
    assert "With a password" in page.text


def test_such_an_account_gets_no_password(
    at_home: TestClient, provider: Provider, pool: Pool, keys: TenantKeys
) -> None:
    provider.tell("kim", name="Kim", groups=["mods"])
    provider.sign_in(at_home)
    with transaction(pool) as conn:
        (kim,) = list_staff(conn, keys)
        path = f"/console/set-up/{make_link_for(conn, keys, 'uid 0', kim.id)}"
    at_home.cookies.clear()
    page = at_home.get(path)
    assert "Make a passkey" in page.text
    assert "With a password" not in page.text
    assert at_home.post(path, data={"password": "long enough for one", "code": "123456"}).status_code == 422
    assert at_home.get("/console").status_code == 303
