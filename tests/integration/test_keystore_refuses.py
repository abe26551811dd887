"""Without the keystore that belongs to it nothing of a database is matched, and none is made in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from assent.core.errors import KeyMissing
from assent.core.settings import Settings
from assent.core.values import Event
from assent.db.pool import Pool
from assent.keys import keystore as keystores
from assent.keys.installation import open_keys, open_or_create_keys
from assent.keys.keystore import TenantKeys
from assent.keys.root import read_root
from assent.worker.jobs import WorkerContext


def removed(folder: Path, _tmp: Path) -> None:
    (folder / "keystore.json").unlink()


def truncated(folder: Path, _tmp: Path) -> None:
    file = folder / "keystore.json"
    file.write_bytes(file.read_bytes()[:-40])


def of_another_database(folder: Path, tmp: Path) -> None:
    keystores.create_keystore(tmp / "elsewhere", uuid4(), read_root(folder / "root.key")).add_tenant("default")
    shutil.copyfile(tmp / "elsewhere" / "keystore.json", folder / "keystore.json")


def under_another_root(folder: Path, tmp: Path) -> None:
    keystores.create_keystore(tmp / "elsewhere", uuid4())
    shutil.copyfile(tmp / "elsewhere" / "root.key", folder / "root.key")
    (folder / "keystore.json").write_text((folder / "keystore.json").read_text() + "\n")  # so that it is read again


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (removed, "the keystore is missing"),
        (truncated, "the keystore is truncated"),
        (of_another_database, "the keystore belongs to another database"),
    ],
)
def test_a_running_worker_matches_nobody(
    bench: WorkerContext, keys: TenantKeys, tmp_path: Path, harm: Callable[[Path, Path], None], says: str
) -> None:
    event = Event("media.created", (), "public", "post", "ana")
    assert bench.gallery.candidate_count("default", event) == 0
    harm(bench.settings.keys_dir, tmp_path)
    with pytest.raises(KeyMissing, match=says):
        bench.gallery.candidate_count("default", event)
    with pytest.raises(KeyMissing, match=says):
        keys.now()


@pytest.mark.parametrize("harm", [removed, truncated, of_another_database, under_another_root])
def test_neither_keystore_nor_root_key_is_made_for_a_database_in_use(
    pool: Pool, settings: Settings, keys: TenantKeys, tmp_path: Path, harm: Callable[[Path, Path], None]
) -> None:
    harm(settings.keys_dir, tmp_path)
    before = {path.name: path.read_bytes() for path in settings.keys_dir.iterdir()}
    for open_it in (open_keys, open_or_create_keys):
        with pytest.raises(KeyMissing):
            open_it(settings, pool)
    assert {path.name: path.read_bytes() for path in settings.keys_dir.iterdir()} == before


def test_a_lost_folder_is_not_made_anew(pool: Pool, settings: Settings, keys: TenantKeys) -> None:
    shutil.rmtree(settings.keys_dir)
    with pytest.raises(KeyMissing, match="root key is missing"):
        open_or_create_keys(settings, pool)
    assert not settings.keys_dir.exists()
