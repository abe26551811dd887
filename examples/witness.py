"""What a platform needs to be a witness of Assent's audit log: a signed checkpoint and an inclusion proof, checked
with nothing of Assent's own code."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"  # the signature type's byte in C2SP signed-note keys


class ProofRefused(Exception):
    """The checkpoint or the proof does not hold; the message says where."""


class Checkpoint(NamedTuple):
    """The log as it stood: how many leaves, and the hash (32 bytes) over all of them."""

    origin: str
    size: int
    root: bytes


def open_checkpoint(note: str, verifier_key: str) -> Checkpoint:
    """The checkpoint in a signed note (C2SP tlog-checkpoint), after its Ed25519 signature verified.

    `verifier_key` is `name+hash+base64`, as `assent init` printed it. Raises ProofRefused.
    """
    try:
        return _open(note, *_read_key(verifier_key))
    except ValueError:
        raise ProofRefused("the checkpoint or the verifier key is not written as it should be") from None


def check_inclusion(leaf: bytes, index: int, path: Sequence[bytes], checkpoint: Checkpoint) -> None:
    """Recomputes the root from one leaf and its neighbours' hashes (RFC 9162, 2.1.3.2). Raises ProofRefused."""
    if not 0 <= index < checkpoint.size:
        raise ProofRefused(f"leaf {index} is not among the {checkpoint.size} of the checkpoint")
    node, last = index, checkpoint.size - 1
    found = hashlib.sha256(b"\x00" + leaf).digest()
    for neighbour in path:
        if last == 0:
            raise ProofRefused("the proof is longer than the tree is deep")
        if node & 1 or node == last:
            found = hashlib.sha256(b"\x01" + neighbour + found).digest()
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + neighbour).digest()
        node, last = node >> 1, last >> 1
    if last or found != checkpoint.root:
        raise ProofRefused("the proof does not lead to the checkpoint's root")


def _read_key(verifier_key: str) -> tuple[str, bytes, bytes]:
    """Name, key id (4 bytes) and Ed25519 public key (32 bytes) of a C2SP verifier key. Raises ProofRefused."""
    name, _, rest = verifier_key.partition("+")
    hexadecimal, _, encoded = rest.partition("+")
    blob = b64decode(encoded)
    key_id = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:4]
    if blob[:1] != ED25519 or len(blob) != 33 or key_id.hex() != hexadecimal:
        raise ProofRefused("the verifier key is not an Ed25519 key of that name")
    return name, key_id, blob[1:]


def _open(note: str, name: str, key_id: bytes, key: bytes) -> Checkpoint:
    text, _, signatures = note.rpartition("\n\n")
    for line in signatures.splitlines():
        marker, signer, encoded = line.split(" ")
        signature = b64decode(encoded, validate=True)
        if (marker, signer, signature[:4]) == ("\u2014", name, key_id):
            _verify(key, signature[4:], f"{text}\n".encode())
            origin, size, root = text.split("\n")[:3]
            if origin != name:
                raise ProofRefused(f"the checkpoint is of {origin}, not of {name}")
            return Checkpoint(origin, int(size), b64decode(root, validate=True))
    raise ProofRefused(f"the checkpoint carries no signature by {name}")


def _verify(key: bytes, signature: bytes, signed: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        raise ProofRefused("the checkpoint's signature is wrong") from None
