"""Upgrades an installation of migration 0008 with its keystore: all is there, and its queued jobs run.

`installation_0008` was dumped by that version with keys of the test's own: people, decisions, cases, undelivered
messages, two undecided events, four waiting enrolments and a waiting retraction.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.audit.authority import count_rows, open_installation, seal_restored
from assent.core.settings import Settings
from assent.db import migrate as migrations
from assent.db.pool import Pool, transaction
from assent.decisions.document import from_json, to_json
from assent.keys.keystore import TenantKeys
from assent.keys.subject_keys import SubjectKey, open_template
from assent.review.cases import open_cases, picture_of
from assent.subjects.rewrite import PEOPLE_TABLES
from assent.tenants import CreatedTenant
from assent.worker.jobs import WorkerContext
from tests.authority import move_endpoints
from tests.command import assent
from tests.events import decision, leaves, rows
from tests.fixtures.database import Drop, create_database
from tests.integration.album import Album
from tests.web import Web

BEFORE = Path(__file__).parent / "installation_0008"
API_KEY = "assent_default_ffd2d54d6240_gdlRkY6pC1jFNdUXrehuAA53FFBbJf74ncUhwcl8Hj4"


@pytest.fixture
def database_url(server_url: str, superuser_url: str, drop: Drop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The old database, brought to the newest schema."""
    name = f"old_{uuid4().hex}"
    url = create_database(server_url, name, "template0")
    everything = migrations._read_all()
    with monkeypatch.context() as old:
        old.setattr(migrations, "_read_all", lambda: everything.filter(lambda migration: migration.id[:4] <= "0008"))
        migrations.migrate(url)
    with psycopg.connect(superuser_url, dbname=name) as conn:
        conn.execute("SET session_replication_role = replica")  # as a restore does it: no triggers, in any order
        conn.execute("DELETE FROM instance")
        conn.execute((BEFORE / "data.sql").read_bytes())
        # The file is read long after the consents in it would have ended.
        conn.execute("UPDATE consent SET expires_at = expires_at + interval '100 years'")
    migrations.migrate(url)
    yield url
    drop(server_url, name)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """With the old keystore."""
    keys = tmp_path / "data" / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for file in (BEFORE / "keys").iterdir():
        shutil.copyfile(file, keys / file.name)
        (keys / file.name).chmod(0o600)
    return Settings(data_dir=tmp_path / "data", database_url=database_url, lease_seconds=2)


@pytest.fixture
def made() -> CreatedTenant:
    return cast(CreatedTenant, SimpleNamespace(tenant="default", api_key=API_KEY))


@pytest.fixture
def album(bench: WorkerContext, keys: TenantKeys, web: Web) -> Album:
    with transaction(bench.pool) as conn:
        move_endpoints(conn, keys, f"{web.url}/hooks")
    return Album(bench, keys, b"", web)


def test_stored_decisions_are_read_and_written_as_they_were(pool: Pool) -> None:
    stored = [row[0] for row in rows(pool, "SELECT document FROM decision")]
    assert len(stored) == 7
    for document in stored:
        assert json.dumps(to_json(from_json(document))) == json.dumps(document)


def test_decisions_are_told_as_they_were(client: TestClient) -> None:
    told: dict[str, Any] = json.loads((BEFORE / "decisions.json").read_text())
    for media, document in told.items():
        answer = client.get(f"/v1/media/{media}")
        assert answer.status_code == 200
        said = answer.json()
        assert said.pop("source") == "platform"
        document["audit"] = said["audit"]
        assert json.dumps(said) == json.dumps(document)
    assert [face["match"]["subject"] for face in told["photo with alice"]["faces"]] == ["alice"]


def test_the_log_verifies(pool: Pool, keys: TenantKeys, environment: dict[str, str]) -> None:
    del keys
    assert assent(environment, "audit", "verify").startswith("ok: ")
    assert rows(pool, "SELECT count(*) FROM audit_leaf") == [(16 + 1,)]  # the command seals the rows' authority


