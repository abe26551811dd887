"""Delivering to a real receiver that verifies the signatures, from a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import repeat
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.rows import dict_row
from standardwebhooks import Webhook, WebhookVerificationError

from assent.audit.log import create_log
from assent.core.errors import NotFound
from assent.core.settings import AllowedHost
from assent.db.pool import Conn, Pool, Row, open_pool
from assent.keys.keystore import TenantKeys, create_keystore
from assent.keys.seal import seal
from assent.outbox.dead_letters import list_dead_letters, redrive
from assent.outbox.deliver import LEASE, attempt
from assent.outbox.endpoint_health import REST
from assent.outbox.endpoints import insert_endpoint
from assent.outbox.schedule import DELIVERY_SCHEDULE, Outcome
from assent.platforms.standard_webhooks import new_secret
from tests.authority import reseal
from tests.fixtures.database import Drop, fresh_database
from tests.waiting import until
from tests.web import Answer, Web

SECRET_PATH = "/hooks/very-secret-path"
BODY = {"type": "media.tagged", "timestamp": "2026-01-31T12:00:00Z", "data": {"über": ["é", 1, None]}}


@dataclass(frozen=True)
class Office:
    """A tenant with one endpoint, one live secret and one message to it."""

    pool: Pool
    keys: TenantKeys
    web: Web
    message: UUID
    secret: str

    @property
    def allow(self) -> tuple[AllowedHost, ...]:
        """The receiver, and a port on which nothing listens."""
        return self.web.allowed, AllowedHost("127.0.0.1", 1, ip_network("127.0.0.0/8"))

    def send(self, now: datetime, assemble: Callable[[Conn, Row], Mapping[str, Any] | None] | None = None) -> Outcome:
        make = assemble or (lambda _conn, _row: BODY)
        return attempt(self.pool, self.keys, self.message, make, self.allow, now)

    def verified(self, secret: str) -> Any:
        """What the last delivery says, once its signature is verified."""
        posted = self.web.received[-1]
        return Webhook(secret).verify(posted.body, posted.headers)

    def row(self) -> dict[str, Any]:
        with self.pool.connection() as conn:
            cursor = conn.cursor(row_factory=dict_row)
            found = cursor.execute("SELECT * FROM outbox WHERE id = %s", [self.message]).fetchone()
        assert found is not None
        return found

    def do(self, statement: bytes) -> None:
        with self.pool.connection() as conn:
            conn.execute(statement, {"tenant": self.keys.tenant})


@pytest.fixture(scope="module")
def pool(server_url: str, template: str, drop: Drop) -> Iterator[Pool]:
    with fresh_database(server_url, template, drop) as url, open_pool(url, size=4) as pool:
        yield pool


@pytest.fixture
def office(pool: Pool, tmp_path: Path, web: Web) -> Office:
    keys = create_keystore(tmp_path / "keys", uuid4()).add_tenant(f"t{uuid4().hex[:12]}")
    with pool.connection() as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES (%s)", [keys.tenant])
        create_log(conn, keys.tenant)
        url = f"{web.url}{SECRET_PATH}?token=very-secret-token"
        insert_endpoint(conn, keys, "app", url, "platform")
        secret = add_secret(conn, keys)
        message = add_message(conn, keys)
    return Office(pool, keys, web, message, secret)


def add_secret(conn: Conn, keys: TenantKeys, expires: datetime | None = None) -> str:
    secret, row = new_secret(), uuid4()
    sealed = seal(keys.seal_key, secret.encode(), "secret", keys.tenant, "endpoint", "app", str(row))
    conn.execute(
        "INSERT INTO webhook_secret (tenant, owner, name, id, sealed, expires_at)"
        " VALUES (%s, 'endpoint', 'app', %s, %s, %s)",
        [keys.tenant, row, sealed, expires],
    )
    return secret


def add_message(conn: Conn, keys: TenantKeys, media: str = "m-1") -> UUID:
    message = uuid4()
    conn.execute(
        "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision)"
        " VALUES (%s, %s, 'app', 'media.tagged', 'platform', %s, 1)",
        [keys.tenant, message, media],
    )
    return message


def now() -> datetime:
    return datetime.now(UTC)


def test_a_message_arrives_signed_and_is_sent_once(office: Office) -> None:
    seen: list[Row] = []

    def assemble(conn: Conn, row: Row) -> dict[str, Any]:
        assert conn.execute("SELECT 1").fetchone() == (1,)
        seen.append(row)
        return BODY

    assert office.send(now(), assemble) == Outcome("delivered")
    posted = office.web.received[0]
    assert office.verified(office.secret) == json.loads(posted.body) == BODY
    assert posted.path.startswith(SECRET_PATH)
    assert posted.headers["webhook-id"] == f"msg_{office.message.hex}"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["user-agent"].startswith("Assent/")
    said = [seen[0][name] for name in ("endpoint", "type", "source", "media_id", "revision")]
    assert said == ["app", "media.tagged", "platform", "m-1", 1]
    row = office.row()
    assert (row["state"], row["attempts"], row["last_error"]) == ("delivered", 1, None)
    assert row["delivered_at"] is not None
    assert office.send(now() + LEASE * 2).state == "delivered"
    assert len(office.web.received) == 1


def test_two_live_secrets_both_sign_and_an_expired_one_does_not(office: Office) -> None:
    with office.pool.connection() as conn:
        second = add_secret(conn, office.keys, now() + timedelta(hours=1))
        expired = add_secret(conn, office.keys, now() - timedelta(seconds=1))
    assert office.send(now()).state == "delivered"
    assert office.verified(office.secret) == office.verified(second) == BODY
    with pytest.raises(WebhookVerificationError):
        office.verified(expired)


def test_a_failed_attempt_is_repeated_under_the_same_id_at_the_time_asked_for(office: Office) -> None:
    office.web.answers = iter([Answer(503, {"retry-after": "60"})])
    start = now()
    first = office.send(start)
    assert first.state == "waiting"
    assert first.retry_at is not None
    assert timedelta(seconds=60) <= first.retry_at - start < timedelta(seconds=75)
    row = office.row()
    assert (row["state"], row["attempts"], row["next_at"]) == ("waiting", 1, first.retry_at)
    assert row["last_error"] == "HTTP 503"
    early = office.send(first.retry_at - timedelta(seconds=1))
    assert (early.state, early.retry_at, len(office.web.received)) == ("waiting", first.retry_at, 1)
    assert office.send(first.retry_at).state == "delivered"
    one, two = (posted.headers for posted in office.web.received)
    assert one["webhook-id"] == two["webhook-id"]
    assert int(two["webhook-timestamp"]) - int(one["webhook-timestamp"]) >= 60
    assert office.verified(office.secret) == BODY


def test_a_redirect_is_a_failure_and_is_not_followed(office: Office) -> None:
    office.web.answers = iter([Answer(302, {"location": f"{office.web.url}/elsewhere"})])
    outcome = office.send(now())
    assert (outcome.state, outcome.because) == ("waiting", "HTTP 302: redirects are not followed")
    assert len(office.web.received) == 1


def test_gone_disables_the_endpoint_and_what_else_waits_for_it(office: Office) -> None:
    office.web.answers = iter([Answer(410)])
    assert office.send(now()).state == "dead"
    with office.pool.connection() as conn:
        disabled = "SELECT disabled_because FROM endpoint WHERE tenant = %s AND disabled_at IS NOT NULL"
        assert conn.execute(disabled, [office.keys.tenant]).fetchone() == ("HTTP 410: the receiver wants no more",)
        other = add_message(conn, office.keys, "m-2")
    outcome = replace(office, message=other).send(now())
    assert (outcome.state, outcome.because) == ("dead", "the endpoint is disabled")
    assert len(office.web.received) == 1


def test_an_error_holds_neither_the_answer_nor_the_address(office: Office) -> None:
    office.web.answers = iter([Answer(500, body=b"a body that is nobody's business")])
    office.send(now())
    said = [office.row()["last_error"]]
    office.do(b"UPDATE outbox SET next_at = now() WHERE tenant = %(tenant)s")
    with office.pool.connection() as conn:
        moved = "UPDATE endpoint SET url = replace(url, '127.0.0.1', '127.0.0.1:1/') WHERE tenant = %s"
        conn.execute(moved, [office.keys.tenant])
        reseal(conn, office.keys, "endpoint")
    office.send(now() + timedelta(seconds=1))
    said.append(office.row()["last_error"])
    for text in said:
        assert text
        assert "secret" not in text
        assert "business" not in text
    assert said[1].startswith("fetch_failed: the exchange with 127.0.0.1 failed")


def test_an_address_that_is_not_allowed_is_not_dialled(office: Office) -> None:
    outcome = attempt(office.pool, office.keys, office.message, lambda _conn, _row: BODY, (), now())
    assert outcome.state == "waiting"
    assert outcome.because.startswith("fetch_refused")
    assert office.web.received == []


def test_after_the_last_attempt_a_message_is_dead_until_it_is_redriven(office: Office) -> None:
    at = now()
    office.web.answers = repeat(Answer(503), len(DELIVERY_SCHEDULE))
    for n in range(len(DELIVERY_SCHEDULE)):
        outcome = office.send(at)
        assert office.row()["attempts"] == n + 1
        at = outcome.retry_at or at
    assert (outcome.state, outcome.because) == ("dead", "HTTP 503")
    assert at - now() > timedelta(hours=75)
    with office.pool.connection() as conn:
        letters = list_dead_letters(conn, office.keys.tenant)
        assert [(letter["id"], letter["attempts"]) for letter in letters] == [(office.message, 10)]
        assert list_dead_letters(conn, "another") == []
        assert redrive(conn, office.keys.tenant, [uuid4()]) == []
        assert redrive(conn, "another", None) == []
        assert redrive(conn, office.keys.tenant, None) == [office.message]
        assert redrive(conn, office.keys.tenant, None) == []
    assert office.send(at + REST[1] * 2).state == "delivered"  # the endpoint rested
    assert office.row()["attempts"] == 1


def test_only_the_named_dead_letters_are_redriven(office: Office) -> None:
    with office.pool.connection() as conn:
        other = add_message(conn, office.keys, "m-2")
    office.do(b"UPDATE outbox SET state = 'dead' WHERE tenant = %(tenant)s")
    with office.pool.connection() as conn:
        assert redrive(conn, office.keys.tenant, [other]) == [other]
    assert office.row()["state"] == "dead"


def test_a_message_with_nothing_left_to_say_is_superseded(office: Office) -> None:
    assert office.send(now(), lambda _conn, _row: None).state == "superseded"
    assert office.row()["state"] == "superseded"
    assert office.send(now()).state == "superseded"
    assert office.web.received == []


def test_what_is_superseded_while_it_is_assembled_stays_unsent(office: Office) -> None:
    def assemble(_conn: Conn, _row: Row) -> dict[str, Any]:
        office.do(b"UPDATE outbox SET state = 'superseded' WHERE tenant = %(tenant)s")
        return BODY

    assert office.send(now(), assemble).state == "waiting"
    assert office.web.received == []
    assert office.send(now()).state == "superseded"


def test_an_error_in_assembling_costs_no_attempt(office: Office) -> None:
    def assemble(conn: Conn, _row: Row) -> dict[str, Any]:
        conn.execute("DELETE FROM endpoint")
        raise NotFound("the decision is gone")

    with pytest.raises(NotFound):
        office.send(now(), assemble)
    assert office.row()["attempts"] == 0
    assert office.send(now()).state == "delivered"
    with pytest.raises(NotFound, match="no message"):
        replace(office, message=uuid4()).send(now())


@pytest.mark.parametrize("where", ["assembled", "written"])
def test_what_nobody_foresaw_ends_with_the_schedule(
    office: Office, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    def assemble(_conn: Conn, _row: Row) -> dict[str, Any]:
        return {"type": object()} if where == "written" else {"type": 1 // 0}

    at = now()
    for _ in DELIVERY_SCHEDULE:
        outcome = office.send(at, assemble)
        at = outcome.retry_at or at
    kind = "TypeError" if where == "written" else "ZeroDivisionError"
    because = f"unexpected_failure: {kind}"
    assert (outcome.state, office.row()["state"], office.row()["last_error"]) == ("dead", "dead", because)
    assert (office.row()["attempts"], office.row()["unmade"]) == (len(DELIVERY_SCHEDULE), len(DELIVERY_SCHEDULE))
    assert f"kind={kind}" in capsys.readouterr().out
    with office.pool.connection() as conn:
        assert conn.execute("SELECT count(*) FROM audit_leaf WHERE tenant = %s", [office.keys.tenant]).fetchone() == (
            0,
        )


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (b"DELETE FROM webhook_secret WHERE tenant = %(tenant)s", "no live signing secret"),
        (b"UPDATE webhook_secret SET expires_at = now() WHERE tenant = %(tenant)s", "no live signing secret"),
        (b"UPDATE webhook_secret SET id = gen_random_uuid() WHERE tenant = %(tenant)s", "does not open"),
        (b"UPDATE endpoint SET disabled_at = now() WHERE tenant = %(tenant)s", "disabled"),
        (b"DELETE FROM endpoint WHERE tenant = %(tenant)s", "removed"),
        (b"UPDATE outbox SET attempts = 10 WHERE tenant = %(tenant)s", "lost during the last attempt"),
    ],
)
def test_what_cannot_be_sent_is_dead_with_the_reason(office: Office, change: bytes, because: str) -> None:
    office.do(change)
    outcome = office.send(now())
    row = office.row()
    assert outcome.state == row["state"] == "dead"
    assert because in outcome.because
    assert row["last_error"] == outcome.because
    assert office.web.received == []


@contextmanager
def under_way(office: Office, status: int = 204) -> Iterator[list[Outcome]]:
    """A worker whose request has arrived and is answered when the block ends; then its outcome is in the list. Others
    are answered at once with that status."""
    release, outcomes = Event(), list[Outcome]()
    office.web.status = status
    office.web.answers = iter([Answer(status, before=release.wait)])
    worker = Thread(target=lambda: outcomes.append(office.send(now())))
    worker.start()
    try:
        until(lambda: len(office.web.received) == 1, "the request arrives", 20)
        yield outcomes
    finally:
        release.set()
        worker.join(20)


def test_while_one_worker_sends_another_does_not(office: Office) -> None:
    with under_way(office) as outcomes:
        second = office.send(now())
        assert (second.state, second.retry_at) == ("waiting", office.row()["next_at"])
    assert outcomes == [Outcome("delivered")]
    assert len(office.web.received) == 1


def test_of_two_workers_at_the_same_moment_one_sends(office: Office) -> None:
    both, outcomes = Barrier(2), list[Outcome]()

    def assemble(_conn: Conn, _row: Row) -> dict[str, Any]:
        both.wait(20)
        return BODY

    workers = [Thread(target=lambda: outcomes.append(office.send(now(), assemble))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert sorted(outcome.state for outcome in outcomes) == ["delivered", "waiting"]
    assert (len(office.web.received), office.row()["attempts"]) == (1, 1)


def test_a_lost_workers_message_is_free_after_its_lease_and_its_late_failure_changes_nothing(office: Office) -> None:
    with under_way(office, 500) as outcomes:
        second = office.send(now() + LEASE + timedelta(seconds=1))
        assert second.state == "waiting"
    assert outcomes[0].state == "waiting"
    row = office.row()
    assert (row["attempts"], row["next_at"]) == (2, second.retry_at)
    assert len(office.web.received) == 2


def test_a_delivery_counts_even_where_the_row_was_superseded_meanwhile(office: Office) -> None:
    with under_way(office) as outcomes:
        office.do(b"UPDATE outbox SET state = 'superseded' WHERE tenant = %(tenant)s")
    assert outcomes == [Outcome("delivered")]
    assert office.row()["state"] == "delivered"
