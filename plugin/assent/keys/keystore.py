"""Manages the keystore: every key that opens the database, kept outside of it and of its backups.

`<keys_dir>/root.key` holds the root key (base64 of 32 bytes), unless settings give it; `<keys_dir>/keystore.json`
holds the other keys, each sealed under the root key with its database, tenant, kind and number as additional data.
Both are 0600. All processes of an installation share the folder; a change by one is seen by the others.

An epoch key that is ended is in neither file any more. On flash storage the blocks that held it may outlive it, sealed
under the root key; overwriting them from here would not reach them, so nothing tries to.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assent.core.encoding import decode_base64, encode_base64
from assent.core.errors import AlreadyInitialised, KeyMissing, SealBroken
from assent.core.files import read_private, rename_durably, write_private
from assent.keys.ended import append_ended, ended_file, read_ended
from assent.keys.root import parse_root, read_root
from assent.keys.seal import seal, unseal

KEYSTORE_FORMAT = "assent.keystore/1"
ROOT_FILE, STORE_FILE, LOCK_FILE = "root.key", "keystore.json", "keystore.lock"
NEXT_ROOT_FILE = "root.key.next"  # a root key on its way in; whoever finds the keystore sealed under it moves it


@dataclass(frozen=True, slots=True, eq=False)
class TenantKeys:
    """One tenant's opened keys, as they were at one time. None of them is ever in a repr.

    Rows are sealed under the live epoch and opened under it or, while a rotation runs, a retiring one.
    """

    tenant: str
    seal_key: bytes = field(repr=False)  # events, secrets, audit payloads that belong to no subject
    pseudonym_key: bytes = field(repr=False)  # never rotates: pseudonyms are made with it
    log_key: Ed25519PrivateKey = field(repr=False)  # signs the audit log's checkpoints
    epoch: int  # the live epoch's number, from 1
    epoch_key: bytes = field(repr=False)  # wraps the subjects' data keys
    retiring: Mapping[int, bytes] = field(default_factory=dict, repr=False)  # epochs that a rotation is leaving
    store: Keystore | None = field(default=None, repr=False)
    authority_sealed: bool = False  # rows of before `keys.authority` have their MACs; one without has no power

    def now(self) -> TenantKeys:
        """Returns the tenant's keys as the keystore has them now. A transaction that wraps under an epoch takes the
        keys from here, inside itself: a rotation waits for transactions that began before it, and for no others.

        Raises KeyMissing as `Keystore.tenant` does.
        """
        return self.store.tenant(self.tenant) if self.store is not None else self

    def ended(self) -> frozenset[bytes]:
        """Returns the tenant's rows that are remembered as ended (`keys.ended`)."""
        return self.store.ended(self.tenant) if self.store is not None else frozenset()

    def key_of(self, epoch: int) -> bytes:
        """Returns the key of the live or a retiring epoch. Raises SealBroken for one that is destroyed or unknown."""
        keys = self.now()
        if epoch == keys.epoch:
            return keys.epoch_key
        if epoch in keys.retiring:
            return keys.retiring[epoch]
        raise SealBroken(f"sealed in epoch {epoch}; the live one is {keys.epoch}, and the keys of others are destroyed")

    def is_destroyed(self, epoch: int) -> bool:
        """Tells whether the key of an epoch is gone, so that its rows open to nobody though none was altered."""
        keys = self.now()
        return 1 <= epoch < keys.epoch and epoch not in keys.retiring


