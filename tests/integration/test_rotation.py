"""A rotation moves every living row to the new epoch, makes erased people's old rows worthless, may be cut short."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from assent.audit.verify import verify_database
from assent.core.errors import RotationUnderWay, SealBroken
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.decisions.assemble import person_of
from assent.keys.keyfile import read_export
from assent.keys.keystore import Keystore, TenantKeys, open_keystore
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey, open_match, open_template
from assent.refusals import Refusal, refusals, remember
from assent.subjects import rotate, rotation
from assent.subjects.consent import consent_in_force, open_evidence, open_subject, withdraw_consent
from assent.subjects.enrol import request_enrolment
from assent.subjects.erase import erase as forget
from assent.subjects.erase import receipt
from assent.subjects.export import export_subject
from assent.subjects.rotate import rotate_epoch, rotation_lock
from assent.tenants import init_tenant
from tests.events import leaves, rows
from tests.integration.lives import erase, matches, recognise, spoken_of, templates
from tests.people import add_subject, enrol, give, opt_in_all
from tests.waiting import until


def test_everything_of_the_living_opens_as_before(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    for n, subject in enumerate(people):
        recognise(pool, keys, subject, f"picture {n}")
    done = rotate_epoch(pool, keystore, "default")
    assert (done.old, done.new, done.people, done.matches, done.payloads, done.broken) == (1, 2, 2, 2, 2, 0)
    assert templates(pool, keys) == {"ana", "bea"}
    assert matches(pool, keys, people) == {"picture 0": "strong", "picture 1": "strong"}
    assert spoken_of(pool, keys) == [subject.pseudonym for subject in people]
    for table in ("subject_key", "match", "audit_payload"):
        assert rows(pool, f"SELECT DISTINCT epoch FROM {table} WHERE epoch IS NOT NULL") == [(2,)]  # noqa: S608
    assert [(leaf["epochs"], leaf["live"]) for leaf in leaves(pool, "epoch.destroyed")] == [([1], 2)]


def test_keys_taken_before_it_go_on_working(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    rotate_epoch(pool, keystore, "default")
    assert keys.epoch == 1  # what a job took when it began
    (ana,) = opt_in_all(pool, keys, "ana")
    recognise(pool, keys, ana, "picture")
    assert rows(pool, "SELECT epoch FROM match UNION SELECT epoch FROM subject_key") == [(2,)]
    assert templates(pool, keys) == {"ana"}
    assert matches(pool, keys, [ana]) == {"picture": "strong"}


def test_old_rows_and_todays_keys_open_nothing_of_anybody(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    opt_in_all(pool, keys, "ana", "bea")
    old = rows(pool, "SELECT pid, epoch, wrapped FROM subject_key")
    erase(pool, keys, "ana")
    rotate_epoch(pool, keystore, "default")
    for pid, epoch, wrapped in old:
        with pytest.raises(SealBroken, match="epoch 1; the live one is 2"):
            SubjectKey.unwrap(keystore.tenant("default"), pid, epoch, wrapped)
        with pytest.raises(SealBroken):  # nor under another number
            SubjectKey.unwrap(keystore.tenant("default"), pid, 2, wrapped)
        with pytest.raises(SealBroken):  # nor with keys that somebody still had in hand
            SubjectKey.unwrap(keys, pid, epoch, wrapped)
    assert templates(pool, keys) == {"bea"}


def test_what_is_left_of_the_erased_tells_nobody_who_it_was(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    ana, bea = opt_in_all(pool, keys, "ana", "bea")
    recognise(pool, keys, ana, "hers")
    recognise(pool, keys, bea, "other")
    erase(pool, keys, "ana")
    sizes = rows(pool, "SELECT seq, part, octet_length(locator) FROM audit_payload ORDER BY 1, 2")
    rotate_epoch(pool, keystore, "default")
    assert rows(pool, "SELECT media_id FROM match") == [("other",)]
    (nobody, other) = spoken_of(pool, keys)
    assert other == bea.pseudonym
    assert (nobody,) not in rows(pool, "SELECT pid FROM subject")
    assert nobody != ana.pseudonym
    left = rows(pool, "SELECT seq, part, octet_length(locator) FROM audit_payload ORDER BY 1, 2")
    assert left[: len(sizes)] == sizes  # the row alone does not say that its person is gone
    with transaction(pool) as conn:
        verify_database(conn, keystore.tenant("default"), None)


def test_what_is_left_of_the_erased_is_not_taken_for_altered(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    ana, _ = opt_in_all(pool, keys, "ana", "bea")
    recognise(pool, keys, ana, "hers")
    erase(pool, keys, "ana")
    assert [rotate_epoch(pool, keystore, "default").broken for _ in range(3)] == [0, 0, 0]


def test_matches_that_still_have_to_be_taken_back_are_kept(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    (ana,) = opt_in_all(pool, keys, "ana")
    recognise(pool, keys, ana, "hers")
    wait_for_erasure(pool, retracted=False)
    erase(pool, keys, "ana")
    rotate_epoch(pool, keystore, "default")
    assert matches(pool, keys, [ana]) == {"hers": "strong"}
    assert rows(pool, "SELECT epoch, completed_at FROM erasure") == [(2, None)]  # that epoch has to go as well


def wait_for_erasure(pool: Pool, *, retracted: bool) -> None:
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO erasure (tenant, id, token_sha256, leaf, epoch, requested_at, retracted_at)"
            " VALUES ('default', %s, %s, 0, 1, now(), %s)",
            [uuid4(), uuid4().bytes, datetime.now(UTC) if retracted else None],
        )


def test_a_rotation_cut_short_loses_nothing_and_the_next_one_ends_it(
    pool: Pool, keystore: Keystore, keys: TenantKeys, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"person {n}" for n in range(10)}
    people = opt_in_all(pool, keys, *sorted(names))
    recognise(pool, keys, people[0], "picture")
    monkeypatch.setattr(rotate, "ROTATED_ROWS", 3)

    def dies(_table: str, moved: int) -> None:
        if moved == 6:
            raise KeyboardInterrupt

    for epoch in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            rotate_epoch(pool, keystore, "default", dies)
        assert rows(pool, f"SELECT count(*) FROM subject_key WHERE epoch = {epoch}") == [(6,)]  # noqa: S608
        again = open_keystore(settings.keys_dir, keystore.database)  # as another process has it
        assert again.tenant("default").epoch == epoch
        assert templates(pool, again.tenant("default")) == names
    done = rotate_epoch(pool, keystore, "default")
    assert (done.old, done.new, done.people) == (3, 4, 10)
    assert not keystore.tenant("default").retiring
    assert templates(pool, keys) == names
    assert matches(pool, keys, people) == {"picture": "strong"}
    assert leaves(pool, "epoch.destroyed")[-1]["epochs"] == [1, 2, 3]


def test_two_at_once_are_one(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    with rotation_lock(pool, "default"), pytest.raises(RotationUnderWay):
        rotate_epoch(pool, keystore, "default")
    assert keystore.tenant("default").epoch == 1
    assert rotate_epoch(pool, keystore, "default").new == 2


def test_tenants_rotate_apart(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    others = keystore.tenant("other")
    opt_in_all(pool, keys, "ana")
    opt_in_all(pool, others, "ana")
    rotate_epoch(pool, keystore, "default")
    assert (keystore.tenant("default").epoch, keystore.tenant("other").epoch) == (2, 1)
    assert templates(pool, keys) == templates(pool, others) == {"ana"}


def test_who_began_before_it_is_waited_for(pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str) -> None:
    """A writer that has wrapped under the old epoch and has not committed yet loses nothing."""
    opt_in_all(pool, keys, "ana")
    done: list[rotate.Rotated] = []
    with psycopg.connect(database_url) as slow:
        bea = add_subject(slow, keys, "bea")
        thread = threading.Thread(target=lambda: done.append(rotate_epoch(pool, keystore, "default")))
        thread.start()
        until(lambda: rows(pool, "SELECT epoch FROM subject_key") == [(2,)], "what is committed was moved")
        assert keystore.tenant("default").retiring  # the old key is not destroyed yet
        slow.commit()
    thread.join()
    assert done[0].people == 2
    held = rows(pool, "SELECT pid, epoch, wrapped FROM subject_key")
    assert bea in [SubjectKey.unwrap(keys, *row) for row in held]


def test_whoever_read_a_row_as_it_was_can_still_open_it(
    pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str
) -> None:
    opt_in_all(pool, keys, "ana")
    thread = threading.Thread(target=rotate_epoch, args=(pool, keystore, "default"))
    with psycopg.connect(database_url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        reader.execute("SELECT FROM tenant")
        thread.start()
        until(lambda: rows(pool, "SELECT epoch FROM subject_key") == [(2,)], "the row was moved")
        row = reader.execute("SELECT pid, epoch, wrapped FROM subject_key").fetchone()
        assert row is not None
        assert row[1] == 1
        assert SubjectKey.unwrap(keys, *row).pseudonym == row[0]
    thread.join()
    assert not keystore.tenant("default").retiring


def test_rows_that_others_have_locked_are_not_forgotten(
    pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str
) -> None:
    opt_in_all(pool, keys, "ana", "bea")
    thread = threading.Thread(target=rotate_epoch, args=(pool, keystore, "default"))
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM subject_key ORDER BY pid LIMIT 1 FOR UPDATE")
        thread.start()
        until(lambda: (2,) in rows(pool, "SELECT epoch FROM subject_key"), "the other row was moved")
        assert (1,) in rows(pool, "SELECT epoch FROM subject_key")
    thread.join()
    assert rows(pool, "SELECT DISTINCT epoch FROM subject_key") == [(2,)]
    assert templates(pool, keys) == {"ana", "bea"}


def test_altered_rows_do_not_stop_it_and_are_noted(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    for n, subject in enumerate(people):
        recognise(pool, keys, subject, f"picture {n}")
    with transaction(pool) as conn:
        conn.execute("UPDATE match SET locator = 'x' WHERE media_id = 'picture 0'")
        conn.execute("UPDATE subject_key SET wrapped = 'x' WHERE pid = %s", [people[0].pseudonym])
    assert rotate_epoch(pool, keystore, "default").broken == 2
    assert matches(pool, keys, people) == {"picture 1": "strong"}
    assert templates(pool, keys) == {"bea"}
    assert [leaf["kind"] for leaf in leaves(pool, "seal.broken")] == ["subject_key", "match"]


def test_the_keys_are_exported_and_older_exports_removed(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    rotate_epoch(pool, keystore, "default")
    init_tenant(pool, keystore, "default-epoch-1", "elsewhere", None)  # a name that looks like a file of another's
    rotate_epoch(pool, keystore, "default-epoch-1")
    rotate_epoch(pool, keystore, "default")
    folder = keystore.keys_dir / "exports"
    assert sorted(file.name for file in folder.iterdir()) == ["default-epoch-1-epoch-2.json", "default-epoch-3.json"]
    file = folder / "default-epoch-3.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    exported, wrapped = read_export(keystore, file).tenants["default"]
    assert exported.epoch == 3
    opened = [SubjectKey.unwrap(exported, one.pseudonym, one.epoch, one.wrapped) for one in wrapped]
    assert sorted(opened, key=lambda one: one.pseudonym) == sorted(people, key=lambda one: one.pseudonym)


def test_an_erasure_brings_about_one_rotation_and_its_receipt_later_ones_wait_a_while(
    pool: Pool, keystore: Keystore, keys: TenantKeys
) -> None:
    assert rotation.rotate_due(pool, keystore) == 0
    opt_in_all(pool, keys, "ana", "bea", "cem")
    with transaction(pool) as conn:
        first = forget(conn, keys, "ana")
    assert rotation.rotate_due(pool, keystore) == 0  # her tags are not taken back yet
    with transaction(pool) as conn:
        conn.execute("UPDATE erasure SET retracted_at = now()")
    assert rotation.rotate_due(pool, keystore) == 1
    with transaction(pool) as conn:
        said = receipt(conn, keys, first.token)
    assert said is not None
    assert said.get("state") != "pending"
    with transaction(pool) as conn:
        forget(conn, keys, "bea")
        conn.execute("UPDATE erasure SET retracted_at = now()")
    assert rotation.rotate_due(pool, keystore) == 0
    with transaction(pool) as conn:
        conn.execute("UPDATE erasure SET completed_at = completed_at - interval '21 minutes'")
    assert rotation.rotate_due(pool, keystore) == 1
    assert keystore.tenant("default").epoch == 3
    assert templates(pool, keys) == {"cem"}


def settle(pool: Pool, keys: TenantKeys, name: str) -> UUID:
    """Gives a consent with evidence, a template, a refusal and a match; returns the consent's id."""
    consent_id = give(pool, keys, name, evidence="checkbox 7")
    with transaction(pool) as conn:
        enrol(conn, keys, name)
        subject = open_subject(conn, keys, derive_pseudonym(keys, name))
        remember(conn, subject, Refusal("another", "00", (1, 2, 3, 4)))
    recognise(pool, keys, subject, f"picture of {name}")
    return consent_id


