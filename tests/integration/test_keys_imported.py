"""On a database of one's own, `assent keys import` after a restore: keys and consents that ended since stay ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assent.core.errors import KeyMissing, KeysOutdated
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.keys import keyfile
from assent.keys.installation import instance
from assent.keys.keyfile import KeyExport, read_export, write_export
from assent.keys.keystore import Keystore, TenantKeys, open_keystore
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects.consent import expire_due, withdraw_all, withdraw_consent
from assent.subjects.overview import subject_record
from assent.subjects.recover import import_keys
from assent.subjects.rotate import rotate_epoch
from tests.integration.lives import matches, recognise, templates
from tests.people import enrol, give, opt_in_all


def test_an_import_changes_nothing_where_all_is_well(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path
) -> None:
    people = opt_in_all(pool, keys, "ana", "bea")
    recognise(pool, keys, people[0], "hers")
    write_export(pool, keystore, tmp_path / "export", ["default"])
    opt_in_all(pool, keys, "cem")
    done = import_keys(pool, keystore, read_export(keystore, tmp_path / "export"))
    assert (done.people, done.erased, done.consents, done.pictures) == (0, 0, 0, 0)
    assert templates(pool, keys) == {"ana", "bea", "cem"}
    assert matches(pool, keys, people) == {"hers": "strong"}


def test_an_export_of_a_destroyed_epoch_is_refused(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path
) -> None:
    opt_in_all(pool, keys, "ana")
    write_export(pool, keystore, tmp_path / "export", ["default"])
    rotate_epoch(pool, keystore, "default")
    with pytest.raises(KeysOutdated, match="in epoch 1, the keystore in 2"):
        import_keys(pool, keystore, read_export(keystore, tmp_path / "export"))
    assert templates(pool, keys) == {"ana"}


def test_an_export_older_than_the_database_is_refused(
    pool: Pool, keystore: Keystore, keys: TenantKeys, settings: Settings, tmp_path: Path
) -> None:
    opt_in_all(pool, keys, "ana")
    write_export(pool, keystore, tmp_path / "export", ["default"])
    old = (settings.keys_dir / "keystore.json").read_bytes()
    rotate_epoch(pool, keystore, "default")
    (settings.keys_dir / "keystore.json").write_bytes(old)  # a keystore from before came back
    again = open_keystore(settings.keys_dir, instance(pool))
    with pytest.raises(KeysOutdated, match="in epoch 1, the database in 2"):
        import_keys(pool, again, read_export(again, tmp_path / "export"))
    with transaction(pool) as conn:
        assert conn.execute("SELECT count(*) FROM subject").fetchone() == (1,)


@pytest.mark.parametrize("change", ["cut", "line", "altered", "root"])
def test_an_export_that_is_not_whole_is_refused(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path, change: str
) -> None:
    opt_in_all(pool, keys, "ana", "bea")
    file = tmp_path / "export"
    write_export(pool, keystore, file, ["default"])
    lines = file.read_text().splitlines(keepends=True)
    if change == "cut":
        file.write_text("".join(lines[:-1]))
    elif change == "line":  # else bea would count as erased
        file.write_text("".join(lines[:-2] + lines[-1:]))
    elif change == "altered":
        file.write_text(file.read_text().replace('"epoch": 1', '"epoch": 2'))
    else:
        keystore.rotate_root(os.urandom(32))
    with pytest.raises(KeyMissing, match=r"cut, or sealed|altered"):
        read_export(keystore, file)


@contextmanager
def restored(pool: Pool) -> Iterator[None]:
    """What the block does to the people's rows is undone: the database comes back as it was."""
    tables = ("subject", "subject_key", "consent", "template", "match")
    with transaction(pool) as conn:
        for table in tables:
            conn.execute(f"CREATE TABLE before_{table} AS SELECT * FROM {table}")  # noqa: S608
    yield
    with transaction(pool) as conn:
        conn.execute("DELETE FROM match")
        conn.execute("DELETE FROM subject")
        for table in tables:
            conn.execute(f"INSERT INTO {table} SELECT * FROM before_{table}")  # noqa: S608


