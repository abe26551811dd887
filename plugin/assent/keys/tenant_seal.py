"""Seals and opens what belongs to a tenant and to no subject, under a key for each kind of value and month.

A sealed value is `MARKER | YYYY-MM | nonce | ciphertext | tag`; its key is HKDF-SHA256 of the tenant's seal key over
format, tenant, kind and month, and the month is additional data too. So the 2^32 values that one key may seal under
random nonces (NIST SP 800-38D, section 8.3) bound a tenant's values of one kind in a month, 1,600 a second, and not
all that it ever seals. Values of before lack the marker and open under the seal key itself.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from assent.core.errors import SealBroken
from assent.keys.keystore import TenantKeys
from assent.keys.seal import join_parts, seal, unseal

Kind = Literal["audit", "enrolment", "event", "head", "idempotency", "kept", "retraction", "secret", "staff", "upload"]
KEY_FORMAT = "assent.tenant-key/1"
MARKER = b"monthly:"
_MONTH_BYTES = 7
_HEADER = re.compile(MARKER + rb"[0-9]{4}-(?:0[1-9]|1[0-2])")


def seal_for_tenant(keys: TenantKeys, kind: Kind, plain: bytes, *place: str | bytes) -> bytes:
    """Seals a value under this month's key of its kind; `place` must be given again to open it."""
    month = f"{datetime.now(UTC):%Y-%m}"
    return MARKER + month.encode() + seal(_key(keys.seal_key, keys.tenant, kind, month), plain, kind, *place, month)


def unseal_for_tenant(keys: TenantKeys, kind: Kind, sealed: bytes, *place: str | bytes) -> bytes:
    """Opens a value that `seal_for_tenant` made, in whatever month, or that was sealed before there were keys of
    months. Raises SealBroken for another kind, tenant or place, and for altered bytes."""
    if _HEADER.match(sealed):
        header = len(MARKER) + _MONTH_BYTES
        month = sealed[len(MARKER) : header].decode()
        try:
            return unseal(_key(keys.seal_key, keys.tenant, kind, month), sealed[header:], kind, *place, month)
        except SealBroken:
            pass  # the random nonce of a value of before may begin like this
    return unseal(keys.seal_key, sealed, kind, *place)


@lru_cache(maxsize=512)
def _key(seal_key: bytes, tenant: str, kind: str, month: str) -> bytes:
    info = join_parts((KEY_FORMAT, tenant, kind, month))
    return HKDF(hashes.SHA256(), 32, None, info).derive(seal_key)
