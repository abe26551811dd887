"""Somebody who can write SQL, but has no key, signs in to the console as nobody: accounts, roles, passkeys, links and
sessions that they insert, alter or put back open nothing."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from assent.audit.authority import count_rows
from assent.core.clock import rfc3339
from assent.core.console_errors import LastSignIn
from assent.db.pool import Pool, execute, transaction
from assent.db.queries import named_queries
from assent.keys.authority import authority_key, authority_mac
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal
from assent.keys.tenant_seal import seal_for_tenant
from assent.staff.accounts import create_staff, list_staff
from assent.staff.passkeys import list_passkeys
from assent.staff.team import change_team, remove_passkey
from tests.fixtures.console import SignedIn
from tests.integration.sign_in_page import code_of, link_of, set_up, sign_in


@pytest.fixture
def writer(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield conn


def broken(pool: Pool, keys: TenantKeys, table: str) -> int:
    with transaction(pool) as conn:
        return {name: counted.broken for name, counted in count_rows(conn, keys).items()}[table]  # type: ignore[index]


@pytest.mark.parametrize("change", [
    "roles = '{admin}'",
    "password_hash = %(hash)s",
    "totp_sealed = (SELECT totp_sealed FROM staff WHERE roles = '{viewer}')",
    "id = '11111111-1111-4111-8111-111111111111'",
    "version = version + 1",
])  # fmt: skip
def test_an_account_that_was_altered_signs_nobody_in(
    stranger: TestClient, pool: Pool, keys: TenantKeys, writer: psycopg.Connection[Any], change: str
) -> None:
    eves = set_up(stranger, link_of(pool, keys, "viewer"), "Eve")
    alexs = set_up(stranger, link_of(pool, keys, "moderator"), "Alex")
    stranger.cookies.clear()
    writer.execute("DELETE FROM staff_session")
    values = {"hash": PasswordHasher().hash("what eve knows")}
    writer.execute(f"UPDATE staff SET {change} WHERE roles = '{{moderator}}'", values)  # noqa: S608 - the cases above
    for password in ("correct horse battery", "what eve knows"):
        for secret in (eves, alexs):
            assert sign_in(stranger, "Alex", code_of(secret, 1), password=password).status_code == 401
    assert broken(pool, keys, "staff") == 1


def test_an_account_that_was_put_back_is_what_it_was_made(
    signed_in: SignedIn, pool: Pool, keys: TenantKeys, writer: psycopg.Connection[Any]
) -> None:
    signed_in("admin", name="Ada")
    kim = signed_in("admin", name="Kim")
    writer.execute("CREATE TEMPORARY TABLE kept AS TABLE staff; CREATE TEMPORARY TABLE open AS TABLE staff_session")
    with transaction(pool) as conn:
        change_team(conn, keys, "uid 0", UUID(kim.headers["x-staff"]), {"roles": ["viewer"]})
    writer.execute("DELETE FROM staff_session; DELETE FROM staff")
    writer.execute("INSERT INTO staff SELECT * FROM kept; INSERT INTO staff_session SELECT * FROM open")
    assert kim.get("/console").status_code == 303
    with transaction(pool) as conn:
        assert [staff.name for staff in list_staff(conn, keys)] == ["Ada"]


def test_a_session_or_a_link_that_was_inserted_opens_nothing(
    signed_in: SignedIn, stranger: TestClient, writer: psycopg.Connection[Any]
) -> None:
    ada = signed_in("admin", name="Ada")
    token, until = secrets.token_urlsafe(32), datetime.now(UTC) + timedelta(hours=1)
    now = rfc3339(datetime.now(UTC))
    for kind, staff, held in (
        ("session", ada.headers["x-staff"], {"signed_in_at": now}),
        ("set-up", None, {"name": "Eve", "roles": ["admin"], "queues": None}),
    ):
        key = hmac.digest(b"", b"assent.staff-token/1" + token.encode(), sha256)  # all that a writer knows of the key
        plain = json.dumps({**held, "until": rfc3339(until), "staff": staff}).encode()
        row = ["default", sha256(token.encode()).digest(), kind, staff, seal(key, plain, kind, "default"), until]
        writer.execute("DELETE FROM staff_session WHERE sha256 = %s", [row[1]])
        writer.execute(
            "INSERT INTO staff_session (tenant, sha256, kind, staff, sealed, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            row,
        )
        stranger.cookies.set("assent_console", token, domain="localhost.local")
        assert stranger.get("/console").status_code == 303
        assert stranger.get(f"/console/set-up/{token}").status_code == 410


def test_one_session_does_not_become_anothers(signed_in: SignedIn, writer: psycopg.Connection[Any]) -> None:
    ada, kim = signed_in("admin", name="Ada"), signed_in("viewer", name="Kim")
    writer.execute("UPDATE staff_session SET staff = %s", [ada.headers["x-staff"]])
    assert kim.get("/console").status_code == 303
    assert ada.get("/console").status_code == 200


def test_a_passkey_is_nobody_elses_and_once_removed_it_stays_so(
    pool: Pool, keys: TenantKeys, writer: psycopg.Connection[Any]
) -> None:
    with transaction(pool) as conn:
        ada, eve = (create_staff(conn, keys, name, ["admin"]) for name in ("Ada", "Eve"))
        for number, owner in enumerate((ada, ada, eve)):
            key = bytes([number]) * 16
            row = {"tenant": "default", "id": key, "staff": owner.id, "public_key": b"k" * 77}
            mac = authority_mac(authority_key(keys), "staff_key", row)
            name = seal_for_tenant(keys, "staff", b"a key", key, "key")
            more = {"sign_count": 0, "backed_up": False, "name_sealed": name, "mac": mac}
            execute(conn, named_queries("staff")["insert_key"], **row, **more)

    def known(owner: UUID) -> list[bytes]:
        with transaction(pool) as conn:
            return [key.id[:1] for key in list_passkeys(conn, keys, owner)]

    assert (known(ada.id), known(eve.id)) == ([b"\0", b"\1"], [b"\2"])
    writer.execute("CREATE TEMPORARY TABLE kept AS TABLE staff_key")
    with transaction(pool) as conn:
        remove_passkey(conn, keys, ada.id, b"\0" * 16)
    with pytest.raises(LastSignIn), transaction(pool) as conn:
        remove_passkey(conn, keys, ada.id, b"\1" * 16)
    assert known(ada.id) == [b"\1"]  # the last one, which stays
    writer.execute("DELETE FROM staff_key")
    writer.execute("INSERT INTO staff_key SELECT * FROM kept")
    writer.execute("UPDATE staff_key SET staff = %s WHERE staff = %s", [ada.id, eve.id])
    assert known(ada.id) == [b"\1"]
    assert broken(pool, keys, "staff_key") == 2
