"""Whoever puts an older backup in place, with the newest export of keys, puts no consent back in force that has ended,
and gets nobody named by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.core.errors import ConsentMissing
from assent.db.pool import transaction
from assent.keys.ended import ended_file
from assent.subjects.consent import open_subject
from assent.subjects.recover import end_remembered
from tests.club import DAY, Club, everything
from tests.events import leaves


def export(club: Club, kind: str, folder: Path) -> Path:
    """Makes the newest export: the one of a rotation, or by `assent keys export` before there is one."""
    return club.rotate() if kind == "rotation" else club.export(folder / "keys.json")


def settle(club: Club, *refs: str) -> None:
    """People with a template each, and a picture that names them."""
    for ref in refs:
        club.consent(ref)
        club.run_photo(club.send_photo(ref))
        club.post(ref, f"picture of {ref}")
        assert club.told(f"picture of {ref}") == {ref}


ENDED = ("withdrawn", "expired", "narrowed", "came again", "erased")


@pytest.mark.parametrize("kind", ["rotation", "command"])
def test_what_has_ended_since_the_backup_stays_ended(club: Club, tmp_path: Path, kind: str) -> None:
    settle(club, *ENDED, "bea")
    club.consent("expired", valid_for=DAY)
    jobs = [club.send_photo(ref) for ref in ENDED]
    backup = club.back_up()
    club.withdraw("withdrawn")
    club.lapse()
    club.consent("narrowed", "own")
    club.withdraw("came again")
    club.consent("came again")
    club.erase("erased")
    newest = export(club, kind, tmp_path)
    club.restore(backup, newest)
    assert club.in_force("bea") is not None
    club.work()
    for job in jobs:
        club.run_photo(job)
    for ref in ENDED:
        assert club.in_force(ref) is None, ref
        assert club.told(f"picture of {ref}") == club.shown(ref) == set(), ref
        assert club.templates(ref) == 0, ref
        with pytest.raises(ConsentMissing):
            club.send_photo(ref)


@pytest.mark.parametrize("kind", ["rotation", "command"])
def test_who_agrees_anew_after_it_begins_anew(club: Club, tmp_path: Path, kind: str) -> None:
    """Photos that waited are not enrolled under the new consent, and what was published names nobody."""
    settle(club, "ana")
    job = club.send_photo("ana")
    late = club.find("ana")
    backup = club.back_up()
    club.withdraw("ana")
    club.restore(backup, export(club, kind, tmp_path))
    club.consent("ana")
    assert club.told("picture of ana") == club.shown("ana") == set()
    club.run_photo(job)
    club.work()
    club.record(late, "compared before")
    assert club.told("picture of ana") | club.told("compared before") | club.shown("ana") == set()
    assert club.templates("ana") == 0
    club.run_photo(club.send_photo("ana"))
    club.post("ana", "another")
    assert club.told("another") == {"ana"}
    assert club.shown("ana") == {"another"}
    club.rotate()
    club.rotate()
    assert leaves(club.pool, "seal.broken") == [], "a part of the log whose epoch is gone was not altered"


@pytest.mark.parametrize("rotated", [True, False])
def test_a_second_restore_revives_nobody_either(club: Club, tmp_path: Path, rotated: bool) -> None:
    """The second backup has a consent that the first does not know, so that no row is left that says it has ended."""
    settle(club, "ana")
    first = club.back_up()
    club.withdraw("ana")
    club.consent("ana")
    second = club.back_up()
    club.withdraw("ana")
    newest = club.rotate() if rotated else club.export(tmp_path / "one.json")
    club.restore(first, newest)
    club.restore(second, club.export(tmp_path / "two.json"))
    assert club.in_force("ana") is None
    assert club.told("picture of ana") == club.shown("ana") == set()


def test_imports_again_change_nothing(club: Club, tmp_path: Path) -> None:
    settle(club, "ana", "bea")
    backup = club.back_up()
    club.withdraw("ana")
    newest = club.export(tmp_path / "keys.json")
    club.restore(backup, newest)
    club.work()
    before = everything(club.pool)
    for _ in range(2):
        done = club.bring_in(newest)
        assert (done.people, done.erased, done.pictures, dict(done.logs)) == (0, 0, 0, {})
    assert everything(club.pool) == before
    assert club.told("picture of bea") == {"bea"}


@pytest.mark.parametrize("exported", [True, False])
def test_what_ended_after_the_export_stays_ended(club: Club, tmp_path: Path, exported: bool) -> None:
    """The keys folder remembers it. Who agrees again does not agree to what arose under the consent that ended."""
    settle(club, "ana", "bea")
    backup = club.back_up()
    newest = club.export(tmp_path / "keys.json")
    club.withdraw("ana")
    if exported:
        club.restore(backup, newest)
    else:  # as where no epoch was rotated yet, and no export is there
        club.restore(backup, None)
        assert end_remembered(club.pool, club.keystore) == 1
    assert club.in_force("ana") is None
    assert club.templates("ana") == 0
    club.consent("ana")
    assert club.templates("ana") == 0
    assert club.told("picture of ana") == club.shown("ana") == set()
    assert club.told("picture of bea") == {"bea"}


def test_a_new_keys_folder_remembers_what_the_export_names(club: Club, tmp_path: Path) -> None:
    settle(club, "ana")
    club.withdraw("ana")
    newest = club.export(tmp_path / "keys.json")
    backup = club.back_up()
    before = club.keys.ended()
    ended_file(club.settings.keys_dir, "default").unlink()
    assert club.keys.ended() == frozenset()
    club.restore(backup, newest)
    assert club.keys.ended() == before != frozenset()


@pytest.mark.parametrize("folder", ["kept", "new"])
def test_a_key_that_comes_back_without_its_consent_is_replaced(club: Club, tmp_path: Path, folder: str) -> None:
    """The backup is of the time between two consents: the second one's templates lie under the key that it has."""
    settle(club, "ana", "bea")
    club.withdraw("ana")
    backup = club.back_up()
    settle(club, "ana")
    with transaction(club.pool) as conn:
        key = open_subject(conn, club.keys, club.pid("ana"))
    club.withdraw("ana")
    newest = club.export(tmp_path / "keys.json")
    if folder == "new":
        ended_file(club.settings.keys_dir, "default").unlink()
    club.restore(backup, newest if folder == "new" else None)
    if folder == "kept":
        end_remembered(club.pool, club.keystore)
    with transaction(club.pool) as conn:
        assert open_subject(conn, club.keys, club.pid("ana")) != key
        theirs = open_subject(conn, club.keys, club.pid("bea"))
    assert club.in_force("bea") is not None
    end_remembered(club.pool, club.keystore)
    with transaction(club.pool) as conn:
        assert open_subject(conn, club.keys, club.pid("bea")) == theirs