def withdraw(pool: Pool, keys: TenantKeys, consent_id: UUID) -> None:
    with transaction(pool) as conn:
        withdraw_consent(conn, keys, consent_id)


def said_of(pool: Pool, keys: TenantKeys, name: str) -> list[str]:
    """The actions that the log records of somebody, as far as they open for them."""
    with transaction(pool) as conn:
        document = export_subject(conn, keys, name)
    assert document["unreadable"].keys() <= {"matches"}
    return [leaf["action"] for leaf in document["audit"]]


OF_ALL = ["consent.given", "test", "consent.withdrawn"]


def test_what_a_consent_left_behind_opens_with_no_key_once_an_epoch_has_passed(
    pool: Pool, keystore: Keystore, keys: TenantKeys
) -> None:
    """As somebody would try it who has old rows (WAL, a dump, a backup), the database, and every key of today."""
    ended = settle(pool, keys, "ana")
    who = derive_pseudonym(keys, "ana")
    with transaction(pool) as conn:
        request_enrolment(conn, keys, uuid4(), who, [b"a photo"])
    [(row, model, template)] = rows(pool, "SELECT id, model, sealed FROM template")
    [(media_id, match)] = rows(pool, "SELECT media_id, sealed FROM match")
    old = rows(pool, "SELECT epoch, wrapped FROM subject_key")
    withdraw(pool, keys, ended)
    give(pool, keys, "ana", scope="own")
    old += rows(pool, "SELECT epoch, wrapped FROM ended_key")
    assert rows(pool, "SELECT count(*) FROM upload") == rows(pool, "SELECT count(*) FROM event") == [(0,)]
    rotate_epoch(pool, keystore, "default")
    live = keystore.tenant("default")
    for epoch, wrapped in old:
        for unwrap in (SubjectKey.unwrap, SubjectKey.unwrap_ended):
            with pytest.raises(SealBroken):
                unwrap(live, who, epoch, wrapped)
    assert rows(pool, "SELECT count(*) FROM ended_key") == [(0,)]
    with transaction(pool) as conn:
        subject = open_subject(conn, live, who)
        assert [one.media_id for one in refusals(conn, subject)] == ["another"]
        person = person_of(conn, live, who)
        assert person is not None
        assert (person.subject, person.ref) == (subject, "ana")
        assert person.series == consent_in_force(conn, live, who).series
    for opened in (
        lambda: open_template(subject, row, model, template),
        lambda: open_match(subject, media_id, 0, match),
    ):
        with pytest.raises(SealBroken):
            opened()
    [evidence] = rows(pool, "SELECT evidence FROM consent WHERE id = %s", ended)
    assert open_evidence(subject, ended, evidence[0]) == {"guardian": None, "evidence": "checkbox 7"}
    assert said_of(pool, keys, "ana") == [*OF_ALL, "consent.given"]
    with transaction(pool) as conn:
        assert verify_database(conn, live, None)


