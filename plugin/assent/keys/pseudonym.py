"""Derives pseudonyms: a subject's id inside, in place of the platform's own id."""

from __future__ import annotations

import hashlib
import hmac

from assent.keys.keystore import TenantKeys


def derive_pseudonym(keys: TenantKeys, ref: str) -> bytes:
    """Returns the pseudonym of the platform's own id `ref`: HMAC-SHA256 (RFC 2104), 32 bytes."""
    return hmac.digest(keys.pseudonym_key, ref.encode(), hashlib.sha256)
