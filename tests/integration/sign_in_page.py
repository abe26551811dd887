"""What the tests of the console's sign-in fill in and look up."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import pyotp
from fastapi.testclient import TestClient
from httpx2 import Response

from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.staff.team import make_link

PASSWORD = "correct horse battery"


def link_of(pool: Pool, keys: TenantKeys, *roles: str, name: str = "") -> str:
    """The path of a link that sets up an account."""
    with transaction(pool) as conn:
        return f"/console/set-up/{make_link(conn, keys, 'uid 0', roles or ('moderator',), None, name)}"


def form_of(page: str) -> str:
    """The token that each form of a session carries."""
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def secret_on(page: str) -> str:
    found = re.search(r"<code>([A-Z2-7]{32})</code>", page)
    assert found
    return found[1]


def code_of(secret: str, steps: int = 0) -> str:
    """The app's code of now, or of so many steps of 30 s later."""
    return pyotp.TOTP(secret).at(datetime.fromtimestamp(time.time() + 30 * steps))


def set_up(client: TestClient, path: str, name: str, steps: int = -1) -> str:
    """Sets an account up with PASSWORD; its app's secret."""
    secret = secret_on(client.get(path).text)
    done = client.post(path, data={"name": name, "password": PASSWORD, "code": code_of(secret, steps)})
    assert (done.status_code, done.headers["location"]) == (303, "/console"), done.text
    return secret


def sign_in(client: TestClient, name: str, code: str, password: str = PASSWORD, **fields: Any) -> Response:
    return client.post("/console/sign-in", data={"name": name, "password": password, "code": code, **fields})
