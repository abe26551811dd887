"""Somebody who can write SQL, but has no key, gains nothing by it: rows that they insert, alter or put back permit
nothing, and `audit verify --database` finds them."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from assent.audit.authority import count_rows
from assent.core.clock import rfc3339
from assent.core.errors import ConsentMissing, SealBroken
from assent.core.values import Match
from assent.db.pool import Conn, Pool, Row, transaction
from assent.decisions.assemble import name_match
from assent.gallery.memory import reconcile
from assent.http.api_keys import create_key, revoke_key
from assent.keys.authority import AUTHORITATIVE, Authority
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal
from assent.outbox import deliver
from assent.subjects import links
from assent.subjects.consent import active_consent, consent_in_force, withdraw_consent
from assent.subjects.erase import erase
from tests.command import assent, invoke
from tests.events import SOURCE, leaves, rows
from tests.integration.held import recognise
from tests.people import enrol, give

TABLES: tuple[Authority, ...] = ("api_key", "consent", "template", "endpoint")


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody with the database's own account, who kept copies of all rows that give power."""

    conn: psycopg.Connection[Any]

    def keep(self) -> None:
        for table in (*TABLES, "subject", "subject_key"):
            self.conn.execute(f"CREATE TEMPORARY TABLE kept_{table} AS TABLE {table}")

    def run(self, attack: str) -> None:
        self.conn.execute("ALTER TABLE consent DISABLE TRIGGER consent_is_a_record")
        self.conn.execute(attack)
        self.conn.execute("ALTER TABLE consent ENABLE TRIGGER consent_is_a_record")


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield Writer(conn)


def broken(pool: Pool, keys: TenantKeys) -> dict[str, int]:
    with transaction(pool) as conn:
        return {table: counted.broken for table, counted in count_rows(conn, keys).items() if counted.broken}


def kinds(pool: Pool) -> set[str]:
    return {leaf["kind"] for leaf in leaves(pool, "seal.broken")}


@dataclass(frozen=True, slots=True)
class People:
    """`bea` consents to be found in her own posts, and did in others' before; `ana` withdrew, and `eve` was erased."""

    pool: Pool
    keystore: Keystore
    keys: TenantKeys
    gallery: Conn
    templates: dict[str, UUID]

    def reach(self, url: str) -> set[tuple[str, str, bool]]:
        """Who a filled gallery holds, with the scope, and whether beyond the year that was agreed to."""
        self.gallery.execute("DELETE FROM template")
        with psycopg.connect(url, autocommit=True) as primary_database:
            reconcile(primary_database, self.gallery, self.keystore)
            reconcile(primary_database, self.gallery, self.keystore)  # by comparison
        names = {derive_pseudonym(self.keys, name): name for name in self.templates}
        columns = "pid, scope, expires_at > now() + interval '400 days'"
        found = self.gallery.execute(f"SELECT {columns} FROM template").fetchall()  # noqa: S608 - ours
        return {(names[pid], scope, beyond) for pid, scope, beyond in found}

    def matches(self, name: str) -> int:
        """In how many pictures the person is named once a picture shows them."""
        ((version,),) = rows(
            self.pool, "SELECT coalesce(max(version), 1) FROM template WHERE id = %s", self.templates[name]
        )
        recognise(self.pool, self.keys, name, self.templates[name], f"{uuid4()}", version)
        return int(rows(self.pool, "SELECT count(*) FROM match")[0][0])


@pytest.fixture
def people(pool: Pool, keystore: Keystore, keys: TenantKeys, gallery: Conn, writer: Writer) -> People:
    consents = {name: give(pool, keys, name) for name in ("ana", "bea", "eve")}
    with transaction(pool) as conn:
        templates = {name: enrol(conn, keys, name, n) for n, name in enumerate(consents)}
    writer.keep()
    give(pool, keys, "bea", scope="own")
    with transaction(pool) as conn:
        withdraw_consent(conn, keys, consents["ana"])
    with transaction(pool) as conn:
        erase(conn, keys, "eve")
    return People(pool, keystore, keys, gallery, templates)


