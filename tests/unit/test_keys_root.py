"""The root key is replaced in one step: at any moment one of the two opens the keystore, and that one is there."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from uuid import UUID

import pytest

from assent.core.errors import KeyMissing
from assent.core.files import write_private
from assent.keys.keystore import Keystore, create_keystore, open_keystore
from assent.keys.root import read_root


@pytest.fixture
def store(local_keystore: Keystore) -> Keystore:
    """A keystore whose first epoch retires."""
    local_keystore.begin_epoch("club")
    return local_keystore


def same(one: Keystore, other: Keystore) -> bool:
    left, right = one.tenant("club"), other.tenant("club")
    return (left.seal_key, left.pseudonym_key, left.epoch_key, dict(left.retiring)) == (
        right.seal_key,
        right.pseudonym_key,
        right.epoch_key,
        dict(right.retiring),
    )


def test_all_keys_stay_the_same_under_the_new_root(store: Keystore, database_id: UUID) -> None:
    running = open_keystore(store.keys_dir, database_id)
    old, before = store.root, store.tenant("club")
    fresh = os.urandom(32)
    store.rotate_root(fresh)
    assert read_root(store.keys_dir / "root.key") == fresh
    assert not (store.keys_dir / "root.key.next").exists()
    assert store.tenant("club").epoch_key == before.epoch_key
    assert same(open_keystore(store.keys_dir, database_id), store)
    assert same(running, store)  # a process that had the old one goes on
    with pytest.raises(KeyMissing, match="root key is not the one"):
        open_keystore(store.keys_dir, database_id, old)
    assert running.begin_epoch("club").epoch == 3  # and may write
    assert same(running, store)


class Died(BaseException):
    pass


@pytest.mark.parametrize("step", [1, 2, 3])
def test_cut_short_anywhere(store: Keystore, database_id: UUID, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """The steps: the new root key is written, the keystore is, the new root key takes its place."""
    before = store.tenant("club")
    running = open_keystore(store.keys_dir, database_id)
    steps = 0
    write, settle = write_private, Keystore._settle_root

    def dying() -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise Died

    def dies(file: Path, text: str) -> None:
        dying()
        write(file, text)

    def dies_there(self: Keystore) -> None:
        dying()
        settle(self)

    with monkeypatch.context() as patch:
        patch.setattr("assent.keys.keystore.write_private", dies)
        patch.setattr(Keystore, "_settle_root", dies_there)
        with pytest.raises(Died):
            store.rotate_root(os.urandom(32))
    again = open_keystore(store.keys_dir, database_id)
    assert again.tenant("club").epoch_key == before.epoch_key
    assert running.tenant("club").epoch_key == before.epoch_key
    fresh = os.urandom(32)
    again.rotate_root(fresh)
    assert read_root(store.keys_dir / "root.key") == fresh
    assert not (store.keys_dir / "root.key.next").exists()
    assert same(open_keystore(store.keys_dir, database_id), running)


def test_a_root_key_from_the_settings_stays_out_of_the_folder(keystore_folder: Path, database_id: UUID) -> None:
    old, fresh = os.urandom(32), os.urandom(32)
    store = create_keystore(keystore_folder, database_id, old)
    store.add_tenant("club")
    running = open_keystore(store.keys_dir, database_id, old)
    running.tenant("club")
    store.rotate_root(fresh)
    assert {path.name for path in store.keys_dir.iterdir()} == {"keystore.json", "keystore.lock"}
    assert same(open_keystore(store.keys_dir, database_id, fresh), store)
    with pytest.raises(KeyMissing, match="root key is not the one"):  # until it is started with the new one
        running.tenant("club")


def test_a_root_key_that_lies_about_is_not_taken(store: Keystore, database_id: UUID) -> None:
    file = store.keys_dir / "root.key.next"
    file.write_text(b64encode(os.urandom(32)).decode())
    file.chmod(0o600)
    right = read_root(store.keys_dir / "root.key")
    assert open_keystore(store.keys_dir, database_id).tenants() == ("club",)
    assert read_root(store.keys_dir / "root.key") == right
