"""The keystore opens only with its own root key and database, and says which of them is wrong."""

from __future__ import annotations

import json
import os
import stat
import threading
from base64 import b64encode
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assent.core.errors import AlreadyInitialised, KeyMissing, StoreUnsafe
from assent.keys.keystore import Keystore, TenantKeys, create_keystore, open_keystore
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.root import parse_root, read_root
from tests.installed import need


def secrets_of(keys: TenantKeys) -> tuple[bytes, ...]:
    public = keys.log_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return (keys.seal_key, keys.pseudonym_key, keys.epoch_key, public)


def test_the_same_keys_come_back(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    again = open_keystore(keystore_folder, database_id).tenant("club")
    assert secrets_of(again) == secrets_of(local_keystore.tenant("club"))
    assert len(set(secrets_of(again))) == 4
    assert again.epoch == 1


def test_tenants_share_no_key(local_keystore: Keystore) -> None:
    other = local_keystore.add_tenant("other")
    assert not set(secrets_of(other)) & set(secrets_of(local_keystore.tenant("club")))
    assert derive_pseudonym(other, "ana") != derive_pseudonym(local_keystore.tenant("club"), "ana")


def test_pid_is_stable_and_keyed(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    again = open_keystore(keystore_folder, database_id).tenant("club")
    assert derive_pseudonym(again, "ana") == derive_pseudonym(local_keystore.tenant("club"), "ana")
    assert derive_pseudonym(again, "ana") != derive_pseudonym(again, "ana ")
    assert len(derive_pseudonym(again, "")) == 32


def test_files_are_private_and_hold_no_key_in_clear(local_keystore: Keystore, keystore_folder: Path) -> None:
    for name in ("root.key", "keystore.json"):
        assert stat.S_IMODE((keystore_folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(keystore_folder.stat().st_mode) == 0o700
    text = (keystore_folder / "keystore.json").read_text()
    for secret in secrets_of(local_keystore.tenant("club"))[:3]:
        assert b64encode(secret).decode() not in text


def test_no_key_in_a_repr(local_keystore: Keystore) -> None:
    keys = local_keystore.tenant("club")
    assert repr(keys) == "TenantKeys(tenant='club', epoch=1, authority_sealed=True)"
    assert (
        repr(local_keystore) == f"Keystore(keys_dir={local_keystore.keys_dir!r}, database={local_keystore.database!r})"
    )


def test_a_given_root_key_leaves_no_file(keystore_folder: Path, database_id: UUID) -> None:
    root = os.urandom(32)
    create_keystore(keystore_folder, database_id, root).add_tenant("club")
    assert not (keystore_folder / "root.key").exists()
    assert open_keystore(keystore_folder, database_id, root).tenants() == ("club",)


def test_create_never_replaces(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    before = (keystore_folder / "keystore.json").read_bytes()
    with pytest.raises(AlreadyInitialised):
        create_keystore(keystore_folder, database_id)
    with pytest.raises(AlreadyInitialised, match="club"):
        local_keystore.add_tenant("club")
    assert (keystore_folder / "keystore.json").read_bytes() == before


def test_missing_root_key(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    (keystore_folder / "root.key").unlink()
    with pytest.raises(KeyMissing, match="root key is missing"):
        open_keystore(keystore_folder, database_id)


def test_missing_keystore(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    (keystore_folder / "keystore.json").unlink()
    with pytest.raises(KeyMissing, match="keystore is missing"):
        open_keystore(keystore_folder, database_id)
    with pytest.raises(KeyMissing, match="keystore is missing"):
        local_keystore.tenant("club")


def test_wrong_root_key(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    with pytest.raises(KeyMissing, match="root key is not the one"):
        open_keystore(keystore_folder, database_id, os.urandom(32))


def test_other_database(local_keystore: Keystore, keystore_folder: Path) -> None:
    with pytest.raises(KeyMissing, match="another database"):
        open_keystore(keystore_folder, uuid4())


def test_a_database_id_written_over_does_not_help(
    local_keystore: Keystore, keystore_folder: Path, database_id: UUID
) -> None:
    file, other = keystore_folder / "keystore.json", uuid4()
    file.write_text(file.read_text().replace(str(database_id), str(other)))
    with pytest.raises(KeyMissing):
        open_keystore(keystore_folder, other)


@pytest.mark.parametrize("kept", [0, 1, 40, 200, -3])
def test_truncated_keystore(local_keystore: Keystore, keystore_folder: Path, database_id: UUID, kept: int) -> None:
    file = keystore_folder / "keystore.json"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(KeyMissing, match="truncated"):
        open_keystore(keystore_folder, database_id)


@pytest.mark.parametrize("key", ["seal_key", "pseudonym_key", "log_key", "epoch_key"])
def test_keys_of_another_tenant_or_kind_do_not_open(
    local_keystore: Keystore, keystore_folder: Path, database_id: UUID, key: str
) -> None:
    local_keystore.add_tenant("other")
    file = keystore_folder / "keystore.json"
    document = json.loads(file.read_text())
    document["tenants"]["club"][key] = document["tenants"]["other"][key]
    file.write_text(json.dumps(document))
    with pytest.raises(KeyMissing, match="entry of tenant club"):
        open_keystore(keystore_folder, database_id)


def test_an_epoch_number_written_over_does_not_open(
    local_keystore: Keystore, keystore_folder: Path, database_id: UUID
) -> None:
    file = keystore_folder / "keystore.json"
    document = json.loads(file.read_text())
    document["tenants"]["club"]["epoch"] = 2
    file.write_text(json.dumps(document))
    with pytest.raises(KeyMissing, match="entry of tenant club"):
        open_keystore(keystore_folder, database_id)


@pytest.mark.parametrize("name", ["root.key", "keystore.json"])
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602])
def test_files_that_others_can_read_or_change_are_refused(
    local_keystore: Keystore, keystore_folder: Path, database_id: UUID, name: str, mode: int
) -> None:
    (keystore_folder / name).chmod(mode)
    with pytest.raises(StoreUnsafe, match=f"{name} can be read or changed by others: chmod 600 it"):
        open_keystore(keystore_folder, database_id)


def test_files_of_another_user_are_refused(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    if os.geteuid() != 0:
        need("only root can give a file away")
    os.chown(keystore_folder / "root.key", 12345, -1)
    with pytest.raises(StoreUnsafe, match=r"root\.key belongs to uid 12345, and this process runs as uid 0: run as"):
        open_keystore(keystore_folder, database_id)


def test_unknown_tenant(local_keystore: Keystore) -> None:
    with pytest.raises(KeyMissing, match="no keys of tenant nobody"):
        local_keystore.tenant("nobody")


def test_another_process_tenants_are_seen(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    assert local_keystore.tenants() == ("club",)
    added = open_keystore(keystore_folder, database_id).add_tenant("later")
    assert secrets_of(local_keystore.tenant("later")) == secrets_of(added)


def test_writers_at_once_lose_nothing(local_keystore: Keystore, keystore_folder: Path, database_id: UUID) -> None:
    names = [f"tenant-{n}" for n in range(12)]
    threads = [
        threading.Thread(target=open_keystore(keystore_folder, database_id).add_tenant, args=(name,)) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert local_keystore.tenants() == tuple(sorted(["club", *names]))


@pytest.mark.parametrize("text", ["", "abc", b64encode(bytes(31)).decode(), b64encode(bytes(33)).decode(), "é" * 44])
def test_root_key_must_be_32_bytes(text: str) -> None:
    with pytest.raises(KeyMissing, match="32 bytes"):
        parse_root(text)


def test_root_key_with_a_line_end(tmp_path: Path) -> None:
    root = os.urandom(32)
    file = tmp_path / "root.key"
    file.write_text(b64encode(root).decode() + "\n")
    file.chmod(0o600)
    assert read_root(file) == root