def test_rows_of_before_get_their_macs_once(pool: Pool, settings: Settings, database_url: str) -> None:
    with ThreadPoolExecutor(2) as processes:
        keystore, _ = processes.map(lambda _: open_installation(settings, pool), range(2))
    [leaf] = leaves(pool, "authority.sealed")
    assert leaf["rows"] == {"api_key": 2, "consent": 6, "template": 4, "endpoint": 1}
    keys = keystore.tenant("default")
    assert keys.authority_sealed
    assert unsealed(pool, keys) == 0
    with TestClient(create_app(settings, database_url), headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        assert client.get("/v1/audit/checkpoint").status_code == 200
        rows(pool, "UPDATE api_key SET mac = NULL RETURNING id")
        open_installation(settings, pool)
        assert client.get("/v1/audit/checkpoint").status_code == 401
    assert unsealed(pool, keys) == leaf["rows"]["api_key"]
    assert seal_restored(pool, keystore) == {}  # others have theirs: it is no backup of before
    assert len(leaves(pool, "authority.sealed")) == 1
    for table in leaf["rows"]:
        rows(pool, f"UPDATE {table} SET mac = NULL RETURNING tenant")  # noqa: S608 - our own tables
    assert seal_restored(pool, keystore) == {"default": leaf["rows"]}
    assert (unsealed(pool, keys), len(leaves(pool, "authority.sealed"))) == (0, 2)


def unsealed(pool: Pool, keys: TenantKeys) -> int:
    with transaction(pool) as conn:
        return sum(counted.broken for counted in count_rows(conn, keys).values())


def test_templates_open(pool: Pool, keys: TenantKeys) -> None:
    query = (
        "SELECT t.pid, k.epoch, k.wrapped, t.id, t.model, t.sealed"
        " FROM template t JOIN subject_key k USING (tenant, pid)"
    )
    stored = rows(pool, query)
    assert len(stored) == 4
    replaced, by = "b1d488b1-2897-4d7b-86e5-d6660a1ec28e", "896f0efe-55d5-457c-a7a3-71a4acee85e7"  # without a break
    ordered = rows(
        pool, "SELECT id::text, n, series::text FROM consent WHERE id = ANY(%s::uuid[]) ORDER BY n", [replaced, by]
    )
    assert ordered == [(replaced, 1, replaced), (by, 2, replaced)]
    for pseudonym, epoch, wrapped, id_, model, sealed in stored:
        assert open_template(SubjectKey.unwrap(keys, pseudonym, epoch, wrapped), id_, model, sealed).shape == (128,)


def test_cases_wait_with_their_images(pool: Pool, keys: TenantKeys) -> None:
    with transaction(pool) as conn:
        waiting = {case.media_id: case.id for case in open_cases(conn, "default", 10)}
        assert set(waiting) == {"waits", "broken"}
        assert picture_of(conn, keys, waiting["waits"]).startswith(b"\xff\xd8")


def test_queued_jobs_run(album: Album) -> None:
    assert rows(album.bench, "SELECT count(*) FROM match") == [(3,)]
    album.work()
    ended = "SELECT task_name, count(*) FROM procrastinate_jobs WHERE status = 'succeeded' GROUP BY 1 ORDER BY 1"
    assert rows(album.bench, ended) == [("decide", 9), ("enrol", 4), ("retract", 1)]
    assert decision(album.bench, album.keys, "undecided")["action"] == "allow"
    assert rows(album.bench, "SELECT count(*) FROM match") == [(2,)]  # hers is gone who had withdrawn
    assert leaves(album.bench, "template.enrolled") == []  # the photos that waited show nobody


def test_undelivered_messages_are_delivered(album: Album) -> None:
    waiting = rows(album.bench, "SELECT count(*) FROM outbox WHERE state = 'waiting'")
    bodies = album.deliver()
    assert [(len(bodies),)] == waiting
    assert {body["data"]["schema"] for body in bodies} == {"assent.decision/1"}


def test_times_of_people_are_whole_hours_afterwards(pool: Pool) -> None:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    typed = f"{query} AND data_type = 'timestamp with time zone'"
    columns = [(table, column) for table, column in rows(pool, typed) if table in PEOPLE_TABLES]
    columns.remove(("person_link", "expires_at"))  # a session of before is over within half an hour
    assert len(columns) >= 9
    for table, column in columns:
        whole = f"SELECT bool_and(date_bin('1 hour', {column}, 'epoch') = {column}) FROM {table}"  # noqa: S608 - ours
        assert rows(pool, whole)[0][0] in (True, None), (table, column)
