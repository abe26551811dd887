"""Signs and verifies checkpoints (C2SP tlog-checkpoint, signed-note, Ed25519), and proves from the stored tree.

The log's origin, which is also the name of its key, is `assent/<tenant>`. After a restore that lost signed leaves a
checkpoint has the extension line `epoch <number>` (`audit/epoch.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from assent.audit import log, tree
from assent.audit.epoch import stored_epoch
from assent.core.audit_errors import LogSetBack
from assent.core.encoding import decode_base64, encode_base64
from assent.core.errors import AuditBroken, KeyMissing, NotFound, ProofUnreadable
from assent.db.pool import Conn, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.signed_head import read_signed_head, replace_signed_head

_Q = named_queries("audit")
_ED25519 = b"\x01"  # the signature type of signed-note
_KEY_BYTES, _ID_BYTES, _HASH_BYTES = 32, 4, 32
_MAX_NOTE = 16_384  # characters: room for far more than the 16 signatures that signed-note asks for
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_EPOCH = re.compile(r"epoch ([2-9]|[1-9][0-9]{1,8})", re.ASCII)
_LINE = re.compile(r"— ([^\s+]+) (\S+)")


class Checkpoint(NamedTuple):
    """One checkpoint: whose log, how many leaves, their 32-byte root, the epoch of the log."""

    origin: str
    size: int
    root: bytes
    epoch: int = 1


class Verifier(NamedTuple):
    """A log's public key under its name."""

    name: str
    key: bytes  # 32 bytes

    @property
    def id(self) -> bytes:
        """Returns the first 4 bytes of SHA-256(name || 0x0A || 0x01 || key)."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """Returns the verifier key as text: `name+<hex of the id>+<base64 of 0x01 || key>`."""
        return f"{self.name}+{self.id.hex()}+{encode_base64(_ED25519 + self.key)}"


def verifier(keys: TenantKeys) -> Verifier:
    """Returns the public half of a tenant's log key."""
    return Verifier(f"assent/{keys.tenant}", keys.log_key.public_key().public_bytes_raw())


def parse_verifier(text: str) -> Verifier:
    """Parses `name+hash+key`. Raises ProofUnreadable on other text, another algorithm or a hash that does not fit."""
    name, _, rest = text.strip().partition("+")
    stated, _, encoded = rest.partition("+")
    raw = decode_field(encoded, "the verifier key")
    if not name or re.search(r"\s", name) or raw[:1] != _ED25519 or len(raw) != 1 + _KEY_BYTES:
        raise ProofUnreadable("the verifier key is not name+hash+base64 of an Ed25519 key")
    key = Verifier(name, raw[1:])
    if stated != key.id.hex():
        raise ProofUnreadable("the verifier key's hash does not fit its name and key")
    return key


def sign_checkpoint(keys: TenantKeys, size: int, root: bytes, epoch: int = 1) -> str:
    """Signs the checkpoint of a tree of `size` leaves and returns it as a signed note.

    Never call this for an append that may still be rolled back: a signed tree has to stay. It remembers nothing, as
    `current_checkpoint` does.
    """
    key = verifier(keys)
    extension = f"epoch {epoch}\n" if epoch > 1 else ""
    text = f"{key.name}\n{size}\n{encode_base64(root)}\n{extension}"
    return f"{text}\n— {key.name} {encode_base64(key.id + keys.log_key.sign(text.encode()))}\n"


def verify_checkpoint(note: str, key: Verifier) -> Checkpoint:
    """Checks the note's signature by `key` and returns its checkpoint; other keys' signatures are passed over.

    Raises ProofUnreadable when the note is malformed, AuditBroken when it is not signed by this key, wrongly signed, or
    of another log.
    """
    text, lines = _split_note(note)
    signatures = [_signature(line) for line in lines]
    own = [raw[_ID_BYTES:] for name, raw in signatures if (name, raw[:_ID_BYTES]) == (key.name, key.id)]
    if not own:
        raise AuditBroken(f"the checkpoint is not signed by the key of {key.name}")
    for signature in own:
        try:
            Ed25519PublicKey.from_public_bytes(key.key).verify(signature, text.encode())
        except InvalidSignature as error:
            raise AuditBroken(f"the checkpoint's signature by {key.name} is false") from error
    checkpoint = _parse_text(text)
    if checkpoint.origin != key.name:
        raise AuditBroken(f"the checkpoint is of {checkpoint.origin!r}, not of {key.name}")
    return checkpoint


def current_checkpoint(conn: Conn, keys: TenantKeys) -> str:
    """Returns the signed checkpoint of the tenant's log now, once the keystore remembers it.

    What is remembered is read before the tree, which an honest database never shows behind it; where another signer
    replaced it meanwhile, both are read again. So any two checkpoints that were ever signed in an epoch are of one log.

    Not for a transaction that appended a leaf: after a rollback the log would not extend what was signed. Raises
    LogSetBack where it does not extend it now, HeadNotRemembered, KeyMissing.
    """
    while True:
        note = read_note(keys)
        old = open_note(keys, note) if note is not None else None
        head = log.head(conn, keys.tenant)
        size, root = head.size, tree.root(head.peaks)
        if note is not None and old is not None:
            if (old.size, old.root) == (size, root):
                return note
            check_extends(conn, keys.tenant, old, head)
        fresh = sign_checkpoint(keys, size, root, old.epoch if old else stored_epoch(conn, keys.tenant))
        if remember_note(keys, fresh, note):
            return fresh


