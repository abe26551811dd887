"""A backup comes back with today's keys: the living as they were, and nothing of those who were erased since."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from assent.audit.checkpoint import Checkpoint, current_checkpoint, open_note
from assent.audit.verify import verify_database
from assent.cli.backup import backup, restore
from assent.core.errors import BackupRefused, KeyMissing, SealBroken
from assent.core.settings import Settings
from assent.db.migrate import migrate
from assent.db.pool import Pool, open_pool, transaction
from assent.embedded.backup import restore_backup, write_backup
from assent.keys.installation import database, instance, open_keys, open_or_create_keys
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey
from assent.subjects.consent import withdraw_all
from assent.subjects.rotate import rotate_epoch
from assent.subjects.rotation import rotate_due
from assent.tenants import init_tenant
from tests.events import leaves
from tests.fixtures.database import superuser_of
from tests.integration.lives import erase, matches, recognise, spoken_of, templates
from tests.people import opt_in_all


@pytest.fixture(scope="module")
def initialised(open_folder: Path) -> Path:
    """The data folder of an installation with an embedded server, which is stopped."""
    folder = open_folder / uuid4().hex[:8]
    settings = Settings(data_dir=folder, database_url=None)
    with database(settings) as url:
        migrate(url)
        with open_pool(url) as pool:
            init_tenant(pool, open_or_create_keys(settings, pool), "default", "platform", None)
    return folder


@pytest.fixture
def elsewhere(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Where the commands find nothing yet."""
    for name in [name for name in os.environ if name.startswith("ASSENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ASSENT_DATA_DIR", str(open_folder / uuid4().hex[:8]))
    return Settings()


@pytest.fixture
def home(initialised: Path, elsewhere: Settings) -> Settings:
    """A copy of that installation, with its owners, where the commands find it."""
    subprocess.run(["/bin/cp", "-a", initialised, elsewhere.data_dir], check=True)
    return elsewhere


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Pool, Keystore, TenantKeys]]:
    with database(settings) as url, open_pool(url) as pool:
        keystore = open_keys(settings, pool)
        yield pool, keystore, keystore.tenant("default")


def signed(pool: Pool, keys: TenantKeys) -> Checkpoint:
    with transaction(pool) as conn:
        return open_note(keys, current_checkpoint(conn, keys))


def back_up_as_before(settings: Settings, pool: Pool, folder: Path) -> None:
    """As a version did whose processes were superusers of the database."""
    number, url = instance(pool), pool.conninfo
    assert isinstance(url, str)
    with psycopg.connect(superuser_of(settings.data_dir, url), autocommit=True) as conn:
        conn.execute("REASSIGN OWNED BY application TO assent")
        conn.execute("DROP ROLE application")
    write_backup(url, settings.data_dir, number, folder)


def lose_database(settings: Settings) -> None:
    shutil.rmtree(settings.data_dir / "pg")
    (settings.data_dir / "postgres.password").unlink()


