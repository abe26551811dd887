"""Keys of the API are made with the scopes that were asked for, shown once, and revoked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from assent.cli.doctor import _database
from assent.core.errors import Forbidden, Unauthorized
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.http.api_keys import SCOPES, authenticate, create_key, revoke_key
from assent.keys.ended import ended_file
from assent.keys.keyfile import read_export, write_export
from assent.keys.keystore import Keystore, TenantKeys
from assent.subjects.recover import import_keys
from tests.command import assent, failing
from tests.events import leaves, rows


def test_a_key_holds_its_scopes_until_it_is_revoked(
    environment: dict[str, str], pool: Pool, keystore: Keystore
) -> None:
    key = assent(environment, "api-key", "add", "--scope", "review").strip()
    with transaction(pool) as conn:
        by = authenticate(conn, keystore, key)
    by.must("review")
    with pytest.raises(Forbidden):
        by.must("images:tag")
    assert by.key_id in assent(environment, "api-key", "list")
    assent(environment, "api-key", "revoke", by.key_id)
    with pytest.raises(Unauthorized), transaction(pool) as conn:
        authenticate(conn, keystore, key)
    assert failing(environment, "api-key", "revoke", by.key_id).startswith("not_found ")
    [added] = leaves(pool, "api-key.added")
    assert added["scopes"] == ["review"]
    assert len(leaves(pool, "api-key.revoked")) == 1


def test_a_revoked_one_that_was_put_back_opens_nothing_where_a_restore_made_the_keys_folder_anew(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path
) -> None:
    with transaction(pool) as conn:
        revoked = create_key(conn, keys)
        conn.execute("CREATE TABLE kept AS TABLE api_key")
    with transaction(pool) as conn:
        revoke_key(conn, keys, revoked.split("_")[2])
    write_export(pool, keystore, tmp_path / "keys.json", keystore.tenants())
    ended_file(keystore.keys_dir, keys.tenant).unlink()  # no export holds it
    import_keys(pool, keystore, read_export(keystore, tmp_path / "keys.json"))
    with transaction(pool) as conn:
        conn.execute("DELETE FROM api_key; INSERT INTO api_key SELECT * FROM kept; DROP TABLE kept")
    with transaction(pool) as conn, pytest.raises(Unauthorized):
        authenticate(conn, keystore, revoked)


def test_a_scope_that_does_not_exist_is_refused(environment: dict[str, str]) -> None:
    assert failing(environment, "api-key", "add", "--scope", "everything").startswith("bad_request ")


def test_whose_picture_it_is_may_be_stated_with_images_match_alone(
    client: TestClient, pool: Pool, settings: Settings, keys: TenantKeys
) -> None:
    def post(scopes: tuple[str, ...], **stated: Any) -> tuple[int, str]:
        with transaction(pool) as conn:
            key = create_key(conn, keys, scopes)
        image: dict[str, Any] = {"json": {"url": "http://a.example", **stated}}
        if "form" in stated:
            image = {"files": {"image": ("a.png", b"a")}, "data": {"event": stated["form"]}}
        answer = client.post("/v1/images?wait=0", headers={"Authorization": f"Bearer {key}"}, **image)
        return answer.status_code, key.split("_")[2]

    without = tuple(scope for scope in SCOPES if scope != "images:match")
    refused = []
    whose: list[dict[str, Any]] = [{"author": "alice"}, {"connections": ["alice"]}, {"form": '{"author": "alice"}'}]
    nobodys: list[dict[str, Any]] = [{}, {"connections": []}, {"author": None}]
    for stated in whose:
        status, key = post(without, **stated)
        assert (status, post(("images:tag", "images:match"), **stated)[0]) == (403, 202)
        refused.append(key)
    assert [post(without, **stated)[0] for stated in nobodys] == [202] * 3
    assert rows(pool, "SELECT count(*) FROM event") == [(6,)]
    named = [finding for finding in _database(settings) if finding.what.startswith("API key")]
    assert [finding.what.split()[2] for finding in named] == sorted(refused)
    assert all("--scope images:tag " in finding.repair and not finding.ok for finding in named)
    assert "alice" not in str(rows(pool, "SELECT * FROM api_key"))
    with transaction(pool) as conn:
        conn.execute("UPDATE api_key SET revoked_at = now()")
    assert not any(finding.what.startswith("API key") for finding in _database(settings))