def check_extends(conn: Conn, tenant: str, old: Checkpoint, head: log.TreeHead) -> None:
    """Proves from the stored nodes that the tree with that head extends the tree of an older checkpoint.

    Raises LogSetBack where it does not.
    """
    try:
        proof = _read(conn, tenant, tree.consistency_spans(old.size, head.size))
        tree.verify_consistency(old.size, old.root, head.size, tree.root(head.peaks), proof)
    except AuditBroken as error:
        raise LogSetBack(
            f"the log of tenant {tenant} has {head.size} leaves and does not extend the {old.size} that were signed"
        ) from error


def read_note(keys: TenantKeys) -> str | None:
    """Returns the checkpoint that was signed last, as the keystore remembers it; None where none was yet."""
    return read_signed_head(_keys_dir(keys), keys.tenant)


def open_note(keys: TenantKeys, note: str) -> Checkpoint:
    """Returns what a remembered checkpoint says. Raises KeyMissing where it is not one of this log."""
    try:
        return verify_checkpoint(note, verifier(keys))
    except (AuditBroken, ProofUnreadable) as error:
        raise KeyMissing(f"the last checkpoint of tenant {keys.tenant} in the keys folder is damaged") from error


def remember_note(keys: TenantKeys, note: str, before: str | None) -> bool:
    """Has the keystore remember a checkpoint, as `replace_signed_head` does."""
    return replace_signed_head(_keys_dir(keys), keys.tenant, note, before)


def _keys_dir(keys: TenantKeys) -> Path:
    if keys.store is None:
        raise KeyMissing("these keys were copied out of the keystore: nothing is signed with them")
    return keys.store.keys_dir


def prove_inclusion(conn: Conn, tenant: str, seq: int, size: int) -> dict[str, Any]:
    """Proves that leaf `seq` is in the tree of `size` leaves: `leaf`, `hashes` (base64), `index`, `size`.

    Raises NotFound unless 0 ≤ seq < size ≤ the log's size, AuditBroken when the leaf or a node is missing.
    """
    if not 0 <= seq < size <= log.head(conn, tenant).size:
        raise NotFound("the log has no such leaf, or never had that size")
    row = fetch_one(conn, _Q["read_leaf"], tenant=tenant, seq=seq)
    if row is None:
        raise AuditBroken(f"leaf {seq} is missing")
    hashes = _read(conn, tenant, tree.inclusion_spans(seq, size))
    return {"leaf": encode_base64(row["leaf"]), "index": seq, "size": size, "hashes": [*map(encode_base64, hashes)]}


def prove_consistency(conn: Conn, tenant: str, old: int, new: int) -> dict[str, Any]:
    """Proves that the log of `old` leaves is a prefix of that of `new`: `old`, `new`, `hashes` (base64).

    Raises NotFound unless 0 ≤ old ≤ new ≤ the log's size, AuditBroken when a node is missing.
    """
    if not 0 <= old <= new <= log.head(conn, tenant).size:
        raise NotFound(f"the log never had {old} and then {new} leaves")
    hashes = _read(conn, tenant, tree.consistency_spans(old, new))
    return {"old": old, "new": new, "hashes": [*map(encode_base64, hashes)]}


def _read(conn: Conn, tenant: str, spans: Sequence[tree.Span]) -> list[bytes]:
    ids = tree.node_ids(spans)
    levels, ns = [level for level, _ in ids], [n for _, n in ids]
    rows = fetch(conn, _Q["list_nodes"], tenant=tenant, levels=levels, ns=ns)
    return tree.node_hashes(spans, {(row["level"], row["n"]): row["hash"] for row in rows if row["hash"] is not None})


def _split_note(note: str) -> tuple[str, list[str]]:
    """Splits a note into the signed text with its last newline, and the signature lines."""
    text, blank, signatures = note.rpartition("\n\n")
    printable = all(char >= " " or char == "\n" for char in note)
    if not blank or not printable or len(note) > _MAX_NOTE or not signatures.endswith("\n"):
        raise ProofUnreadable("this is no signed note")
    return text + "\n", signatures.removesuffix("\n").split("\n")


def _signature(line: str) -> tuple[str, bytes]:
    """Parses a signature line into the key's name, and key id and signature together."""
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ProofUnreadable("a signature line of the checkpoint is malformed")
    return parts[1], decode_field(parts[2], "a signature")


def _parse_text(text: str) -> Checkpoint:
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):  # lines after the third are extensions
        raise ProofUnreadable("the note is no checkpoint: origin, size and root are expected")
    root = decode_field(lines[2], "the root")
    if len(root) != _HASH_BYTES:
        raise ProofUnreadable("the root is not 32 bytes")
    epochs = [int(epoch[1]) for line in lines[3:] if (epoch := _EPOCH.fullmatch(line))]
    if len(epochs) > 1:
        raise ProofUnreadable("the checkpoint is of two epochs")
    return Checkpoint(lines[0], int(lines[1]), root, *epochs)


def decode_field(text: str, what: str) -> bytes:
    """Decodes a base64 field of a checkpoint, receipt or export. Raises ProofUnreadable, naming it by `what`."""
    try:
        return decode_base64(text)
    except ValueError as error:
        raise ProofUnreadable(f"{what} is no base64") from error
