"""Seals and opens values with AES-256-GCM: subject keys, templates, locators, matches.

A sealed value is `nonce (12 bytes) | ciphertext | tag (16 bytes)` (NIST SP 800-38D). Its additional data names what it
is and where it belongs, so that a row moved to another subject, table or tenant does not open. Nonces are random: one
key may seal 2^32 values before a repeat becomes likelier than 2^-32, far more than one subject has rows; a tenant's
values are sealed under keys of months (`tenant_seal`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assent.core.errors import SealBroken

SEAL_FORMAT = b"assent.seal/1"
NONCE, TAG = 12, 16
_length = struct.Struct(">I").pack


def join_parts(parts: Iterable[str | bytes]) -> bytes:
    """Joins the parts, each behind its length (4 bytes), so that no two lists of parts read the same."""
    pieces: list[bytes] = []
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        pieces += _length(len(raw)), raw
    return b"".join(pieces)


def seal(key: bytes, plain: bytes, *aad: str | bytes) -> bytes:
    """Seals a value under a 32-byte key; `aad` names kind and place, and must be given again to open it."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, join_parts((SEAL_FORMAT, *aad)))


def unseal(key: bytes, sealed: bytes, *aad: str | bytes) -> bytes:
    """Opens a value that `seal` made. Raises SealBroken for another key, another place or altered bytes."""
    if len(sealed) < NONCE + TAG:
        raise SealBroken("a sealed value is too short to be one")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], join_parts((SEAL_FORMAT, *aad)))
    except InvalidTag as error:
        raise SealBroken from error
