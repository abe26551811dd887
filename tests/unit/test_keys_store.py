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

from assent.errors import AlreadyInitialised, KeyMissing, StoreUnsafe
from assent.gallery.keys import Keystore, TenantKeys, create, open_keystore, parse_root, pid, read_root


@pytest.fixture
def database() -> UUID:
    return uuid4()


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def store(keys_dir: Path, database: UUID) -> Keystore:
    made = create(keys_dir, database)
    made.add_tenant("club")
    return made


def secrets_of(keys: TenantKeys) -> tuple[bytes, ...]:
    public = keys.log_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return (keys.seal_key, keys.pseudonym_key, keys.epoch_key, public)


def test_the_same_keys_come_back(store: Keystore, keys_dir: Path, database: UUID) -> None:
    again = open_keystore(keys_dir, database).tenant("club")
    assert secrets_of(again) == secrets_of(store.tenant("club"))
    assert len(set(secrets_of(again))) == 4
    assert again.epoch == 1


def test_tenants_share_no_key(store: Keystore) -> None:
    other = store.add_tenant("other")
    assert not set(secrets_of(other)) & set(secrets_of(store.tenant("club")))
    assert pid(other, "ana") != pid(store.tenant("club"), "ana")


def test_pid_is_stable_and_keyed(store: Keystore, keys_dir: Path, database: UUID) -> None:
    again = open_keystore(keys_dir, database).tenant("club")
    assert pid(again, "ana") == pid(store.tenant("club"), "ana")
    assert pid(again, "ana") != pid(again, "ana ")
    assert len(pid(again, "")) == 32


def test_files_are_private_and_hold_no_key_in_clear(store: Keystore, keys_dir: Path) -> None:
    for name in ("root.key", "keystore.json"):
        assert stat.S_IMODE((keys_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(keys_dir.stat().st_mode) == 0o700
    text = (keys_dir / "keystore.json").read_text()
    for secret in secrets_of(store.tenant("club"))[:3]:
        assert b64encode(secret).decode() not in text


def test_no_key_in_a_repr(store: Keystore) -> None:
    keys = store.tenant("club")
    assert repr(keys) == "TenantKeys(tenant='club', epoch=1)"
    assert repr(store) == f"Keystore(keys_dir={store.keys_dir!r}, database={store.database!r})"


def test_a_given_root_key_leaves_no_file(keys_dir: Path, database: UUID) -> None:
    root = os.urandom(32)
    create(keys_dir, database, root).add_tenant("club")
    assert not (keys_dir / "root.key").exists()
    assert open_keystore(keys_dir, database, root).tenants() == ("club",)


def test_create_never_replaces(store: Keystore, keys_dir: Path, database: UUID) -> None:
    before = (keys_dir / "keystore.json").read_bytes()
    with pytest.raises(AlreadyInitialised):
        create(keys_dir, database)
    with pytest.raises(AlreadyInitialised, match="club"):
        store.add_tenant("club")
    assert (keys_dir / "keystore.json").read_bytes() == before


def test_missing_root_key(store: Keystore, keys_dir: Path, database: UUID) -> None:
    (keys_dir / "root.key").unlink()
    with pytest.raises(KeyMissing, match="root key is missing"):
        open_keystore(keys_dir, database)


def test_missing_keystore(store: Keystore, keys_dir: Path, database: UUID) -> None:
    (keys_dir / "keystore.json").unlink()
    with pytest.raises(KeyMissing, match="keystore is missing"):
        open_keystore(keys_dir, database)
    with pytest.raises(KeyMissing, match="keystore is missing"):
        store.tenant("club")


def test_wrong_root_key(store: Keystore, keys_dir: Path, database: UUID) -> None:
    with pytest.raises(KeyMissing, match="root key is not the one"):
        open_keystore(keys_dir, database, os.urandom(32))


def test_other_database(store: Keystore, keys_dir: Path) -> None:
    with pytest.raises(KeyMissing, match="another database"):
        open_keystore(keys_dir, uuid4())


def test_a_database_id_written_over_does_not_help(store: Keystore, keys_dir: Path, database: UUID) -> None:
    file, other = keys_dir / "keystore.json", uuid4()
    file.write_text(file.read_text().replace(str(database), str(other)))
    with pytest.raises(KeyMissing):
        open_keystore(keys_dir, other)


@pytest.mark.parametrize("kept", [0, 1, 40, 200, -3])
def test_truncated_keystore(store: Keystore, keys_dir: Path, database: UUID, kept: int) -> None:
    file = keys_dir / "keystore.json"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(KeyMissing, match="truncated"):
        open_keystore(keys_dir, database)


@pytest.mark.parametrize("key", ["seal_key", "pseudonym_key", "log_key", "epoch_key"])
def test_keys_of_another_tenant_or_kind_do_not_open(store: Keystore, keys_dir: Path, database: UUID, key: str) -> None:
    store.add_tenant("other")
    file = keys_dir / "keystore.json"
    document = json.loads(file.read_text())
    document["tenants"]["club"][key] = document["tenants"]["other"][key]
    file.write_text(json.dumps(document))
    with pytest.raises(KeyMissing, match="entry of tenant club"):
        open_keystore(keys_dir, database)


def test_an_epoch_number_written_over_does_not_open(store: Keystore, keys_dir: Path, database: UUID) -> None:
    file = keys_dir / "keystore.json"
    document = json.loads(file.read_text())
    document["tenants"]["club"]["epoch"] = 2
    file.write_text(json.dumps(document))
    with pytest.raises(KeyMissing, match="entry of tenant club"):
        open_keystore(keys_dir, database)


def test_files_that_others_can_read_are_refused(store: Keystore, keys_dir: Path, database: UUID) -> None:
    (keys_dir / "root.key").chmod(0o604)
    with pytest.raises(StoreUnsafe, match="chmod 600"):
        open_keystore(keys_dir, database)


def test_unknown_tenant(store: Keystore) -> None:
    with pytest.raises(KeyMissing, match="no keys of tenant nobody"):
        store.tenant("nobody")


def test_another_process_tenants_are_seen(store: Keystore, keys_dir: Path, database: UUID) -> None:
    assert store.tenants() == ("club",)
    added = open_keystore(keys_dir, database).add_tenant("later")
    assert secrets_of(store.tenant("later")) == secrets_of(added)


def test_writers_at_once_lose_nothing(store: Keystore, keys_dir: Path, database: UUID) -> None:
    names = [f"tenant-{n}" for n in range(12)]
    threads = [threading.Thread(target=open_keystore(keys_dir, database).add_tenant, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.tenants() == tuple(sorted(["club", *names]))


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