def states(pool: Pool, keys: TenantKeys, name: str) -> list[str]:
    with transaction(pool) as conn:
        return [one["state"] for one in subject_record(conn, keys, name)["consents"]]


def export_keys(pool: Pool, keystore: Keystore, file: Path) -> KeyExport:
    write_export(pool, keystore, file, ["default"])
    return read_export(keystore, file)


def test_a_consent_that_ended_since_is_not_brought_back(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path
) -> None:
    """The epoch is the same still, so that every row of the backup opens."""
    withdrawn, lapsed = give(pool, keys, "ana"), give(pool, keys, "bea")
    give(pool, keys, "cem")
    give(pool, keys, "dan")
    with transaction(pool) as conn:
        for name in ("ana", "bea", "cem", "dan"):
            enrol(conn, keys, name)
    with restored(pool):
        with transaction(pool) as conn:
            withdraw_consent(conn, keys, withdrawn)
            conn.execute("ALTER TABLE consent DISABLE TRIGGER USER")
            conn.execute("UPDATE consent SET expires_at = now() WHERE id = %s", [lapsed])
            conn.execute("ALTER TABLE consent ENABLE TRIGGER USER")
        with transaction(pool) as conn:
            expire_due(conn, keys, datetime.now(UTC))
        give(pool, keys, "cem", scope="own")  # narrower: the one before may not apply again either
        export = export_keys(pool, keystore, tmp_path / "export")
        with transaction(pool) as conn:
            conn.execute("DELETE FROM procrastinate_jobs")
    assert templates(pool, keys) == {"ana", "bea", "cem", "dan"}
    done = import_keys(pool, keystore, export)
    assert (done.people, done.erased, done.consents, done.pictures) == (0, 0, 3, 0)
    assert [states(pool, keys, name) for name in ("ana", "bea", "cem")] == [["withdrawn"]] * 3
    assert states(pool, keys, "dan") == ["granted"]
    assert templates(pool, keys) == {"dan"}
    with transaction(pool) as conn:
        assert conn.execute("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'retract'").fetchone() == (3,)
        assert conn.execute("SELECT count(*) FROM ended_key").fetchone() == (3,)
    assert import_keys(pool, keystore, export).consents == 0


def test_what_a_backup_has_of_somebody_whose_key_was_destroyed_since_is_removed(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path
) -> None:
    for name in ("ana", "bea"):
        give(pool, keys, name)
    opt_in_all(pool, keys, "cem")
    with transaction(pool) as conn:
        for name in ("ana", "bea"):
            enrol(conn, keys, name)
    with restored(pool):
        for name in ("ana", "bea"):
            with transaction(pool) as conn:
                withdraw_all(conn, keys, derive_pseudonym(keys, name))
        give(pool, keys, "bea")  # agreed again: to that, not to what the backup has
        rotate_epoch(pool, keystore, "default")
        export = export_keys(pool, keystore, tmp_path / "export")
    done = import_keys(pool, keystore, export)
    assert (done.people, done.erased, done.consents) == (1, 2, 0)
    assert templates(pool, keys) == {"cem"}
    with transaction(pool) as conn:
        assert conn.execute("SELECT count(*) FROM subject").fetchone() == (1,)
    give(pool, keys, "bea")
    assert states(pool, keys, "bea") == ["granted"]


def test_an_export_from_before_consents_were_named_in_it_is_read(
    pool: Pool, keystore: Keystore, keys: TenantKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opt_in_all(pool, keys, "ana")
    monkeypatch.setattr(keyfile, "KEYFILE_FORMAT", "assent.keys/1")
    export = export_keys(pool, keystore, tmp_path / "export")
    assert export.ended == {"default": []}
    assert import_keys(pool, keystore, export).people == 0
