"""Performs a call that is sent twice only once.

The sender names the call with a key, and for 24 hours the same key gets the same answer.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

from assent.core.errors import IdempotencyConflict
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant

_Q = named_queries("idempotency")


def once(
    conn: Conn, keys: TenantKeys, key: str | None, request: bytes, act: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Returns the answer of `act`, or the earlier answer to this request under this key; without a key it calls `act`.

    `request` is everything that tells two requests apart: method, path and body. Of two simultaneous calls one waits
    for the other. A failure is not stored. Raises IdempotencyConflict for another request under the same key.
    """
    if key is None:
        return act()
    key_mac, request_mac = _mac(keys, "key", key.encode()), _mac(keys, "request", request)
    row_key = {"tenant": keys.tenant, "key": key_mac}
    execute(conn, _Q["lock_key"], **row_key)
    earlier = fetch_one(conn, _Q["select_recent_answer"], **row_key)
    if earlier is None:
        answer = act()
        sealed = seal_for_tenant(keys, "idempotency", json.dumps(answer).encode(), keys.tenant, key_mac)
        execute(conn, _Q["store_answer"], **row_key, request=request_mac, sealed=sealed)
        return answer
    if not hmac.compare_digest(earlier["request_mac"], request_mac):
        raise IdempotencyConflict
    stored: dict[str, Any] = json.loads(unseal_for_tenant(keys, "idempotency", earlier["sealed"], keys.tenant, key_mac))
    return stored


def _mac(keys: TenantKeys, kind: str, text: bytes) -> bytes:
    # Keyed, so that the row confirms no guess about what was sent.
    return hmac.digest(keys.seal_key, f"assent.idempotency/{kind}\0".encode() + text, "sha256")