PUT_TEMPLATE_BACK = (
    "INSERT INTO template SELECT k.* FROM kept_template k JOIN consent c ON c.id = k.consent_id"
    " WHERE c.withdrawn_at IS NULL ON CONFLICT DO NOTHING;"
)
PUT_CONSENT_BACK = "INSERT INTO consent SELECT k.* FROM kept_consent k JOIN subject USING (pid) ON CONFLICT DO NOTHING;"
PUT_SUBJECT_BACK = (
    "INSERT INTO subject SELECT * FROM kept_subject ON CONFLICT DO NOTHING;"
    "INSERT INTO subject_key SELECT * FROM kept_subject_key ON CONFLICT DO NOTHING;"
)
UNENDED = "UPDATE consent SET withdrawn_at = NULL WHERE pid NOT IN (SELECT pid FROM consent WHERE n = 2);"
NARROW_GONE = "DELETE FROM consent WHERE n = 2;"
NARROW_ENDED = "UPDATE consent SET expired_at = now() WHERE n = 2;"
WIDE_UNENDED = "UPDATE consent SET withdrawn_at = NULL WHERE pid IN (SELECT pid FROM consent WHERE n = 2) AND n = 1;"
UNDER_WIDE = "UPDATE template t SET consent_id = c.id FROM consent c WHERE c.pid = t.pid AND c.n = 1;"
DELETED = "DELETE FROM consent WHERE withdrawn_at IS NOT NULL;"
ATTACKS = [  # each with the person it is about, and the rows that the check finds
    ("bea", "UPDATE consent SET scope = 'anyone' WHERE withdrawn_at IS NULL", {"consent": 1}),
    ("bea", "UPDATE consent SET expires_at = 'infinity' WHERE withdrawn_at IS NULL", {"consent": 1}),
    ("bea", "UPDATE consent SET mac = NULL", {"consent": 3}),
    ("bea", "UPDATE template SET mac = NULL", {"template": 1}),
    ("bea", NARROW_ENDED + WIDE_UNENDED + UNDER_WIDE, {"consent": 2, "template": 1}),
    ("bea", DELETED + NARROW_GONE + PUT_CONSENT_BACK + PUT_TEMPLATE_BACK, {"consent": 2}),
    ("bea", "UPDATE template SET version = version + 1", {"template": 1}),
    ("ana", UNENDED + PUT_TEMPLATE_BACK, {"consent": 1}),
    (
        "ana",
        DELETED + PUT_CONSENT_BACK + PUT_TEMPLATE_BACK,
        {"consent": 1},
    ),
    ("eve", PUT_SUBJECT_BACK + PUT_CONSENT_BACK + PUT_TEMPLATE_BACK, {"consent": 1}),
]


@pytest.mark.parametrize(("name", "attack", "found"), ATTACKS)
def test_rows_about_people_permit_no_more_than_they_agreed_to(
    people: People, writer: Writer, database_url: str, name: str, attack: str, found: dict[str, int]
) -> None:
    assert people.reach(database_url) == {("bea", "own", False)}
    writer.run(attack)
    assert people.reach(database_url) <= {("bea", "own", False)} - {(name, "own", False)}
    assert people.matches(name) == 0
    if "consent" in found:
        with transaction(people.pool) as conn, pytest.raises((SealBroken, ConsentMissing)):
            active_consent(conn, people.keys, derive_pseudonym(people.keys, name))
    assert broken(people.pool, people.keys) == found
    assert "decide" in kinds(people.pool)


BACK = PUT_CONSENT_BACK.replace("INSERT", DELETED + "INSERT", 1) + PUT_TEMPLATE_BACK


@pytest.mark.parametrize("attack", [UNENDED + PUT_TEMPLATE_BACK, BACK])
def test_what_was_put_back_passes_to_no_consent_that_follows(
    people: People, writer: Writer, database_url: str, attack: str
) -> None:
    """Neither the templates nor the series: what was recorded under that one is of a consent that has ended."""
    [(ended,)] = rows(people.pool, "SELECT series FROM consent WHERE pid = %s", derive_pseudonym(people.keys, "ana"))
    writer.run(attack)
    new = give(people.pool, people.keys, "ana", scope="own")
    assert people.reach(database_url) == {("bea", "own", False)}
    with transaction(people.pool) as conn:
        found = consent_in_force(conn, people.keys, derive_pseudonym(people.keys, "ana"))
    assert (found.id, found.series) == (new, new)
    assert found.series != ended
    assert rows(people.pool, "SELECT count(*) FROM template WHERE consent_id = %s", new) == [(0,)]
    assert "consent" in kinds(people.pool)


