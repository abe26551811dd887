"""The application owns the embedded server's database and is no superuser, also where an earlier version made it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from assent.cli.doctor import _server
from assent.core.errors import DatabaseUnavailable
from assent.db.migrate import migrate
from assent.embedded import roles
from assent.embedded.clusters import embedded
from tests.fixtures.database import superuser_of

# Of every kind of object that a migration may make.
KINDS = (
    "CREATE TABLE one (id int GENERATED ALWAYS AS IDENTITY, n serial, word text UNIQUE)",
    "CREATE TABLE parts (n int) PARTITION BY RANGE (n)",
    "CREATE TABLE part PARTITION OF parts DEFAULT",
    "CREATE VIEW seen AS SELECT * FROM one",
    "CREATE MATERIALIZED VIEW kept AS SELECT * FROM one",
    "CREATE SEQUENCE counted",
    "CREATE TYPE mood AS ENUM ('good')",
    "CREATE TYPE pair AS (a int, b int)",
    "CREATE TYPE span AS RANGE (subtype = int)",
    "CREATE DOMAIN short AS text CHECK (length(VALUE) < 9)",
    "CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'",
    'CREATE SCHEMA "an Other"',
    'CREATE TABLE "an Other"."a Table" (n int)',
)
FORBIDDEN = (
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('postmaster.pid')",
    "SELECT passwd FROM pg_shadow",
    "SET session_replication_role = replica",
    "SET ROLE assent",
    "ALTER ROLE application SUPERUSER",
    "CREATE ROLE other",
    "CREATE DATABASE other",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_create_physical_replication_slot('one')",
)
OWNED_BY = """
    SELECT 'database', datname FROM pg_database WHERE datname = current_database() AND datdba = %(owner)s::regrole
    UNION ALL SELECT 'schema', nspname FROM pg_namespace
        WHERE nspowner = %(owner)s::regrole AND nspname IN ('public', 'an Other')
    UNION ALL SELECT 'relation', relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relowner = %(owner)s::regrole AND nspname IN ('public', 'an Other')
    UNION ALL SELECT 'routine', proname FROM pg_proc
        WHERE proowner = %(owner)s::regrole AND pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'type', typname FROM pg_type
        WHERE typowner = %(owner)s::regrole AND typnamespace = 'public'::regnamespace
"""


@pytest.fixture(scope="module")
def of_before(open_folder: Path) -> Iterator[Path]:
    """The data folder of a running server whose database an earlier version made: all of it is the superuser's."""
    folder = open_folder / uuid4().hex[:8]
    with embedded(folder) as url:
        migrate(url)
        with psycopg.connect(superuser_of(folder, url), autocommit=True) as conn:
            for statement in KINDS:
                conn.execute(statement)
            conn.execute("REASSIGN OWNED BY application TO assent")
            conn.execute("DROP ROLE application")
        yield folder


def owned(url: str, owner: str) -> set[tuple[str, str]]:
    with psycopg.connect(url) as conn:
        return set(conn.execute(OWNED_BY, {"owner": owner}))


def test_a_database_of_before_changes_owner_whole_or_not_at_all(of_before: Path) -> None:
    superuser = superuser_of(of_before, f"postgresql://nobody@/postgres?host={of_before / 'socket'}")
    before = owned(superuser, "assent")
    assert ("relation", "audit_leaf") in before
    with psycopg.connect(superuser) as busy:  # a process of the earlier version is still at work
        busy.execute("LOCK TABLE one")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(roles, "_OPTIONS", roles._OPTIONS.replace("10s", "100ms"))
            with pytest.raises(DatabaseUnavailable, match="stop its processes"):
                embedded(of_before).__enter__()
    assert owned(superuser, "assent") == before
    with embedded(of_before) as url, psycopg.connect(url) as conn:
        assert owned(superuser, "assent") == set()
        assert owned(url, "application") == before
        assert migrate(url) == []
        conn.execute("INSERT INTO one (word) VALUES ('written')")
        conn.execute("CREATE TABLE later (n int)")
        conn.execute('DROP SCHEMA "an Other" CASCADE')


def test_an_object_that_came_back_to_the_superuser_is_given_at_the_next_start(of_before: Path) -> None:
    with embedded(of_before) as url, psycopg.connect(superuser_of(of_before, url)) as conn:
        conn.execute("ALTER TABLE audit_leaf OWNER TO assent")
    with embedded(of_before) as url:
        assert ("relation", "audit_leaf") in owned(url, "application")


def test_the_application_may_do_nothing_to_the_server(of_before: Path) -> None:
    with embedded(of_before) as url, psycopg.connect(url, autocommit=True) as conn:
        assert conn.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user").fetchall() == [
            ("application", False)
        ]
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement.encode())


def test_what_the_application_leaves_in_its_schema_is_not_run_by_the_superuser(of_before: Path) -> None:
    with embedded(of_before) as url:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("CREATE FUNCTION format(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT 1/0 || $1'")
            conn.execute("ALTER DATABASE postgres SET search_path = public, pg_catalog")
            conn.execute("ALTER DATABASE postgres SET role = application")
        with psycopg.connect(superuser_of(of_before, url), options="-c role=none") as conn:
            conn.execute("CREATE TABLE public.meanwhile (n int)")
        with embedded(of_before) as again, psycopg.connect(again, autocommit=True) as conn:
            conn.execute("DROP TABLE meanwhile")
            conn.execute("ALTER DATABASE postgres RESET ALL")


def test_the_doctor_warns_of_a_superuser(of_before: Path) -> None:
    with embedded(of_before) as url:
        found = {of: list(_server(of))[-1] for of in (url, superuser_of(of_before, url))}
    assert [(finding.ok, finding.detail) for finding in found.values()] == [
        (True, "no superuser"),
        (True, "assent is a superuser"),
    ]
    assert [("warning" in finding.mark, bool(finding.repair)) for finding in found.values()] == [
        (False, False),
        (True, True),
    ]
