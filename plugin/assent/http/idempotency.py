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
from assent.keys.seal import seal, unseal

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
    named, asked = _mac(keys, "key", key.encode()), _mac(keys, "request", request)
    place = {"tenant": keys.tenant, "key": named}
    execute(conn, _Q["one_at_a_time"], **place)
    before = fetch_one(conn, _Q["answered"], **place)
    if before is None:
        answer = act()
        sealed = seal(keys.seal_key, json.dumps(answer).encode(), "idempotency", keys.tenant, named)
        execute(conn, _Q["remember"], **place, request=asked, sealed=sealed)
        return answer
    if not hmac.compare_digest(before["request_mac"], asked):
        raise IdempotencyConflict
    known: dict[str, Any] = json.loads(unseal(keys.seal_key, before["sealed"], "idempotency", keys.tenant, named))
    return known


def _mac(keys: TenantKeys, kind: str, said: bytes) -> bytes:
    # Keyed, so that the row confirms no guess about what was sent.
    return hmac.digest(keys.seal_key, f"assent.idempotency/{kind}\0".encode() + said, "sha256")