@contextmanager
def _locked(keys_dir: Path) -> Iterator[None]:
    """Locks the folder against the other processes that write in it."""
    descriptor = os.open(keys_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass(slots=True, eq=False)
class Keystore:
    """The open keystore. Safe to share between threads; `tenant` rereads the file when another process changed it."""

    keys_dir: Path
    database: UUID
    root: bytes = field(repr=False)
    own_root: bool = field(default=False, repr=False)  # the root key is the folder's file, read again when it changes
    _reading: Lock = field(default_factory=Lock, init=False, repr=False)
    # The file's stamp and what it held, replaced in one assignment, since threads share the store.
    _cached: tuple[tuple[int, ...], dict[str, TenantKeys]] = field(default=((), {}), init=False, repr=False)
    _ended: dict[str, tuple[int, frozenset[bytes]]] = field(default_factory=dict, init=False, repr=False)

    def tenant(self, name: str) -> TenantKeys:
        """Returns the keys of a tenant. Raises KeyMissing when the keystore is gone, broken or does not hold it."""
        keys = self._current().get(name)
        if keys is None:
            raise KeyMissing(f"the keystore holds no keys of tenant {name}")
        return keys

    def ended(self, name: str) -> frozenset[bytes]:
        """Returns a tenant's rows that are remembered as ended, as another process may have changed them just now."""
        file = ended_file(self.keys_dir, name)
        size = file.stat().st_size if file.exists() else 0  # it only grows
        known_size, digests = self._ended.get(name, (0, frozenset()))
        if size != known_size:
            digests = read_ended(file)
            self._ended[name] = (size, digests)
        return digests

    def end(self, name: str, digests: Collection[bytes]) -> None:
        """Remembers rows of a tenant as ended, before the commit that ends them."""
        append_ended(self.keys_dir, name, digests)

    def tenants(self) -> tuple[str, ...]:
        """Returns the names of all tenants, sorted."""
        return tuple(sorted(self._current()))

    def add_tenant(self, name: str) -> TenantKeys:
        """Makes a tenant's keys, in epoch 1. Raises AlreadyInitialised when it has some."""
        with self._writing() as entries:
            if name in entries:
                raise AlreadyInitialised(f"tenant {name} has keys already")
            seal_key, pseudonym_key, epoch_key = (os.urandom(32) for _ in range(3))
            keys = TenantKeys(name, seal_key, pseudonym_key, Ed25519PrivateKey.generate(), 1, epoch_key)
            entries[name] = self._entry(replace(keys, authority_sealed=True))
        return self.tenant(name)

    def begin_epoch(self, name: str) -> TenantKeys:
        """Makes the next epoch live and the one before retiring; it is on disk before anything is sealed under it.

        Call it under the tenant's rotation lock (`rotation_lock`). Raises KeyMissing.
        """
        with self._writing() as entries:
            keys = self._open(name, entries.get(name, {}))
            retiring = {**keys.retiring, keys.epoch: keys.epoch_key}
            fresh = replace(keys, epoch=keys.epoch + 1, epoch_key=os.urandom(32), retiring=retiring)
            entries[name] = self._entry(fresh)
        return self.tenant(name)

    def end_epochs(self, name: str, epochs: Collection[int]) -> TenantKeys:
        """Destroys the keys of these retiring epochs: what is still sealed under them never opens again."""
        with self._writing() as entries:
            keys = self._open(name, entries.get(name, {}))
            retiring = {epoch: key for epoch, key in keys.retiring.items() if epoch not in epochs}
            entries[name] = self._entry(replace(keys, retiring=retiring))
        return self.tenant(name)

    def note_authority_sealed(self, name: str) -> TenantKeys:
        """Remembers that the tenant's rows have their MACs: from now on one without has no power."""
        with self._writing() as entries:
            entries[name] = self._entry(replace(self._open(name, entries.get(name, {})), authority_sealed=True))
        return self.tenant(name)

    def import_keys(self, keys: TenantKeys) -> TenantKeys:
        """Replaces the tenant's keys in the keystore by these."""
        with self._writing() as entries:
            entries[keys.tenant] = self._entry(keys)
        return self.tenant(keys.tenant)

    def rotate_root(self, fresh: bytes) -> None:
        """Seals all keys under another root key (32 bytes). Where the root key is the folder's own file the file is
        replaced too, and running processes go on; otherwise they need the new one and another start.

        Cut short at any point, it leaves the keystore under the old root key or the new one, and that key is in the
        folder.
        """
        with _locked(self.keys_dir):
            entries = self._read()
            other = Keystore(self.keys_dir, self.database, fresh)
            moved = {name: other._entry(self._open(name, entry)) for name, entry in entries.items()}
            if self.own_root:
                write_private(self.keys_dir / NEXT_ROOT_FILE, encode_base64(fresh) + "\n")
            other._write(moved)
            self.root = fresh
            if self.own_root:
                self._settle_root()

    def sealed_entry(self, name: str) -> dict[str, Any]:
        """Seals a tenant's keys, without retiring ones, under the root key for an export. Raises KeyMissing."""
        return self._entry(replace(self.tenant(name), retiring={}))

    def open_entry(self, name: str, entry: dict[str, Any]) -> TenantKeys:
        """Opens an entry of `sealed_entry`. Raises KeyMissing when it is not of this database or root key."""
        return self._open(name, entry)

    def _current(self) -> dict[str, TenantKeys]:
        stamp = self._stamp()
        cached_stamp, tenants = self._cached
        if stamp != cached_stamp:
            tenants = {name: self._open(name, entry) for name, entry in self._read().items()}
            self._cached = (stamp, tenants)
        return tenants

    def _stamp(self) -> tuple[int, ...]:
        """Returns what changes whenever the file is replaced."""
        try:
            status = (self.keys_dir / STORE_FILE).stat()
        except OSError as error:
            raise KeyMissing(f"the keystore is missing: {self.keys_dir / STORE_FILE}") from error
        return (status.st_ino, status.st_mtime_ns, status.st_size)

    def _read(self) -> dict[str, Any]:
        """Reads the tenants' entries by name."""
        file = self.keys_dir / STORE_FILE
        with self._reading:  # else one thread could hold an old file against a new root key
            try:
                document: dict[str, Any] = json.loads(read_private(file, "the keystore"))
                marker, database, check = document["format"], document["database"], decode_base64(document["check"])
                entries: dict[str, Any] = dict(document["tenants"].items())
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise KeyMissing(f"the keystore is truncated or no keystore: {file}") from error
            if marker != KEYSTORE_FORMAT:
                raise KeyMissing(f"the keystore is not of format {KEYSTORE_FORMAT}: {file}")
            if database != str(self.database):
                raise KeyMissing(f"the keystore belongs to another database: {file}")
            if not any(self._is_root(root, check) for root in self._roots()):
                raise KeyMissing(f"the root key is not the one that sealed {file}")
        return entries

    def _roots(self) -> Iterator[bytes]:
        yield self.root
        for name in (ROOT_FILE, NEXT_ROOT_FILE) if self.own_root else ():
            if (self.keys_dir / name).exists():
                yield read_root(self.keys_dir / name)

    def _is_root(self, root: bytes, check: bytes) -> bool:
        try:
            unseal(root, check, KEYSTORE_FORMAT, str(self.database), "", "check", "0")
        except SealBroken:
            return False
        if root != self.root:
            self.root = root
            self._settle_root()
        return True

    def _settle_root(self) -> None:
        """Renames the next root key's file to that of the current one, once it proved to be the key in use."""
        coming = self.keys_dir / NEXT_ROOT_FILE
        with suppress(FileNotFoundError):  # another process was faster
            if parse_root(coming.read_text()) == self.root:
                rename_durably(coming, self.keys_dir / ROOT_FILE)

    @contextmanager
    def _writing(self) -> Iterator[dict[str, Any]]:
        """Yields the tenants' entries and writes them back at the end; no other process changes them meanwhile."""
        with _locked(self.keys_dir):
            entries = self._read()
            yield entries
            self._write(entries)

    def _write(self, entries: dict[str, Any]) -> None:
        check = self._wrap(b"", "", "check", 0)
        document = {"format": KEYSTORE_FORMAT, "database": str(self.database), "check": check, "tenants": entries}
        write_private(self.keys_dir / STORE_FILE, json.dumps(document, indent=1))

    def _wrap(self, key: bytes, tenant: str, kind: str, number: int = 0) -> str:
        sealed = seal(self.root, key, KEYSTORE_FORMAT, str(self.database), tenant, kind, str(number))
        return encode_base64(sealed)

    def _entry(self, keys: TenantKeys) -> dict[str, Any]:
        return {
            "epoch": keys.epoch,
            "seal_key": self._wrap(keys.seal_key, keys.tenant, "seal"),
            "pseudonym_key": self._wrap(keys.pseudonym_key, keys.tenant, "pseudonym"),
            "log_key": self._wrap(keys.log_key.private_bytes_raw(), keys.tenant, "log"),
            "epoch_key": self._wrap(keys.epoch_key, keys.tenant, "epoch", keys.epoch),
            "authority_sealed": keys.authority_sealed,
            "retiring": {str(n): self._wrap(key, keys.tenant, "epoch", n) for n, key in keys.retiring.items()},
        }

    def _open(self, tenant: str, entry: dict[str, Any]) -> TenantKeys:
        def key(text: str, kind: str, number: int = 0) -> bytes:
            sealed = decode_base64(text)
            return unseal(self.root, sealed, KEYSTORE_FORMAT, str(self.database), tenant, kind, str(number))

        try:
            epoch = int(entry["epoch"])
            return TenantKeys(
                tenant,
                key(entry["seal_key"], "seal"),
                key(entry["pseudonym_key"], "pseudonym"),
                Ed25519PrivateKey.from_private_bytes(key(entry["log_key"], "log")),
                epoch,
                key(entry["epoch_key"], "epoch", epoch),
                {int(n): key(text, "epoch", int(n)) for n, text in entry.get("retiring", {}).items()},
                self,
                bool(entry.get("authority_sealed", False)),
            )
        except (SealBroken, ValueError, KeyError, TypeError, AttributeError) as error:
            raise KeyMissing(f"the keystore's entry of tenant {tenant} is damaged") from error


def create_keystore(keys_dir: Path, database: UUID, root: bytes | None = None) -> Keystore:
    """Makes an empty keystore for the database with that id (table `instance`).

    Without `root` the root key comes from `root.key`, which is made when it is not there.
    Raises AlreadyInitialised when the folder has a keystore.
    """
    keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(keys_dir):
        if (keys_dir / STORE_FILE).exists():
            raise AlreadyInitialised(f"{keys_dir / STORE_FILE} exists; it belongs to an initialised database")
        if root is None and not (keys_dir / ROOT_FILE).exists():
            write_private(keys_dir / ROOT_FILE, encode_base64(os.urandom(32)) + "\n")
        store = _load_keystore(keys_dir, database, root)
        store._write({})
    return store


def open_keystore(keys_dir: Path, database: UUID, root: bytes | None = None) -> Keystore:
    """Opens the keystore of that database with the given root key, or with `root.key`.

    Raises KeyMissing when it is absent, damaged, of another database or under another root key, saying which.
    """
    store = _load_keystore(keys_dir, database, root)
    store.tenants()
    return store


def _load_keystore(keys_dir: Path, database: UUID, root: bytes | None) -> Keystore:
    if root is not None:
        return Keystore(keys_dir, database, root)
    return Keystore(keys_dir, database, read_root(keys_dir / ROOT_FILE), own_root=True)
