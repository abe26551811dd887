"""Signs and verifies the receipt of an erasure: signed with the log's key, and checked by anybody offline.

The signature (Ed25519) is over the RFC 8785 form of the receipt without its field `signature`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from assent.audit import checkpoint, log, tree
from assent.audit.checkpoint import Checkpoint, Verifier
from assent.core.clock import parse_rfc3339
from assent.core.encoding import encode_base64
from assent.core.errors import AuditBroken, ProofUnreadable, SealBroken
from assent.core.strict import NotStrict, load_strict
from assent.keys.keystore import TenantKeys

RECEIPT_SCHEMA = "assent.receipt/1"
ACTION = "subject.erased"
MAX_RECEIPT_BYTES = 1 << 20


class LeafProof(BaseModel):
    """The erasure's leaf in the log: its bytes, salt and payload of its only part, and the way to the root (base64)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    index: int
    bytes: str
    opening: str
    proof: list[str]


class ReceiptModel(BaseModel):
    """The fields of a receipt."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_: str
    tenant: str
    erasure: str
    requested_at: str
    completed_at: str
    destroyed_epochs: list[int]
    leaf: LeafProof
    checkpoint: str
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """One receipt that verified. `pinned`: its key is the one that the reader knew before."""

    tenant: str
    erasure: str
    requested_at: str
    completed_at: str
    destroyed_epochs: tuple[int, ...]
    index: int
    head: Checkpoint
    key: Verifier
    pinned: bool


def sign_receipt(keys: TenantKeys, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the receipt with its schema, verifier key and signature; `fields` are `ReceiptModel`'s other ones."""
    unsigned = {"schema": RECEIPT_SCHEMA, **fields, "key": str(checkpoint.verifier(keys))}
    return {**unsigned, "signature": encode_base64(keys.log_key.sign(rfc8785.dumps(unsigned)))}


def verify_receipt(data: bytes, key: Verifier | None = None) -> VerifiedReceipt:
    """Checks a receipt without any database; `key` is the log's verifier key as the reader knows it from elsewhere.

    Raises ProofUnreadable where the file is no receipt, AuditBroken with the first thing in it that does not hold.
    """
    document, receipt = _read(data)
    own = checkpoint.parse_verifier(receipt.key)
    if str(own) != receipt.key or own.name != f"assent/{receipt.tenant}":  # 1 whose key
        raise AuditBroken(f"the receipt's key is not the key of assent/{receipt.tenant}")
    if key is not None and key != own:
        raise AuditBroken("the receipt is signed by another key than the one that was given")
    _check_signature(document, own)  # 2 signature
    head = checkpoint.verify_checkpoint(receipt.checkpoint, own)  # 3 checkpoint
    leaf = _decode(receipt.leaf.bytes, "the leaf")
    proof = [_decode(part, "the proof") for part in receipt.leaf.proof]
    tree.verify_inclusion(tree.leaf_hash(leaf), receipt.leaf.index, head.size, proof, head.root)  # 4 the leaf is in it
    _check_leaf(leaf, receipt)  # 5 the leaf is of this erasure
    _check_statement(receipt)  # 6 what is stated makes sense
    return VerifiedReceipt(
        receipt.tenant,
        receipt.erasure,
        receipt.requested_at,
        receipt.completed_at,
        tuple(receipt.destroyed_epochs),
        receipt.leaf.index,
        head,
        own,
        key is not None,
    )


def _read(data: bytes) -> tuple[dict[str, Any], ReceiptModel]:
    if len(data) > MAX_RECEIPT_BYTES:
        raise ProofUnreadable("the file is too large to be a receipt")
    try:
        document: dict[str, Any] = load_strict(data)
        renamed = {"schema_" if name == "schema" else name: value for name, value in document.items()}
        receipt = ReceiptModel.model_validate(renamed)
    except NotStrict as error:
        raise ProofUnreadable(str(error)) from error
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        raise ProofUnreadable("the file is no receipt, or a field of it was taken away or altered") from error
    if receipt.schema_ != RECEIPT_SCHEMA:
        raise ProofUnreadable(f"the receipt is not of format {RECEIPT_SCHEMA}")
    return document, receipt


def _check_signature(document: Mapping[str, Any], key: Verifier) -> None:
    signed = {name: value for name, value in document.items() if name != "signature"}
    signature = _decode(document["signature"], "the signature")
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, rfc8785.dumps(signed))
    except (InvalidSignature, rfc8785.CanonicalizationError, UnicodeError) as error:
        raise AuditBroken("the signature does not fit: the receipt was altered, or it is another key's") from error


def _check_leaf(leaf: bytes, receipt: ReceiptModel) -> None:
    try:
        fields = json.loads(leaf)
        action, requested_at = fields["action"], fields["at"]
        commitments = [bytes.fromhex(commitment) for commitment in fields["commitments"]]
        payload = json.loads(
            log.check_opening(_decode(receipt.leaf.opening, "the opening"), receipt.leaf.index, 0, commitments[0])
        )
        erasure = payload["erasure"]
    except (ValueError, KeyError, TypeError, IndexError, SealBroken) as error:
        raise AuditBroken("the leaf is not one of an erasure") from error
    if (action, requested_at, erasure) != (ACTION, receipt.requested_at, receipt.erasure):
        raise AuditBroken("the leaf is of another action than the receipt")


def _check_statement(receipt: ReceiptModel) -> None:
    try:
        backwards = parse_rfc3339(receipt.completed_at) < parse_rfc3339(receipt.requested_at)
    except (ValueError, TypeError) as error:
        raise ProofUnreadable("the receipt's times are no times") from error
    if backwards or not receipt.destroyed_epochs or min(receipt.destroyed_epochs) < 1:
        raise AuditBroken("the receipt states no destroyed epoch, or an end before the beginning")


def _decode(text: str, what: str) -> bytes:
    data = checkpoint.decode_field(text, what)
    if encode_base64(data) != text:  # the last letter of base64 has spare bits: one spelling only
        raise ProofUnreadable(f"{what} is no canonical base64")
    return data
