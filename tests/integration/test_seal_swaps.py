"""Whoever can write to the database cannot make a row speak of somebody else: swapped columns do not open, nobody is
named by them, and the log says that it happened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Json

from assent.audit.broken import record_broken_seal
from assent.audit.log import part_pseudonym
from assent.core.errors import DecisionUnreadable, SealBroken
from assent.core.values import Action, Analysis, Face, MediaRef, Perception, Picture, Verdict
from assent.db.locks import lock_shared_session
from assent.db.pool import Conn, Pool, Row, transaction
from assent.decisions.assemble import assemble
from assent.decisions.assemble import message_body as body_of
from assent.decisions.document import decision_of, to_json
from assent.gallery.memory import Stop, follow, reconcile
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import unseal
from assent.keys.subject_keys import SubjectKey
from assent.outbox import deliver
from assent.outbox.dead_letters import list_dead_letters
from assent.outbox.schedule import DELIVERY_SCHEDULE, JITTER
from assent.policy.load import load_policy
from assent.tenants import init_tenant
from assent.worker.jobs import WorkerContext, deliver_message
from tests.authority import move_endpoints
from tests.events import SOURCE, leaves, media_item
from tests.integration.album import Album
from tests.integration.lives import recognise
from tests.people import opt_in_all
from tests.waiting import until
from tests.web import Web

# Tenant and name; the picture of each is `of <name>`.
PEOPLE = [("default", "ana"), ("default", "bea"), ("other", "ana"), ("other", "dan")]


@pytest.fixture
def people(pool: Pool, keystore: Keystore, keys: TenantKeys) -> list[SubjectKey]:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    made = []
    for tenant, name in PEOPLE:
        (subject,) = opt_in_all(pool, keystore.tenant(tenant), name)
        decided(pool, tenant, f"of {name}")
        recognise(pool, keystore.tenant(tenant), subject, f"of {name}")
        made.append(subject)
    return made


def decided(pool: Pool, tenant: str, media_id: str) -> None:
    event_id, media = uuid4(), MediaRef(media_id, None)
    perception = Perception((), (Face((0, 0, 9, 9), 0, 0.9, 0.8),), ())
    picture = Picture("ab" * 32, "jpeg", 90, 80, 1, ())
    analysis = Analysis(picture, perception, (), Verdict(Action.allow, (), ()))
    document = to_json(decision_of(tenant, event_id, media, 1, analysis, load_policy(None).ref))
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO decision (tenant, source, media_id, revision, event_id, n, event_revision, action, document,"
            " perceptions, leaf, decided_at) VALUES (%s, %s, %s, 1, %s, 0, 1, 'allow', %s, '{}', 0, now())",
            [tenant, SOURCE, media_id, event_id, Json(document)],
        )


def place(pool: Pool, keystore: Keystore, table: str, who: int) -> dict[str, Any]:
    """Which row of a table is that person's."""
    tenant, name = PEOPLE[who]
    keys = keystore.tenant(tenant)
    if table == "match":
        return {"tenant": tenant, "source": SOURCE, "media_id": f"of {name}"}
    if table == "audit_payload":
        with transaction(pool) as conn:
            rows = conn.execute(
                "SELECT seq, part, epoch, locator FROM audit_payload WHERE tenant = %s AND epoch IS NOT NULL", [tenant]
            ).fetchall()
        return next(
            {"tenant": tenant, "seq": row[0]}
            for row in rows
            if part_pseudonym(keys, *row) == derive_pseudonym(keys, name)
        )
    return {"tenant": tenant, "pid": derive_pseudonym(keys, name)}


