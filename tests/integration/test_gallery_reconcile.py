"""The gallery holds exactly the templates of active consents, whatever it held before."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from assent.core.errors import KeyMissing
from assent.db.pool import Conn
from assent.gallery.memory import Reconciled, connect_gallery, is_ready, reconcile
from assent.keys import keystore as keys
from assent.keys.authority import authority_mac, begin_macs, mac_of_raw
from tests.authority import reseal
from tests.integration.world import World
from tests.people import strangers


def held(gallery: Conn) -> set[tuple[bytes, str]]:
    return set(gallery.execute("SELECT pid, scope FROM template").fetchall())


def fill(world: World, gallery: Conn) -> Reconciled:
    return reconcile(world.primary_database, gallery, world.keystore)


def opened(world: World, gallery: Conn) -> int:
    """How many templates the gallery holds, once all its rows are seen to be as a gallery filled anew has them."""
    columns = "tenant, pid, model, template_id, version, scope, expires_at, strictness, embedding::text"
    rows = gallery.execute(f"SELECT {columns} FROM template").fetchall()  # noqa: S608 - ours
    gallery.execute("DELETE FROM template")
    fill(world, gallery)
    assert set(rows) == set(gallery.execute(f"SELECT {columns} FROM template").fetchall())  # noqa: S608 - ours
    return len(rows)


def test_first_fill_takes_active_consents_only(world: World, gallery: Conn) -> None:
    faces = strangers(5)
    ana = world.opt_in("ana", faces[0], faces[1])
    bea = world.opt_in("bea", faces[2], scope="own")
    world.opt_in("expired", faces[3], lasts="-1 second")
    world.withdraw(world.opt_in("gone", faces[4]))
    assert fill(world, gallery) == Reconciled(inserted=3)
    assert held(gallery) == {(ana.pseudonym, "connections"), (bea.pseudonym, "own")}
    assert fill(world, gallery) == Reconciled()


def test_what_is_opened_is_what_was_sealed(world: World, gallery: Conn) -> None:
    face = strangers(1)[0]
    world.opt_in("ana", face)
    fill(world, gallery)
    row = gallery.execute("SELECT embedding FROM template").fetchone()
    assert row is not None
    assert row[0].to_numpy() @ face == pytest.approx(1, abs=1e-3)


def test_the_database_sends_the_columns_under_a_mac_as_it_takes_them(world: World) -> None:
    row = {"tenant": "Zoë", "id": uuid4(), "pid": bytes(range(32)), "purpose": "face-match", "scope": "für 人"}
    row |= {"series": uuid4(), "n": 3, "given_at": datetime(1999, 12, 31, 23, 59, 59, 999999, UTC)}
    row |= {"expires_at": datetime(2099, 1, 1, 0, 0, 0, 1, UTC), "withdrawn_at": None, "expired_at": None}
    sent = world.primary_database.execute(
        "SELECT textsend(%(tenant)s::text), uuid_send(%(id)s), %(pid)s, textsend(%(purpose)s::text),"
        " textsend(%(scope)s::text), uuid_send(%(series)s), int8send(%(n)s), timestamptz_send(%(given_at)s),"
        " timestamptz_send(%(expires_at)s), coalesce(timestamptz_send(%(withdrawn_at)s), ''),"
        " coalesce(timestamptz_send(%(expired_at)s), '')",
        row,
    ).fetchone()
    assert sent is not None
    assert mac_of_raw(begin_macs(bytes(32)), "consent", sent) == authority_mac(bytes(32), "consent", row)


def test_withdrawal_erasure_and_scope(world: World, gallery: Conn) -> None:
    faces = strangers(5)
    people = [world.opt_in(name, face) for name, face in zip("abcde", faces, strict=True)]
    fill(world, gallery)
    world.withdraw(people[0])
    world.primary_database.execute("DELETE FROM subject WHERE pid = %s", [people[1].pseudonym])
    world.consent_anew(people[2], "own")  # another version: what was found under the scope before is nobody
    world.consent_anew(people[3], "connections", "2 years")
    assert fill(world, gallery) == Reconciled(inserted=2, deleted=4)
    assert held(gallery) == {
        (people[2].pseudonym, "own"),
        (people[3].pseudonym, "connections"),
        (people[4].pseudonym, "connections"),
    }


def test_one_person_only(world: World, gallery: Conn) -> None:
    faces = strangers(4)
    ana, bea = world.opt_in("ana", faces[0]), world.opt_in("bea", faces[1])
    fill(world, gallery)
    world.withdraw(ana)
    world.withdraw(bea)
    world.opt_in("cem", faces[2])
    assert reconcile(
        world.primary_database, gallery, world.keystore, tenant="club", pseudonym=ana.pseudonym
    ) == Reconciled(deleted=1)
    assert held(gallery) == {(bea.pseudonym, "connections")}


def test_a_new_version_replaces_the_old(world: World, gallery: Conn) -> None:
    ana = world.opt_in("ana", strangers(1)[0])
    fill(world, gallery)
    with world.primary_database.transaction():
        world.primary_database.execute("UPDATE template SET version = 2")
        reseal(world.primary_database, world.keys, "template")
    assert fill(world, gallery) == Reconciled(inserted=1, deleted=1)
    assert gallery.execute("SELECT pid, version FROM template").fetchall() == [(ana.pseudonym, 2)]


def test_rows_that_do_not_open_are_left_out_and_counted(world: World, gallery: Conn) -> None:
    faces = strangers(4)
    people = [world.opt_in(name, face) for name, face in zip("abcd", faces, strict=True)]
    world.primary_database.execute(
        "UPDATE template SET sealed = set_byte(sealed, 20, 255 - get_byte(sealed, 20)) WHERE pid = %s",
        [people[0].pseudonym],
    )
    world.primary_database.execute("UPDATE subject_key SET wrapped = 'x' WHERE pid = %s", [people[1].pseudonym])
    world.primary_database.execute("UPDATE subject_key SET epoch = 7 WHERE pid = %s", [people[2].pseudonym])
    assert fill(world, gallery) == Reconciled(inserted=1, broken=3)
    assert held(gallery) == {(people[3].pseudonym, "connections")}
    again = fill(world, gallery)  # by comparison, with what is there
    assert (again, again.broken_of) == (Reconciled(broken=3), frozenset({"club"}))


def test_one_persons_consent_does_not_cover_anothers_template(world: World, gallery: Conn) -> None:
    faces = strangers(2)
    ana, bea = world.opt_in("ana", faces[0]), world.opt_in("bea", faces[1])
    world.withdraw(bea)
    world.primary_database.execute("UPDATE template SET consent_id = %s WHERE pid = %s", [ana.consent, bea.pseudonym])
    assert fill(world, gallery) == Reconciled(inserted=1)
    assert held(gallery) == {(ana.pseudonym, "connections")}


def test_ready_only_after_everything_is_in(world: World, gallery: Conn) -> None:
    ana = world.opt_in("ana", strangers(1)[0])
    reconcile(world.primary_database, gallery, world.keystore, tenant="club", pseudonym=ana.pseudonym)
    assert not is_ready(gallery, world.keystore.database)
    fill(world, gallery)
    assert is_ready(gallery, world.keystore.database)
    assert not is_ready(gallery, uuid4())


def test_without_its_keystore_nothing_is_ready(world: World, gallery: Conn) -> None:
    world.opt_in("ana", strangers(1)[0])
    (world.keystore.keys_dir / keys.STORE_FILE).unlink()
    with pytest.raises(KeyMissing):
        fill(world, gallery)
    assert not is_ready(gallery, world.keystore.database)


def test_keystore_of_another_database(world: World, gallery: Conn) -> None:
    world.primary_database.execute("UPDATE instance SET id = gen_random_uuid()")
    with pytest.raises(KeyMissing, match="another database"):
        fill(world, gallery)


def test_more_than_one_chunk(world: World, gallery: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assent.gallery.memory.CHUNK", 3)
    monkeypatch.setattr("assent.gallery.memory.READ_AHEAD", 2)
    faces = strangers(20)
    for n, face in enumerate(faces[:10]):
        world.opt_in(f"person {n}", face)
    assert fill(world, gallery) == Reconciled(inserted=10)
    assert fill(world, gallery) == Reconciled()
    for n, face in enumerate(faces[10:]):
        world.opt_in(f"late {n}", face)
    assert fill(world, gallery) == Reconciled(inserted=10)
    assert opened(world, gallery) == 20


def test_two_processes_at_once_insert_once(world: World, gallery_url: str) -> None:
    for n, face in enumerate(strangers(40)):
        world.opt_in(f"person {n}", face)
    done: list[Reconciled] = []

    def work() -> None:
        with psycopg.connect(world.url, autocommit=True) as primary_database, connect_gallery(gallery_url) as memory:
            done.append(reconcile(primary_database, memory, world.keystore))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.inserted for result in done) == [0, 0, 40]


@pytest.mark.parametrize("first", [False, True], ids=["later", "first fill"])
def test_a_failure_halfway_changes_nothing(
    world: World, gallery: Conn, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    faces = strangers(8)
    if not first:
        ana = world.opt_in("ana", faces[0])
        fill(world, gallery)
        world.withdraw(ana)
    before = held(gallery)
    for n, face in enumerate(faces[1:]):
        world.opt_in(f"person {n}", face)
    opened = 0

    def breaks(*_: object) -> object:
        nonlocal opened
        opened += 1
        if opened > 4:
            raise psycopg.OperationalError("the primary database went away")
        return faces[0].astype("<f2")

    with monkeypatch.context() as patch:
        patch.setattr("assent.gallery.memory.CHUNK", 3)
        patch.setattr("assent.gallery.memory.READ_AHEAD", 2)
        patch.setattr("assent.gallery.memory.open_template", breaks)
        with pytest.raises(psycopg.OperationalError):
            fill(world, gallery)
    assert held(gallery) == before
    assert is_ready(gallery, world.keystore.database) is not first
    assert fill(world, gallery).inserted == 7  # on the same connections