def test_what_was_recorded_before_is_not_told_under_an_altered_consent(people: People, writer: Writer) -> None:
    assert people.matches("bea") == 1
    writer.run("UPDATE consent SET scope = 'anyone'")
    with transaction(people.pool) as conn:
        match = Match(0, derive_pseudonym(people.keys, "bea"), people.templates["bea"], 2, "strong")
        assert name_match(conn, people.keys, match) is None


def test_an_api_key_that_was_inserted_widened_or_put_back_opens_nothing(
    client: TestClient, pool: Pool, keys: TenantKeys, writer: Writer, environment: dict[str, str]
) -> None:
    with transaction(pool) as conn:
        revoked, narrow = create_key(conn, keys), create_key(conn, keys, ("review",))
    writer.keep()
    with transaction(pool) as conn:
        revoke_key(conn, keys, revoked.split("_")[2])
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32).replace("_", "-")
    inserted = f"assent_default_{key_id}_{secret}"
    assert assent(environment, "audit", "verify", "--database").count("0 are not") == len(AUTHORITATIVE)
    writer.conn.execute(
        "INSERT INTO api_key (tenant, id, sha256, scopes, mac)"
        " SELECT tenant, %s, %s, scopes, mac FROM kept_api_key LIMIT 1",
        [key_id, sha256(secret.encode()).digest()],
    )
    writer.conn.execute("DELETE FROM api_key WHERE revoked_at IS NOT NULL")
    writer.conn.execute("INSERT INTO api_key SELECT * FROM kept_api_key ON CONFLICT DO NOTHING")
    writer.conn.execute(
        "UPDATE api_key SET scopes = scopes || ARRAY['audit:read'] WHERE id = %s", [narrow.split("_")[2]]
    )
    for key in (inserted, revoked, narrow):
        answer = client.get("/v1/audit/checkpoint", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert kinds(pool) == {"api_key"}
    assert broken(pool, keys) == {"api_key": 3}
    ended = invoke(environment, "audit", "verify", "--database")
    assert (ended.status, "3 of api_key" in ended.stderr) == (1, True)


@pytest.mark.parametrize("change", ["url = 'http://127.0.0.1:9/elsewhere'", "audience = 'public'", "mac = NULL"])
def test_nothing_is_sent_to_an_endpoint_that_was_changed(
    pool: Pool, keys: TenantKeys, writer: Writer, change: str
) -> None:
    message = uuid4()
    writer.conn.execute(
        "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision)"
        " VALUES ('default', %s, 'platform', 'media.tagged', %s, 'm', 1)",
        [message, SOURCE],
    )
    writer.conn.execute(f"UPDATE endpoint SET {change}")  # noqa: S608 - the cases above

    def assemble(_conn: Conn, _row: Row) -> dict[str, Any]:
        pytest.fail("a body was made for it")

    outcome = deliver.attempt(pool, keys, message, assemble, (), datetime.now(UTC))
    assert (outcome.state, outcome.because.partition(":")[0]) == ("waiting", "seal_broken")
    assert kinds(pool) == {"deliver"}
    assert broken(pool, keys) == {"endpoint": 1}


def test_a_visit_that_was_inserted_opens_no_page(people: People, writer: Writer) -> None:
    """Who knows the platform's id of somebody, and guesses which pseudonym is theirs, has no session of theirs."""
    token, ends = secrets.token_urlsafe(32), datetime.now(UTC) + timedelta(days=2)
    who = derive_pseudonym(people.keys, "bea")
    for kind in ("link", "session"):
        guessed = hmac.digest(f"{kind}{token}".encode(), b"assent.link/1", sha256)  # all of the key that a writer knows
        sealed = seal(guessed, f"{rfc3339(ends)}\nbea".encode(), kind, "default", who)
        row = ["default", sha256(f"{kind}{token}".encode()).digest(), kind, who, sealed, ends]
        writer.conn.execute(
            "INSERT INTO person_link (tenant, sha256, kind, pid, sealed, expires_at) VALUES (%s, %s, %s, %s, %s, %s)",
            row,
        )
    with transaction(people.pool) as conn, pytest.raises(SealBroken):
        links.spend(conn, people.keystore, f"link{token}")
    with transaction(people.pool) as conn, pytest.raises(SealBroken):
        links.session(conn, people.keystore, f"session{token}")