def swap(pool: Pool, table: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Exchanges the columns of two rows."""
    wheres = [" AND ".join(f"{column} = %({column})s" for column in row) for row in rows]
    only = " AND epoch IS NOT NULL" if table == "audit_payload" else ""
    with transaction(pool) as conn:
        held = [
            conn.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {where}{only}", row).fetchone()  # noqa: S608
            for where, row in zip(wheres, rows, strict=True)
        ]
        for where, row, new in zip(wheres, rows, reversed(held), strict=True):
            assert new is not None
            values = {f"new_{column}": value for column, value in zip(columns, new, strict=True)}
            sets = ", ".join(f"{column} = %(new_{column})s" for column in columns)
            changed = conn.execute(f"UPDATE {table} SET {sets} WHERE {where}{only}", row | values)  # noqa: S608
            assert changed.rowcount == 1


def said_of_pictures(pool: Pool, keystore: Keystore) -> list[str | None]:
    """Who is named in each one's picture; `broken` where its document cannot be made."""
    return [_said(pool, keystore.tenant(tenant), f"of {name}") for tenant, name in PEOPLE]


def _said(pool: Pool, keys: TenantKeys, media_id: str) -> str | None:
    try:
        with transaction(pool) as conn:
            decision = assemble(conn, keys, media_item(media_id))
    except SealBroken:
        return "broken"
    assert decision is not None
    match = decision.faces[0].match
    return match.subject if match else None


def said_of_log(pool: Pool, keystore: Keystore, people: list[SubjectKey]) -> list[str]:
    """For each person `ok` where their part of the log opens with their key."""
    outcomes = []
    for who, subject in enumerate(people):
        keys = keystore.tenant(PEOPLE[who][0])
        with transaction(pool) as conn:
            rows = conn.execute(
                "SELECT seq, part, epoch, locator, sealed FROM audit_payload WHERE tenant = %s AND epoch IS NOT NULL",
                [keys.tenant],
            ).fetchall()
        outcomes.append("ok" if any(_opens(keys, subject, *row) for row in rows) else "broken")
    return outcomes


def _opens(
    keys: TenantKeys, subject: SubjectKey, seq: int, part: int, epoch: int, locator: bytes, sealed: bytes
) -> bool:
    try:
        if part_pseudonym(keys, seq, part, epoch, locator) != subject.pseudonym:
            return False
        unseal(subject.key, sealed, "audit", str(seq), str(part), keys.tenant)
    except SealBroken:
        return False
    return True


def in_gallery(pool: Pool, keystore: Keystore, gallery: Conn, database_url: str) -> set[tuple[str, bytes]]:
    gallery.execute("DELETE FROM template")
    with psycopg.connect(database_url, autocommit=True) as primary_database:
        reconcile(primary_database, gallery, keystore)
    return set(gallery.execute("SELECT tenant, pid FROM template").fetchall())


SWAPS = [
    ("template", ["sealed"], {"gallery"}),
    ("template", ["model", "sealed"], {"gallery"}),
    ("subject_key", ["wrapped"], {"gallery", "pictures"}),
    ("subject_key", ["epoch", "wrapped"], {"gallery", "pictures"}),
    ("subject", ["sealed"], {"pictures"}),
    ("match", ["locator"], {"pictures"}),
    ("match", ["sealed"], {"pictures"}),
    ("match", ["epoch", "locator", "sealed"], {"pictures"}),
    ("audit_payload", ["sealed"], {"log"}),
    ("audit_payload", ["epoch", "locator"], {"log"}),
    ("audit_payload", ["epoch", "locator", "sealed"], {"log"}),
]


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 2), (1, 3)], ids=["people", "same name", "tenants"])
def test_swapped_columns_open_nothing(
    pool: Pool,
    keystore: Keystore,
    people: list[SubjectKey],
    gallery: Conn,
    database_url: str,
    one: int,
    other: int,
) -> None:
    names: list[str | None] = [name for _, name in PEOPLE]
    everybody = {(PEOPLE[who][0], subject.pseudonym) for who, subject in enumerate(people)}
    two = {(PEOPLE[who][0], people[who].pseudonym) for who in (one, other)}
    for table, columns, broken in SWAPS:
        rows = [place(pool, keystore, table, who) for who in (one, other)]
        swap(pool, table, columns, rows)
        pictures = ["broken" if who in (one, other) and "pictures" in broken else names[who] for who in range(4)]
        assert said_of_pictures(pool, keystore) == pictures, (table, columns)
        log = ["broken" if who in (one, other) and "log" in broken else "ok" for who in range(4)]
        assert said_of_log(pool, keystore, people) == log, (table, columns)
        left = everybody - two if "gallery" in broken else everybody
        assert in_gallery(pool, keystore, gallery, database_url) == left, (table, columns)
        swap(pool, table, columns, rows)  # back
    assert said_of_pictures(pool, keystore) == names
    assert said_of_log(pool, keystore, people) == ["ok"] * 4
    assert in_gallery(pool, keystore, gallery, database_url) == everybody


@pytest.fixture
def following(keystore: Keystore, database_url: str, gallery_url: str) -> Iterator[None]:
    with Stop() as stop:
        thread = threading.Thread(target=follow, args=(database_url, lambda: nullcontext(gallery_url), keystore, stop))
        thread.start()
        yield
        stop.set()
        thread.join(20)


def test_the_gallery_has_it_noted_and_names_nobody(
    pool: Pool, keystore: Keystore, people: list[SubjectKey], following: None
) -> None:
    swap(pool, "template", ["sealed"], [place(pool, keystore, "template", who) for who in (0, 2)])
    until(
        lambda: bool(leaves(pool, "seal.broken") and leaves(pool, "seal.broken", "other")), "both tenants' logs say so"
    )
    for tenant in ("default", "other"):
        leaf = leaves(pool, "seal.broken", tenant)[0]
        assert set(leaf) == {"v", "at", "action", "kind", "commitments"}
        assert (leaf["kind"], leaf["commitments"]) == ("template", [])


