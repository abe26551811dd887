"""A consent is a record: it can be followed by another and ended, never rewritten."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from assent.core.errors import AnyoneUndeclared, BadRequest, ConsentMissing, GuardianMissing, NotFound
from assent.db.pool import Pool, transaction
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey
from assent.subjects import consent
from assent.subjects.consent import EVIDENCE_BYTES, active_consent, open_evidence, open_subject
from assent.subjects.overview import consent_record, subject_record
from assent.tenants import init_tenant
from tests.events import rows
from tests.people import MODEL, NOTICE, enrol, give, said

WORDS = "Counsel examined it in 2026; searching all uploads is lawful here."


def states(pool: Pool, keys: TenantKeys, subject: str) -> list[tuple[str, str]]:
    with transaction(pool) as conn:
        return [(one["scope"], one["state"]) for one in subject_record(conn, keys, subject)["consents"]]


def withdraw(pool: Pool, keys: TenantKeys, consent_id: UUID) -> None:
    with transaction(pool) as conn:
        consent.withdraw_consent(conn, keys, consent_id)


def retractions(pool: Pool) -> int:
    return int(rows(pool, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'retract'")[0][0])


def test_what_was_agreed_to_is_on_record(pool: Pool, keys: TenantKeys) -> None:
    given_id = give(pool, keys, "alice", scope="own", jurisdiction="US-IL")
    with transaction(pool) as conn:
        record = consent_record(conn, keys, given_id)
    stated = {key: record[key] for key in ("scope", "state", "jurisdiction", "method", "age", "notice_version")}
    assert stated == {
        "scope": "own",
        "state": "granted",
        "jurisdiction": "US-IL",
        "method": "test",
        "age": "adult",
        "notice_version": "2026-11",
    }
    assert record["notice_sha256"] == hashlib.sha256(NOTICE.encode()).hexdigest()
    assert (record["evidence"], record["ended_at"]) == (False, None)
    [leaf] = said(pool, keys, "consent.given")
    assert (leaf["consent"], leaf["scope"], leaf["replaces"]) == (str(given_id), "own", None)


@pytest.mark.parametrize("age", ["minor", "unknown"])
def test_who_is_not_known_to_be_an_adult_needs_a_guardian(pool: Pool, keys: TenantKeys, age: str) -> None:
    for nothing in (None, ""):
        with pytest.raises(GuardianMissing):
            give(pool, keys, "alice", age=age, guardian=nothing)
    assert rows(pool, "SELECT count(*) FROM subject") == [(0,)]
    give(pool, keys, "alice", age=age, guardian="signed by her mother on paper, folder 12")
    assert states(pool, keys, "alice") == [("connections", "granted")]


@pytest.mark.parametrize("evidence", ["checkbox 7 on /settings", {"form": 7, "ticked": ["face", "age"]}, None])
def test_evidence_is_sealed_under_the_persons_key(pool: Pool, keys: TenantKeys, evidence: Any) -> None:
    given_id = give(pool, keys, "alice", evidence=evidence, guardian="her mother")
    [(sealed,)] = rows(pool, "SELECT evidence FROM consent")
    assert b"mother" not in sealed
    with transaction(pool) as conn:
        subject = open_subject(conn, keys, derive_pseudonym(keys, "alice"))
    assert open_evidence(subject, given_id, sealed) == {"guardian": "her mother", "evidence": evidence}


def test_more_evidence_than_is_kept_is_refused(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice", evidence="x" * (EVIDENCE_BYTES - 2))
    with pytest.raises(BadRequest):
        give(pool, keys, "alice", evidence="x" * (EVIDENCE_BYTES - 1))


def test_anyone_needs_the_deployers_declaration_which_is_logged_once(pool: Pool, keys: TenantKeys) -> None:
    with pytest.raises(AnyoneUndeclared):
        give(pool, keys, "alice", scope="anyone")
    give(pool, keys, "alice", WORDS, scope="connections")
    assert said(pool, keys, "anyone.declared") == []  # nobody made use of it
    give(pool, keys, "alice", WORDS, scope="anyone")
    give(pool, keys, "bob", WORDS, scope="anyone")
    assert said(pool, keys, "anyone.declared") == [{"words": WORDS}]
    give(pool, keys, "bob", "Other words.", scope="anyone")
    assert said(pool, keys, "anyone.declared") == [{"words": WORDS}, {"words": "Other words."}]


def test_a_new_consent_ends_the_one_before_and_takes_over_its_templates(pool: Pool, keys: TenantKeys) -> None:
    old = give(pool, keys, "alice", scope="connections")
    with transaction(pool) as conn:
        template = enrol(conn, keys, "alice")
    same = give(pool, keys, "alice", scope="connections")
    assert rows(pool, "SELECT id, consent_id, version FROM template") == [(template, same, 1)]
    new = give(pool, keys, "alice", scope="own")
    # Another version, so that what was found while the scope was wider is not recorded any more.
    assert rows(pool, "SELECT id, consent_id, version FROM template") == [(template, new, 2)]
    assert states(pool, keys, "alice") == [("own", "granted"), ("connections", "replaced"), ("connections", "replaced")]
    assert [leaf["replaces"] for leaf in said(pool, keys, "consent.given")] == [None, str(old), str(same)]
    assert retractions(pool) == 0


def test_taking_back_an_old_one_changes_nothing_and_the_newest_everything(pool: Pool, keys: TenantKeys) -> None:
    old = give(pool, keys, "alice", scope="connections")
    new = give(pool, keys, "alice", scope="own")
    with transaction(pool) as conn:
        enrol(conn, keys, "alice")
    withdraw(pool, keys, old)
    assert rows(pool, "SELECT consent_id FROM template") == [(new,)]
    assert (retractions(pool), said(pool, keys, "consent.withdrawn")) == (0, [])
    withdraw(pool, keys, new)
    withdraw(pool, keys, new)
    assert states(pool, keys, "alice") == [("own", "withdrawn"), ("connections", "replaced")]
    assert rows(pool, "SELECT count(*) FROM template") == [(0,)]
    assert (retractions(pool), said(pool, keys, "consent.withdrawn")) == (1, [{"consent": str(new)}])
    with pytest.raises(ConsentMissing), transaction(pool) as conn:
        active_consent(conn, keys, derive_pseudonym(keys, "alice"))


def test_withdrawing_all_of_a_person_leaves_others_alone(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    give(pool, keys, "bob")
    with transaction(pool) as conn:
        enrol(conn, keys, "alice")
        kept = enrol(conn, keys, "bob")
    with transaction(pool) as conn:
        consent.withdraw_all(conn, keys, derive_pseudonym(keys, "alice"))
    assert states(pool, keys, "alice") == [("connections", "withdrawn")]
    assert states(pool, keys, "bob") == [("connections", "granted")]
    assert rows(pool, "SELECT id FROM template") == [(kept,)]


def test_another_tenants_consent_is_none(pool: Pool, keys: TenantKeys, keystore: Keystore) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    ours = give(pool, keys, "alice")
    with pytest.raises(NotFound):
        withdraw(pool, keystore.tenant("other"), ours)
    with pytest.raises(NotFound), transaction(pool) as conn:
        consent_record(conn, keystore.tenant("other"), ours)
    assert states(pool, keys, "alice") == [("connections", "granted")]


def test_a_key_that_was_tampered_with_keeps_nobody_from_withdrawing(pool: Pool, keys: TenantKeys) -> None:
    given_id = give(pool, keys, "alice")
    with transaction(pool) as conn:
        enrol(conn, keys, "alice")
        conn.execute("UPDATE subject_key SET wrapped = decode(repeat('00', 60), 'hex')")
    withdraw(pool, keys, given_id)
    assert rows(pool, "SELECT count(*) FROM template") == [(0,)]
    assert said(pool, keys, "consent.withdrawn") == [{"consent": str(given_id)}]


@pytest.mark.parametrize(
    "change",
    [
        "scope = 'anyone'",
        "notice_sha256 = 'x'",
        "notice_version = '3'",
        "jurisdiction = 'FR'",
        "method = 'another'",
        "age = 'minor'",
        "evidence = 'x'",
        "pid = 'x'",
        "id = gen_random_uuid()",
        "given_at = now()",
        "expires_at = now() + interval '9 years'",
        "withdrawn_at = NULL",
        "withdrawn_at = now()",
    ],
)
def test_the_database_itself_refuses_to_rewrite_a_record(pool: Pool, keys: TenantKeys, change: str) -> None:
    withdraw(pool, keys, give(pool, keys, "alice"))
    before = rows(pool, "SELECT * FROM consent")
    with pytest.raises(psycopg.errors.RaiseException, match="a consent is a record"):
        rows(pool, f"UPDATE consent SET {change} RETURNING id")  # noqa: S608 - the cases above
    assert rows(pool, "SELECT * FROM consent") == before


@pytest.mark.parametrize(
    "change", ["evidence = NULL", "evidence = evidence || 'x'", "series = gen_random_uuid()", "n = 7"]
)
def test_nor_evidence_or_the_order(pool: Pool, keys: TenantKeys, change: str) -> None:
    withdraw(pool, keys, give(pool, keys, "alice", evidence="checkbox 7"))
    with pytest.raises(psycopg.errors.RaiseException, match="a consent is a record"):
        rows(pool, f"UPDATE consent SET {change} RETURNING id")  # noqa: S608 - the cases above
    given_id = give(pool, keys, "bob", evidence="checkbox 7")
    flip = "UPDATE consent SET evidence = set_byte(evidence, 0, 255 - get_byte(evidence, 0)) WHERE id = %s RETURNING id"
    with pytest.raises(psycopg.errors.RaiseException, match="a consent is a record"):
        rows(pool, flip, given_id)


def test_what_replaced_what_is_told_by_no_time(pool: Pool, keys: TenantKeys) -> None:
    for scope in ("anyone", "connections"):
        withdrawn = give(pool, keys, "alice", WORDS, scope=scope)
    withdraw(pool, keys, withdrawn)
    for scope in ("connections", "own"):
        give(pool, keys, "alice", scope=scope)
    with transaction(pool) as conn:
        conn.execute("ALTER TABLE consent DISABLE TRIGGER USER")
        conn.execute("UPDATE consent SET given_at = now()")
        conn.execute("UPDATE consent SET withdrawn_at = now() WHERE withdrawn_at IS NOT NULL")
        conn.execute("ALTER TABLE consent ENABLE TRIGGER USER")
    assert states(pool, keys, "alice") == [
        ("own", "granted"),
        ("connections", "replaced"),
        ("connections", "withdrawn"),
        ("anyone", "replaced"),
    ]


def test_a_key_lasts_as_long_as_consents_follow_each_other_without_a_break(pool: Pool, keys: TenantKeys) -> None:
    def key() -> SubjectKey:
        with transaction(pool) as conn:
            return open_subject(conn, keys, derive_pseudonym(keys, "alice"))

    give(pool, keys, "alice")
    first = key()
    withdrawn = give(pool, keys, "alice", scope="own")
    assert key() == first
    withdraw(pool, keys, withdrawn)
    second = key()
    assert second != first
    withdraw(pool, keys, withdrawn)
    give(pool, keys, "alice", valid_for=timedelta(seconds=-1))
    assert key() == second
    give(pool, keys, "alice")  # and ends the one whose time is over
    assert key() not in (first, second)


def test_of_two_consents_at_once_one_is_in_force(pool: Pool, keys: TenantKeys) -> None:
    ready = threading.Barrier(6)

    def one(scope: str) -> UUID:
        ready.wait()
        return give(pool, keys, "alice", scope=scope)

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(one, ("own", "connections") * 3))) == 6
    assert sorted(state for _, state in states(pool, keys, "alice")) == ["granted"] + ["replaced"] * 5


def test_what_somebody_enrolled_is_shown_without_the_faces(pool: Pool, keys: TenantKeys) -> None:
    give(pool, keys, "alice")
    with transaction(pool) as conn:
        enrol(conn, keys, "alice", 1)
        enrol(conn, keys, "alice", 2)
        shown = subject_record(conn, keys, "alice")
    assert [(one["model"], len(one["photos"])) for one in shown["templates"]] == [(MODEL, 2)]
    assert [set(photo) for photo in shown["templates"][0]["photos"]] == [{"quality", "enrolled_at"}] * 2
    assert shown["templates"][0]["photos"][0]["quality"] == 0.75
    with pytest.raises(NotFound), transaction(pool) as conn:
        subject_record(conn, keys, "nobody")
