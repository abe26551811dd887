"""The process's clock and the database's, when they differ: `/readyz` and `assent doctor` notice it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql

from assent.cli.doctor import _database
from assent.core.settings import Settings
from assent.tenants import CreatedTenant

Skew = Callable[[float], None]
CLOCK = """
    CREATE OR REPLACE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    RETURN pg_catalog.clock_timestamp() + make_interval(secs => {})
"""


@pytest.fixture
def skew(database_url: str) -> Iterator[Skew]:
    """Sets by how many seconds the database's clock is ahead; it has one of its own for connections made after this."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA skewed")
        path = sql.SQL("ALTER DATABASE {} SET search_path = skewed, public, pg_catalog")
        conn.execute(path.format(sql.Identifier(conn.info.dbname)))

        def skew(seconds: float) -> None:
            conn.execute(sql.SQL(CLOCK).format(sql.Literal(seconds)))

        yield skew


def test_clocks_more_than_a_minute_apart_are_not_ready(skew: Skew, client: TestClient) -> None:
    for seconds in (0, -55, 55):
        skew(seconds)
        assert client.get("/readyz").status_code == 200
    for seconds, word in ((-65, "behind"), (3600, "ahead")):
        skew(seconds)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "clocks_differ")
        assert answer.json()["detail"].endswith(word)
    skew(0)
    assert client.get("/readyz").status_code == 200


def test_the_doctor_names_the_difference(skew: Skew, settings: Settings, made: CreatedTenant) -> None:
    for seconds, ok, word in ((3, True, "ahead"), (-8, False, "behind")):
        skew(seconds)
        [finding] = [finding for finding in _database(settings) if finding.what == "clocks"]
        assert finding.ok is ok
        assert word in finding.detail
        assert ("NTP" in finding.repair) is not ok
