"""Whichever way a row is read that was altered, the audit log says so, and a flood of readings does not fill it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from assent.cli.context import tenant_transaction
from assent.core.errors import SealBroken
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.decisions.store import open_retained_copy
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal
from assent.outbox import deliver
from assent.platforms.standard_webhooks import sign_webhook
from assent.subjects import retention
from assent.tenants import CreatedTenant
from tests import people
from tests.events import SOURCE, leaves, media_item, rows
from tests.integration.held import settle
from tests.integration.me_page import is_page, submit

PICTURE = "photo with alice"
FLIPPED = "set_byte({0}, 20, get_byte({0}, 20) # 1)"


def alter(pool: Pool, table: str, column: str = "sealed", only: str = "true") -> None:
    """Flips a bit of that column in every row."""
    with transaction(pool) as conn:
        changed = conn.execute(f"UPDATE {table} SET {column} = {FLIPPED.format(column)} WHERE {only}")  # noqa: S608
        assert changed.rowcount > 0


def noted(pool: Pool) -> list[str]:
    return [leaf["kind"] for leaf in leaves(pool, "seal.broken")]


@pytest.fixture
def pictured(pool: Pool, keys: TenantKeys) -> None:
    """Alice, in a decided picture of which a copy is kept and which waits for a moderator."""
    settle(pool, keys, "alice")
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO kept_picture (tenant, source, media_id, sealed, kept_until)"
            " VALUES ('default', %s, %s, %s, now() + interval '1 day')",
            [SOURCE, PICTURE, seal(keys.seal_key, b"a picture", "kept", "default", PICTURE)],
        )
        conn.execute(
            "INSERT INTO review_case (tenant, id, source, media_id, revision, reason, queue, priority)"
            " VALUES ('default', gen_random_uuid(), %s, %s, 1, 'policy', 'default', 0)",
            [SOURCE, PICTURE],
        )


READ = [
    ("match", "sealed", "/v1/media/{media_id:name}"),
    ("match", "locator", "/v1/media/{media_id:name}"),
    ("subject_key", "wrapped", "/v1/media/{media_id:name}"),
    ("kept_picture", "sealed", "/v1/media/{media_id:name}/redacted"),
    ("match", "sealed", "/v1/reviews/{case_id}"),
    ("kept_picture", "sealed", "/v1/reviews/{case_id}/picture"),
]


@pytest.mark.usefixtures("pictured")
def test_the_api_has_it_noted_and_not_each_time(client: TestClient, pool: Pool) -> None:
    [(case,)] = rows(pool, "SELECT id FROM review_case")
    for table, column, path in READ:
        alter(pool, table, column)
        asked = path.replace("{media_id:name}", PICTURE).replace("{case_id}", str(case))
        answers = [client.get(asked) for _ in range(4)]
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(500, "seal_broken")}, path
        assert path in noted(pool)
        alter(pool, table, column)  # put right again
    assert len(noted(pool)) <= 2 * 4  # one a minute and path
    leaf = leaves(pool, "seal.broken")[0]
    assert (set(leaf), leaf["commitments"]) == ({"v", "at", "action", "kind", "commitments"}, [])
    with transaction(pool) as conn:
        conn.execute("DELETE FROM idempotency")  # another minute
        conn.execute("UPDATE decision SET document = '{}'")
    assert client.get(f"/v1/media/{PICTURE}").json()["code"] == "decision_unreadable"
    assert noted(pool)[-1] == "/v1/media/{media_id:name}"


def test_a_webhook_that_no_secret_can_check_is_noted(client: TestClient, pool: Pool, made: CreatedTenant) -> None:
    alter(pool, "webhook_secret")
    headers = sign_webhook("d-1", datetime.now(UTC), b"{}", [made.source_secret])
    answer = client.post("/v1/webhooks/platform", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "seal_broken")
    assert noted(pool) == ["/v1/webhooks/{source}"]


def test_a_delivery_that_no_secret_can_sign_is_noted(pool: Pool, keys: TenantKeys) -> None:
    alter(pool, "webhook_secret", only="owner = 'endpoint'")
    message = uuid4()
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision)"
            " VALUES ('default', %s, 'platform', 'media.tagged', %s, 'm', 1)",
            [message, SOURCE],
        )
    outcome = deliver.attempt(pool, keys, message, lambda _conn, _row: {"type": "test"}, (), datetime.now(UTC))
    assert (outcome.state, outcome.because) == ("dead", "a signing secret does not open with this keystore")
    assert noted(pool) == ["secret"]


def test_the_persons_page_has_it_noted(alice: TestClient, pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    alter(pool, "match")
    shown = alice.get("/me/seen")
    assert (shown.status_code, is_page(shown)) == (500, True)
    assert noted(pool) == ["/me/seen"]


def test_a_session_whose_row_was_altered_opens_nothing(alice: TestClient, pool: Pool) -> None:
    alter(pool, "person_link")
    shown = alice.get("/me")
    assert (shown.status_code, is_page(shown)) == (500, True)
    assert noted(pool) == ["/me"]


@pytest.mark.usefixtures("pictured")
def test_a_command_has_it_noted(
    pool: Pool, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSENT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("ASSENT_DATABASE_URL", database_url)
    alter(pool, "kept_picture")
    with pytest.raises(SealBroken), tenant_transaction("default") as (conn, keys):
        open_retained_copy(conn, keys, media_item(PICTURE))
    assert noted(pool) == ["command"]


@pytest.mark.parametrize("change", ["UPDATE subject_key SET wrapped = 'x'", "DELETE FROM subject_key"])
def test_a_key_that_does_not_open_keeps_nobody_from_withdrawing(
    client: TestClient, pool: Pool, keys: TenantKeys, change: str
) -> None:
    consent = people.give(pool, keys, "alice")
    with transaction(pool) as conn:
        conn.execute(change.encode())
    assert client.post(f"/v1/consents/{consent}/withdraw").status_code == 204
    assert rows(pool, "SELECT withdrawn_at IS NOT NULL FROM consent") == [(True,)]
    assert noted(pool) == ["subject_key"]


def test_not_me_is_heard_of_a_match_that_does_not_open(alice: TestClient, pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    alter(pool, "match")
    answered = submit(alice, "/me/seen", {"source": SOURCE, "media": PICTURE, "face": "0", "answer": "no"})
    assert answered.headers["location"] == "/me/seen?said=refused"
    assert rows(pool, "SELECT count(*) FROM match") == [(0,)]
    assert noted(pool) == ["match"]


def test_who_cannot_be_erased_when_their_term_ends_is_noted(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    alter(pool, "subject")
    assert retention.erase_due(pool, keys, datetime.now(UTC) + timedelta(days=4 * 365)) == 0
    assert noted(pool) == ["subject"]


def test_readers_who_find_nothing_altered_note_nothing(
    alice: TestClient, pool: Pool, keys: TenantKeys, made: CreatedTenant
) -> None:
    settle(pool, keys, "alice")
    by_key = {"Authorization": f"Bearer {made.api_key}"}
    paths = (f"/v1/media/{PICTURE}", "/v1/subjects/alice/export", "/me", "/me/seen", "/me/export")
    assert [alice.get(path, headers=by_key).status_code for path in paths] == [200] * 5
    assert alice.get("/v1/media/unknown", headers=by_key).status_code == 404
    assert noted(pool) == []
