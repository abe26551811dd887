"""Whichever way a row is read that was altered, the audit log says so, and a flood of readings does not fill it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from assent.cli import decision as command
from assent.cli.context import tenant_transaction
from assent.core.errors import DecisionUnreadable, SealBroken
from assent.core.settings import Settings
from assent.db.locks import lock_shared_session
from assent.db.pool import Conn, Pool, Row, transaction
from assent.decisions.assemble import message_body
from assent.decisions.store import open_retained_copy
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal
from assent.outbox import deliver
from assent.outbox.schedule import DELIVERY_SCHEDULE
from assent.platforms.standard_webhooks import sign_webhook
from assent.review.history import read_history
from assent.subjects import retention
from assent.subjects.erase import erase
from assent.subjects.export import export_subject
from assent.subjects.matches import matches_of, refuse
from assent.tenants import CreatedTenant
from tests import people
from tests.authority import reseal
from tests.events import SOURCE, leaves, media_item, rows
from tests.integration.held import recognise, settle
from tests.integration.me_page import is_page, submit

PICTURE = "photo with alice"
FLIPPED = "set_byte({0}, 20, get_byte({0}, 20) # 1)"


def alter(pool: Pool, table: str, column: str = "sealed", only: str = "true") -> None:
    """Flips a bit of that column in every row."""
    with transaction(pool) as conn:
        changed = conn.execute(f"UPDATE {table} SET {column} = {FLIPPED.format(column)} WHERE {only}")  # noqa: S608
        assert changed.rowcount > 0


def rewrite(pool: Pool, change: str) -> None:
    """Alters the decisions' columns that lie in the clear."""
    with transaction(pool) as conn:
        assert conn.execute(f"UPDATE decision SET {change}".encode()).rowcount > 0  # noqa: S608


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


FOR_AUTHOR = 'audiences = \'{"author": {"tags": [%s], "faces": true, "matches": true}}\''
CLEAR = [
    ("author", FOR_AUTHOR % "99"),
    ("author", FOR_AUTHOR % "-1"),
    ("author", FOR_AUTHOR % '"0"'),
    ("author", FOR_AUTHOR % "0" + """, perceptions = '{"tags": [{"name": "nudity"}]}'"""),
    ("author", "audiences = '[1]'"),
    ("public", """audiences = '{"public": {"tags": []}}'"""),
    ("platform", "document = '[]'"),
    ("platform", "document = jsonb_set(document::jsonb, '{faces}', '[]')"),
    ("platform", """document = replace(document::text, '"quality":0.8', '"quality":1e999')::json"""),
]


@pytest.mark.usefixtures("pictured")
def test_the_api_has_columns_in_the_clear_noted_whose_json_is_none_of_ours(client: TestClient, pool: Pool) -> None:
    rewrite(pool, "document = replace(document::text, ' ', '')::json")
    with transaction(pool) as conn:
        conn.execute("CREATE TABLE whole AS TABLE decision")
    for number, (audience, change) in enumerate(CLEAR, 1):
        rewrite(pool, change)
        answer = client.get(f"/v1/media/{PICTURE}?audience={audience}")
        assert (answer.status_code, answer.json()["code"]) == (500, "decision_unreadable"), change
        assert noted(pool) == ["/v1/media/{media_id:name}"] * number, change
        with transaction(pool) as conn:
            conn.execute("DELETE FROM idempotency")  # another minute
            conn.execute(
                "UPDATE decision d SET document = w.document, perceptions = w.perceptions, audiences = w.audiences"
                " FROM whole w"
            )


MESSAGES = [
    ("author", "media.tagged", FOR_AUTHOR % "99"),
    ("person", "tag.suggested", "document = '{}'"),
    ("person", "tag.suggested", "document = jsonb_set(document::jsonb, '{faces}', '[]')"),
]