def test_the_living_come_back_and_the_erased_do_not(
    home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "backup"
    living = {f"person {n}" for n in range(20)}
    with opened(home) as (pool, keystore, keys):
        people = opt_in_all(pool, keys, *sorted(living), "ana")
        recognise(pool, keys, people[0], "theirs")
        recognise(pool, keys, people[-1], "hers")
        backup(folder)
        assert len(leaves(pool, "backup.made")) == 1
        erase(pool, keys, "ana")
        rotate_epoch(pool, keystore, "default")
        assert templates(pool, keys) == living
        lost = signed(pool, keys)
    lose_database(home)
    restore(folder)
    assert "The log of default was set back: epoch 2 begins at leaf " in capsys.readouterr().out
    with opened(home) as (pool, _, keys):
        (leaf,) = leaves(pool, "log.restored")
        assert (leaf["epoch"], leaf["old"]["size"], leaf["old"]["root"]) == (2, lost.size, lost.root.hex())
        with transaction(pool) as conn:  # it is the first that was written since
            (count,) = conn.execute("SELECT count(*) FROM audit_leaf").fetchone() or (0,)
            assert verify_database(conn, keys).restorations[0].restored.size == leaf["restored"]["size"] < count
            at = conn.execute("SELECT leaf FROM audit_leaf WHERE seq = %s", [leaf["restored"]["size"]]).fetchone()
            assert at is not None
            assert json.loads(at[0]) == leaf
        assert signed(pool, keys).epoch == 2
        assert templates(pool, keys) == living
        with transaction(pool) as conn:
            assert conn.execute("SELECT count(*) FROM template").fetchone() == (20,)
            assert conn.execute("SELECT count(*) FROM subject").fetchone() == (20,)
            # Whose a match was is told by a locator of the destroyed epoch: those of the living go as well.
            assert conn.execute("SELECT count(*) FROM match").fetchone() == (0,)
        assert matches(pool, keys, people) == {}
        assert spoken_of(pool, keys) == []
        with pytest.raises(BackupRefused, match="exists"):
            restore(folder)


def test_who_withdrew_since_is_not_brought_back(
    home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(home) as (pool, keystore, keys):
        opt_in_all(pool, keys, "ana", "bea")
        backup(tmp_path / "backup")
        with transaction(pool) as conn:
            withdraw_all(conn, keys, derive_pseudonym(keys, "ana"))
        assert rotate_due(pool, keystore) == 1
    lose_database(home)
    restore(tmp_path / "backup")
    assert "1 people's keys brought back, 1 people removed" in capsys.readouterr().out
    with opened(home) as (pool, _, keys):
        assert templates(pool, keys) == {"bea"}


def test_the_files_of_a_backup_and_todays_keys_open_nobody_who_was_erased(home: Settings, tmp_path: Path) -> None:
    """As somebody would try it who has both: the old rows, every key that there is today, and whatever lies about."""
    folder = tmp_path / "backup"
    with opened(home) as (pool, keystore, keys):
        opt_in_all(pool, keys, "ana", "bea")
        backup(folder)
        erase(pool, keys, "ana")
        rotate_epoch(pool, keystore, "default")
    assert sorted(path.name for path in folder.iterdir()) == ["backup.json", "pg", "postgres.password"]
    assert not [path for path in folder.rglob("*") if path.name in ("root.key", "keystore.json", "keys.json")]
    lose_database(home)
    restore_backup(folder, home.data_dir)  # the rows stay as they are in the backup
    with opened(home) as (pool, _, keys):
        with transaction(pool) as conn:
            rows = conn.execute("SELECT pid, epoch, wrapped FROM subject_key").fetchall()
        assert len(rows) == 2
        for row in rows:
            with pytest.raises(SealBroken):
                SubjectKey.unwrap(keys, *row)


def test_who_came_after_the_last_rotation_comes_back_too(home: Settings, tmp_path: Path) -> None:
    with opened(home) as (pool, keystore, keys):
        opt_in_all(pool, keys, "ana")
        rotate_epoch(pool, keystore, "default")  # its export knows ana only
        opt_in_all(pool, keys, "bea")
        recognise(pool, keys, opt_in_all(pool, keys, "cem")[0], "his")
        before = signed(pool, keys)
        back_up_as_before(home, pool, tmp_path / "backup")
    lose_database(home)
    restore(tmp_path / "backup")
    with opened(home) as (pool, _, keys):
        assert templates(pool, keys) == {"ana", "bea", "cem"}
        with transaction(pool) as conn:
            assert conn.execute("SELECT media_id FROM match").fetchall() == [("his",)]
        assert signed(pool, keys) == before  # nothing was lost, and no leaf had to say so


def test_with_its_keys_a_backup_comes_back_on_another_machine(
    home: Settings, tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(home) as (pool, keystore, keys):
        opt_in_all(pool, keys, "ana")
        rotate_epoch(pool, keystore, "default")
        opt_in_all(pool, keys, "bea")
        backup(tmp_path / "backup", with_root_key=True)
    monkeypatch.setenv("ASSENT_DATA_DIR", str(open_folder / uuid4().hex[:8]))
    elsewhere = Settings()
    restore(tmp_path / "backup")
    with opened(elsewhere) as (pool, _, keys):
        assert templates(pool, keys) == {"ana", "bea"}
        assert keys.epoch == 2


def test_without_a_root_key_nothing_is_begun(
    home: Settings, tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(home) as (pool, _, keys):
        opt_in_all(pool, keys, "ana")
        backup(tmp_path / "backup", with_keys=True)
        backup(tmp_path / "bare")
    elsewhere = open_folder / uuid4().hex[:8]
    monkeypatch.setenv("ASSENT_DATA_DIR", str(elsewhere))
    with pytest.raises(KeyMissing, match="root key is missing"):
        restore(tmp_path / "backup")
    with pytest.raises(KeyMissing, match="no export of keys"):
        restore(tmp_path / "bare")
    assert not (elsewhere / "pg").exists()
    assert not (elsewhere / "keys" / "keystore.json").exists()
    monkeypatch.setenv("ASSENT_ROOT_KEY", b64encode(os.urandom(32)).decode())
    with pytest.raises(KeyMissing, match="another root key"):
        restore(tmp_path / "backup")
    assert not (elsewhere / "pg").exists()


def test_damaged_or_unfinished_backups_are_refused(home: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    with opened(home):
        backup(folder)
        with pytest.raises(BackupRefused, match="not empty"):
            backup(folder)
    lose_database(home)
    catalog = next(
        path for path in sorted((folder / "pg" / "base").rglob("*")) if path.is_file() and path.stat().st_size
    )
    sound = catalog.read_bytes()
    catalog.write_bytes(bytes([sound[0] ^ 1]) + sound[1:])
    with pytest.raises(BackupRefused, match="damaged"):
        restore(folder)
    catalog.write_bytes(sound)
    about = (folder / "backup.json").read_text()
    (folder / "backup.json").unlink()
    with pytest.raises(BackupRefused, match="no finished backup"):
        restore(folder)
    (folder / "backup.json").write_text(json.dumps(json.loads(about) | {"database": str(uuid4())}))
    with pytest.raises(KeyMissing, match="another database"):
        restore(folder)
    assert not (home.data_dir / "pg").exists()
    (folder / "backup.json").write_text(about)
    restore(folder)
    with opened(home) as (_, keystore, _):
        assert keystore.tenants() == ("default",)


def test_a_database_of_ones_own_is_backed_up_by_its_own_means(
    elsewhere: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSENT_DATABASE_URL", "postgresql://elsewhere/assent")
    with pytest.raises(BackupRefused, match="assent keys export"):
        backup(tmp_path / "backup")
    with pytest.raises(BackupRefused, match="assent keys export"):
        restore(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
