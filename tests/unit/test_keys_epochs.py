"""A keystore has one live epoch and the ones that a rotation leaves; a destroyed one never comes back."""

from __future__ import annotations

import json
from base64 import b64encode
from uuid import UUID

import pytest

from assent.core.errors import KeyMissing, SealBroken
from assent.keys.keystore import Keystore, open_keystore
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey, open_locator, seal_locator


def test_the_old_epoch_opens_until_it_is_ended(local_keystore: Keystore) -> None:
    keys = local_keystore.tenant("club")
    ana = SubjectKey.new(keys, derive_pseudonym(keys, "ana"))
    wrapped, locator = ana.wrap(keys), seal_locator(keys, ana.pseudonym, "place")
    fresh = local_keystore.begin_epoch("club")
    assert (fresh.epoch, set(fresh.retiring)) == (2, {1})
    for held in (keys, fresh):  # also with keys taken before
        assert SubjectKey.unwrap(held, ana.pseudonym, 1, wrapped) == ana
        assert open_locator(held, 1, locator, "place") == ana.pseudonym
        assert SubjectKey.unwrap(held, ana.pseudonym, 2, ana.wrap(fresh)) == ana
    ended = local_keystore.end_epochs("club", [1])
    assert (ended.epoch, dict(ended.retiring)) == (2, {})
    for held in (keys, fresh, ended):
        with pytest.raises(SealBroken, match="epoch 1; the live one is 2"):
            SubjectKey.unwrap(held, ana.pseudonym, 1, wrapped)
        with pytest.raises(SealBroken):
            open_locator(held, 1, locator, "place")


def test_only_the_epoch_changes(local_keystore: Keystore) -> None:
    keys, other = local_keystore.tenant("club"), local_keystore.add_tenant("other")
    fresh = local_keystore.begin_epoch("club")
    assert fresh.epoch_key != keys.epoch_key
    assert fresh.retiring[1] == keys.epoch_key
    assert (fresh.seal_key, fresh.pseudonym_key) == (keys.seal_key, keys.pseudonym_key)
    assert fresh.log_key.private_bytes_raw() == keys.log_key.private_bytes_raw()
    assert local_keystore.tenant("other").epoch_key == other.epoch_key


def test_other_processes_see_it(local_keystore: Keystore, database_id: UUID) -> None:
    other = open_keystore(local_keystore.keys_dir, database_id)
    assert other.tenant("club").epoch == 1
    fresh = local_keystore.begin_epoch("club")
    assert other.tenant("club").epoch_key == fresh.epoch_key
    local_keystore.end_epochs("club", [1])
    assert not other.tenant("club").retiring


def test_several_may_retire_and_only_those_named_end(local_keystore: Keystore) -> None:
    for _ in range(3):
        local_keystore.begin_epoch("club")
    assert set(local_keystore.end_epochs("club", [1, 3]).retiring) == {2}
    assert local_keystore.tenant("club").epoch == 4


def test_the_file_holds_no_key_in_the_clear_and_nothing_of_an_ended_epoch(local_keystore: Keystore) -> None:
    old = local_keystore.tenant("club")
    fresh = local_keystore.begin_epoch("club")
    file = local_keystore.keys_dir / "keystore.json"
    entry = json.loads(file.read_text())["tenants"]["club"]
    assert set(entry["retiring"]) == {"1"}
    for key in (old.epoch_key, fresh.epoch_key):
        assert b64encode(key).decode() not in file.read_text()
    sealed = entry["retiring"]["1"]
    local_keystore.end_epochs("club", [1])
    assert sealed not in file.read_text()
    assert [path.name for path in local_keystore.keys_dir.iterdir() if "keystore.json" in path.name] == [
        "keystore.json"
    ]


def test_keys_of_epochs_do_not_pass_for_each_other(local_keystore: Keystore, database_id: UUID) -> None:
    local_keystore.begin_epoch("club")
    file = local_keystore.keys_dir / "keystore.json"
    document = json.loads(file.read_text())
    entry = document["tenants"]["club"]
    entry["epoch_key"] = entry["retiring"]["1"]
    file.write_text(json.dumps(document))
    with pytest.raises(KeyMissing, match="entry of tenant club"):
        open_keystore(local_keystore.keys_dir, database_id)


def test_a_keystore_from_before_there_were_retiring_epochs(local_keystore: Keystore, database_id: UUID) -> None:
    file = local_keystore.keys_dir / "keystore.json"
    document = json.loads(file.read_text())
    del document["tenants"]["club"]["retiring"]
    file.write_text(json.dumps(document))
    assert open_keystore(local_keystore.keys_dir, database_id).begin_epoch("club").epoch == 2


def test_a_write_that_fails_leaves_the_keystore_as_it_was(
    local_keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (local_keystore.keys_dir / "keystore.json").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        local_keystore.begin_epoch("club")
    assert (local_keystore.keys_dir / "keystore.json").read_bytes() == before
    assert {path.name for path in local_keystore.keys_dir.iterdir()} == {"root.key", "keystore.json", "keystore.lock"}
    assert local_keystore.tenant("club").epoch == 1