def test_a_rotation_cut_short_loses_no_part_of_the_log_under_an_ended_key(
    pool: Pool, keystore: Keystore, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = {name: settle(pool, keys, name) for name in ("ana", "bea", "cem")}
    for name in ("ana", "bea"):
        withdraw(pool, keys, people[name])
    monkeypatch.setattr(rotate, "ROTATED_ROWS", 2)

    def dies(table: str, moved: int) -> None:
        if table == "audit_payload" and moved == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_epoch(pool, keystore, "default", dies)
    assert {tuple(said_of(pool, keys, name)) for name in ("ana", "bea")} == {tuple(OF_ALL)}
    withdraw(pool, keys, people["cem"])
    assert rotate_epoch(pool, keystore, "default").broken == 0
    assert {tuple(said_of(pool, keys, name)) for name in people} == {tuple(OF_ALL)}
    assert rows(pool, "SELECT count(*) FROM ended_key") == [(0,)]


def test_a_consent_that_ends_while_an_epoch_is_left_goes_with_the_next_one(
    pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str
) -> None:
    ended = settle(pool, keys, "ana")
    opt_in_all(pool, keys, "bea")
    with psycopg.connect(database_url, row_factory=dict_row) as slow:
        withdraw_consent(slow, keys, ended)
        thread = threading.Thread(target=lambda: rotate_epoch(pool, keystore, "default"))
        thread.start()
        moved = "SELECT EXISTS (SELECT FROM subject_key WHERE epoch = 2)"
        until(lambda: rows(pool, moved) == [(True,)], "what is not locked was moved")
        slow.commit()
    thread.join()
    assert rows(pool, "SELECT epoch FROM ended_key") == [(2,)]
    assert said_of(pool, keys, "ana") == OF_ALL
    rotate_epoch(pool, keystore, "default")
    assert rows(pool, "SELECT count(*) FROM ended_key") == [(0,)]
    assert said_of(pool, keys, "ana") == OF_ALL


def test_ended_consents_bring_about_a_rotation_which_those_of_a_while_share(
    pool: Pool, keystore: Keystore, keys: TenantKeys
) -> None:
    first, second = settle(pool, keys, "ana"), settle(pool, keys, "bea")
    give(pool, keys, "cem")
    give(pool, keys, "cem")  # replaced without a break: its key stays
    assert rotation.rotate_due(pool, keystore) == 0
    withdraw(pool, keys, first)
    assert rotation.rotate_due(pool, keystore) == 1
    withdraw(pool, keys, second)
    assert rotation.rotate_due(pool, keystore) == 0
    with transaction(pool) as conn:
        conn.execute("UPDATE tenant SET rotated_at = rotated_at - interval '21 minutes'")
    assert [rotation.rotate_due(pool, keystore) for _ in range(2)] == [1, 0]
    assert keystore.tenant("default").epoch == 3
