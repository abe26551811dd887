"""A keystore has one live epoch and the ones that a rotation leaves; a destroyed one never comes back."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from assent.errors import KeyMissing, SealBroken
from assent.gallery.keys import Keystore, create, open_keystore, pid
from assent.gallery.template import SubjectKey, open_locator, seal_locator


@pytest.fixture
def database() -> UUID:
    return uuid4()


@pytest.fixture
def store(tmp_path: Path, database: UUID) -> Keystore:
    made = create(tmp_path / "keys", database)
    made.add_tenant("club")
    return made


def test_the_old_epoch_opens_until_it_is_ended(store: Keystore) -> None:
    keys = store.tenant("club")
    ana = SubjectKey.new(keys, pid(keys, "ana"))
    wrapped, locator = ana.wrap(keys), seal_locator(keys, ana.pid, "place")
    fresh = store.begin_epoch("club")
    assert (fresh.epoch, set(fresh.retiring)) == (2, {1})
    for held in (keys, fresh):  # also with keys taken before
        assert SubjectKey.unwrap(held, ana.pid, 1, wrapped) == ana
        assert open_locator(held, 1, locator, "place") == ana.pid
        assert SubjectKey.unwrap(held, ana.pid, 2, ana.wrap(fresh)) == ana
    ended = store.end_epochs("club", [1])
    assert (ended.epoch, dict(ended.retiring)) == (2, {})
    for held in (keys, fresh, ended):
        with pytest.raises(SealBroken, match="epoch 1; the live one is 2"):
            SubjectKey.unwrap(held, ana.pid, 1, wrapped)
        with pytest.raises(SealBroken):
            open_locator(held, 1, locator, "place")


def test_only_the_epoch_changes(store: Keystore) -> None:
    keys, other = store.tenant("club"), store.add_tenant("other")
    fresh = store.begin_epoch("club")
    assert fresh.epoch_key != keys.epoch_key
    assert fresh.retiring[1] == keys.epoch_key
    assert (fresh.seal_key, fresh.pseudonym_key) == (keys.seal_key, keys.pseudonym_key)
    assert fresh.log_key.private_bytes_raw() == keys.log_key.private_bytes_raw()
    assert store.tenant("other").epoch_key == other.epoch_key


def test_other_processes_see_it(store: Keystore, database: UUID) -> None:
    other = open_keystore(store.keys_dir, database)
    assert other.tenant("club").epoch == 1
    fresh = store.begin_epoch("club")
    assert other.tenant("club").epoch_key == fresh.epoch_key
    store.end_epochs("club", [1])
    assert not other.tenant("club").retiring


def test_several_may_retire_and_only_those_named_end(store: Keystore) -> None:
    for _ in range(3):
        store.begin_epoch("club")
    assert set(store.end_epochs("club", [1, 3]).retiring) == {2}
    assert store.tenant("club").epoch == 4


def test_the_file_holds_no_key_in_the_clear_and_nothing_of_an_ended_epoch(store: Keystore) -> None:
    old = store.tenant("club")
    fresh = store.begin_epoch("club")
    file = store.keys_dir / "keystore.json"
    entry = json.loads(file.read_text())["tenants"]["club"]
    assert set(entry["retiring"]) == {"1"}
    for key in (old.epoch_key, fresh.epoch_key):
        assert b64encode(key).decode() not in file.read_text()
    sealed = entry["retiring"]["1"]
    store.end_epochs("club", [1])
    assert sealed not in file.read_text()
    assert [path.name for path in store.keys_dir.iterdir() if "keystore.json" in path.name] == ["keystore.json"]


def test_keys_of_epochs_do_not_pass_for_each_other(store: Keystore, database: UUID) -> None:
    store.begin_epoch("club")
    file = store.keys_dir / "keystore.json"
    document = json.loads(file.read_text())
    entry = document["tenants"]["club"]
    entry["epoch_key"] = entry["retiring"]["1"]
    file.write_text(json.dumps(document))
    with pytest.raises(KeyMissing, match="entry of tenant club"):
        open_keystore(store.keys_dir, database)


def test_a_keystore_from_before_there_were_retiring_epochs(store: Keystore, database: UUID) -> None:
    file = store.keys_dir / "keystore.json"
    document = json.loads(file.read_text())
    del document["tenants"]["club"]["retiring"]
    file.write_text(json.dumps(document))
    assert open_keystore(store.keys_dir, database).begin_epoch("club").epoch == 2


def test_a_write_that_fails_leaves_the_keystore_as_it_was(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (store.keys_dir / "keystore.json").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.begin_epoch("club")
    assert (store.keys_dir / "keystore.json").read_bytes() == before
    assert {path.name for path in store.keys_dir.iterdir()} == {"root.key", "keystore.json", "keystore.lock"}
    assert store.tenant("club").epoch == 1