def test_once_a_minute_and_kind(pool: Pool, keys: TenantKeys) -> None:
    at = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)

    def note(kind: str, seconds: int) -> bool:
        with transaction(pool) as conn:
            return record_broken_seal(conn, keys, kind, at + timedelta(seconds=seconds))

    assert [note("template", 0), note("template", 0), note("template", 29)] == [True, False, False]
    assert [note("deliver", 0), note("template", 30), note("template", 89)] == [True, True, False]
    assert [leaf["kind"] for leaf in leaves(pool, "seal.broken")] == ["template", "deliver", "template"]


@pytest.fixture
def message(bench: WorkerContext, keystore: Keystore, keys: TenantKeys, web: Web) -> UUID:
    """Of a picture whose match is somebody else's; its endpoint listens."""
    ana, bea = opt_in_all(bench.pool, keys, "ana", "bea")
    for name, subject in (("ana", ana), ("bea", bea)):
        decided(bench.pool, "default", f"of {name}")
        recognise(bench.pool, keys, subject, f"of {name}")
    message = uuid4()
    with transaction(bench.pool) as conn:
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision)"
            " VALUES ('default', %s, 'platform', 'media.tagged', 'platform', 'of ana', 1)",
            [message],
        )
        move_endpoints(conn, keys, f"{web.url}/hooks")
    exchange(bench, keystore)
    return message


def exchange(bench: WorkerContext, keystore: Keystore) -> None:
    rows = [place(bench.pool, keystore, "match", who) for who in (0, 1)]
    swap(bench.pool, "match", ["locator", "sealed"], rows)


def outbox(bench: WorkerContext) -> tuple[Any, ...]:
    with transaction(bench.pool) as conn:
        (row,) = conn.execute("SELECT state, attempts, unmade, queued, last_error FROM outbox").fetchall()
    return tuple(row)


def test_a_delivery_that_cannot_be_made_follows_the_schedule_and_is_given_up(
    bench: WorkerContext, keys: TenantKeys, message: UUID, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(conn: Conn, row: Row) -> dict[str, Any] | None:
        return body_of(conn, keys, row, lock_shared_session)

    now = datetime.now(UTC)
    waited: list[timedelta] = []
    while True:
        outcome = deliver.attempt(bench.pool, keys, message, body, bench.settings.allow_private, now)
        assert outcome.because.startswith("seal_broken: ")
        if outcome.retry_at is None:
            break
        assert outbox(bench)[:4] == ("waiting", len(waited) + 1, len(waited) + 1, False)
        waited.append(outcome.retry_at - now)
        now = outcome.retry_at
    assert [
        wait <= told < wait * (1 + JITTER) + timedelta(minutes=1)
        for wait, told in zip(DELIVERY_SCHEDULE[1:], waited, strict=True)
    ] == [True] * (len(DELIVERY_SCHEDULE) - 1)
    assert outbox(bench)[:4] == ("dead", len(DELIVERY_SCHEDULE), len(DELIVERY_SCHEDULE), False)
    assert [leaf["kind"] for leaf in leaves(bench, "seal.broken")] == ["deliver"]
    assert web.received == []
    with transaction(bench.pool) as conn:
        (letter,) = list_dead_letters(conn, "default")
    assert (letter["id"], letter["attempts"]) == (message, len(DELIVERY_SCHEDULE))
    assert letter["last_error"].startswith("seal_broken: ")
    assert "ana" not in letter["last_error"]
    assert str(message) in capsys.readouterr().out  # the worker's log names the message, and once


def test_a_delivery_whose_row_is_put_right_again_goes_out(
    bench: WorkerContext, keystore: Keystore, message: UUID, web: Web
) -> None:
    deliver_message(bench, "default", message)
    assert outbox(bench)[:3] == ("waiting", 1, 1)
    exchange(bench, keystore)
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE outbox SET next_at = now()")
    deliver_message(bench, "default", message)
    assert outbox(bench) == ("delivered", 2, 1, False, None)
    assert len(web.received) == 1


def test_a_decision_that_was_altered_is_told_to_nobody_until_the_next_one(album: Album) -> None:
    album.post()
    with transaction(album.bench.pool) as conn:
        conn.execute("UPDATE decision SET document = '{}'")
    with transaction(album.bench.pool) as conn, pytest.raises(DecisionUnreadable, match="event"):
        assemble(conn, album.keys, media_item("group"))
    assert album.deliver() == []
    assert outbox(album.bench)[:3] == ("waiting", 1, 1)
    assert outbox(album.bench)[4].startswith("decision_unreadable: ")
    album.post()
    assert [body["data"]["revision"] for body in album.deliver()] == [2]