@pytest.mark.parametrize(("audience", "kind", "change"), MESSAGES)
def test_a_message_that_no_altered_decision_makes_is_given_up(
    pool: Pool, keys: TenantKeys, audience: str, kind: str, change: str
) -> None:
    settle(pool, keys, "alice")
    rewrite(pool, change)
    message, now = uuid4(), datetime.now(UTC)
    with transaction(pool) as conn:
        conn.execute("UPDATE endpoint SET audience = %s", [audience])
        reseal(conn, keys, "endpoint")
        conn.execute("UPDATE match SET state = 'suggested'")
        conn.execute("DELETE FROM outbox")
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, next_at)"
            " VALUES ('default', %s, 'platform', %s, %s, %s, 1, %s)",
            [message, kind, SOURCE, PICTURE, now],
        )

    def body(conn: Conn, row: Row) -> dict[str, Any] | None:
        return message_body(conn, keys, row, lock_shared_session)

    for _ in DELIVERY_SCHEDULE:
        outcome = deliver.attempt(pool, keys, message, body, (), now)
        assert outcome.because.startswith("decision_unreadable: ")
        now = outcome.retry_at or now
    assert outcome.state == "dead"
    assert noted(pool) == ["deliver"]


def test_the_persons_page_has_an_altered_decision_noted(alice: TestClient, pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    rewrite(pool, "document = jsonb_set(document::jsonb, '{faces}', '[]')")
    shown = alice.get("/me/seen")
    assert (shown.status_code, is_page(shown)) == (500, True)
    answered = submit(alice, "/me/seen", {"source": SOURCE, "media": PICTURE, "face": "0", "answer": "no"})
    assert (answered.status_code, is_page(answered)) == (500, True)
    assert noted(pool) == ["/me/seen"]
    assert rows(pool, "SELECT count(*) FROM match") == [(1,)]


@pytest.mark.usefixtures("pictured")
def test_a_command_has_an_altered_decision_noted(
    pool: Pool, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSENT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("ASSENT_DATABASE_URL", database_url)
    rewrite(pool, """perceptions = '{"tags": [{"name": "nudity"}]}'""")
    with pytest.raises(DecisionUnreadable):
        command.explain(PICTURE)
    assert noted(pool) == ["command"]


@pytest.mark.usefixtures("pictured")
def test_an_altered_decision_of_a_moderator_is_not_followed(pool: Pool) -> None:
    rewrite(pool, """document = jsonb_set(document::jsonb, '{reviewed}', '{"action": "block", "at": "2026-01-01"}')""")
    with transaction(pool) as conn, pytest.raises(DecisionUnreadable):
        read_history(conn, "default", "ab" * 32)


@pytest.mark.parametrize(("table", "column"), [("refusal", "sealed"), ("subject_key", "wrapped")])
def test_who_may_have_refused_that_face_is_not_named(pool: Pool, keys: TenantKeys, table: str, column: str) -> None:
    settle(pool, keys, "alice")
    alter(pool, table, column)
    ((template,),) = rows(pool, "SELECT id FROM template ORDER BY version LIMIT 1")
    recognise(pool, keys, "alice", template, "another")
    assert rows(pool, "SELECT count(*) FROM decision WHERE media_id = 'another'") == [(1,)]
    assert rows(pool, "SELECT count(*) FROM match WHERE media_id = 'another'") == [(0,)]
    assert noted(pool) == ["decide"]


def test_what_is_not_taken_back_yet_of_who_left_and_came_back_was_not_altered(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "alice")
    with transaction(pool) as conn:
        erase(conn, keys, "alice")
    people.give(pool, keys, "alice")
    alice = derive_pseudonym(keys, "alice")
    with transaction(pool) as conn:
        assert matches_of(conn, keys, alice) == []
    with transaction(pool) as conn:
        assert export_subject(conn, keys, "alice")["unreadable"]["matches"] == 1
    refuse(pool, keys, alice, media_item(PICTURE), 0)
    assert rows(pool, "SELECT count(*) FROM match") == [(0,)]
    assert noted(pool) == []


def test_readers_who_find_nothing_altered_note_nothing(
    alice: TestClient, pool: Pool, keys: TenantKeys, made: CreatedTenant
) -> None:
    settle(pool, keys, "alice")
    by_key = {"Authorization": f"Bearer {made.api_key}"}
    paths = (f"/v1/media/{PICTURE}", "/v1/subjects/alice/export", "/me", "/me/seen", "/me/export")
    assert [alice.get(path, headers=by_key).status_code for path in paths] == [200] * 5
    assert alice.get("/v1/media/unknown", headers=by_key).status_code == 404
    assert noted(pool) == []
