"""Keeps the console's sessions: rows that can be ended, of 12 hours at most, and of 30 minutes after the last request.

A row holds the token's hash; what it permits is sealed under a key of token and tenant.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from assent.core.clock import parse_rfc3339, rfc3339
from assent.core.console_errors import SignedOut, StepUpNeeded
from assent.core.errors import SealBroken
from assent.db.pool import Conn, Row, execute, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.keys.authority import authority_key, columns_of, is_authentic
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.seal import seal, unseal
from assent.staff.accounts import Staff, staff_of

LONGEST_SESSION, LONGEST_IDLE, STEP_UP_WITHIN = timedelta(hours=12), timedelta(minutes=30), timedelta(minutes=5)
TokenKind = Literal["set-up", "sign-in", "session"]
_Q = named_queries("staff")


@dataclass(frozen=True, slots=True)
class StaffSession:
    """An open session of the console. `signed_in_at`: when its owner last showed who they are."""

    staff: Staff
    signed_in_at: datetime
    now: datetime
    token: str = field(repr=False)

    @property
    def form(self) -> str:
        """Returns the token that every form of this session carries; it cannot be made without the cookie."""
        return form_token(self.token)

    @property
    def is_fresh(self) -> bool:
        """Tells whether its owner showed who they are within the last five minutes."""
        return self.now - self.signed_in_at <= STEP_UP_WITHIN

    def must_be_fresh(self) -> None:
        """Raises StepUpNeeded where `is_fresh` is false."""
        if not self.is_fresh:
            raise StepUpNeeded


def form_token(token: str) -> str:
    """Returns what every form of a session carries."""
    return hmac.new(token.encode(), b"assent.staff-form/1", sha256).hexdigest()


def open_session(conn: Conn, keys: TenantKeys, staff_id: UUID, signed_in_at: datetime | None = None) -> str:
    """Opens a session for whoever has shown, just now or at that time, that the account is theirs.

    Returns its token, 256 bits, base64url.
    """
    now = database_time(conn)
    held = {"signed_in_at": rfc3339(min(signed_in_at or now, now))}
    return store_token(conn, keys, "session", LONGEST_SESSION, held, staff_id)


def read_session(conn: Conn, keystore: Keystore, token: str) -> StaffSession:
    """Returns the session of this token, and notes that it was used.

    Raises SignedOut where it ended, idled, never existed, or its account is disabled or was altered.
    """
    row = fetch_one(conn, _Q["read_session"], sha256=_sha256(token), idle=LONGEST_IDLE)
    if row is None:
        raise SignedOut
    keys = keystore.tenant(row["tenant"])
    held = _opened(keys, token, "session", row)
    account = columns_of(row, "staff_")
    if held is None or account["disabled"] or not is_authentic(keys, "staff", account):
        raise SignedOut
    if row["is_stale"]:
        execute(conn, _Q["note_session_used"], sha256=_sha256(token))
    return StaffSession(staff_of(keys, account), parse_rfc3339(held["signed_in_at"]), row["now"], token)


def end_session(conn: Conn, token: str) -> None:
    """Ends a session at once; does nothing where there is none. For a day its row still says whose it was."""
    execute(conn, _Q["end_token"], sha256=_sha256(token))


def name_of_session(token: str) -> str:
    """Returns what names a session and opens nothing."""
    return _sha256(token).hex()


def end_session_named(conn: Conn, name: str) -> None:
    """Ends the session that `name_of_session` names."""
    execute(conn, _Q["end_token"], sha256=bytes.fromhex(name))


def end_sessions(conn: Conn, keys: TenantKeys, staff_id: UUID, but: str | None = None) -> int:
    """Ends all sessions and links of an account, but for the session of the token `but`; returns how many."""
    return execute(conn, _Q["end_tokens"], tenant=keys.tenant, staff=staff_id, but=but and _sha256(but))


def owner_of(conn: Conn, token: str) -> tuple[str, UUID] | None:
    """Returns tenant and account of a session that may have ended within the last day; None where nothing is known."""
    row = fetch_one(conn, _Q["read_owner"], sha256=_sha256(token))
    return None if row is None else (row["tenant"], row["staff"])


def store_token(
    conn: Conn, keys: TenantKeys, kind: TokenKind, valid_for: timedelta, held: Mapping[str, Any], staff_id: UUID | None
) -> str:
    """Stores what a new token permits, sealed, and returns the token, which is not stored."""
    token = secrets.token_urlsafe(32)
    until = database_time(conn) + valid_for
    plain = json.dumps({**held, "until": rfc3339(until), "staff": staff_id and str(staff_id)}).encode()
    execute(
        conn,
        _Q["insert_token"],
        tenant=keys.tenant,
        sha256=_sha256(token),
        kind=kind,
        staff=staff_id,
        sealed=seal(_key(keys, token), plain, kind, keys.tenant),
        expires_at=until,
    )
    return token


def take_token(conn: Conn, keystore: Keystore, token: str, kind: TokenKind) -> tuple[TenantKeys, dict[str, Any]] | None:
    """Spends a token of that kind, once; returns its tenant's keys and what it held. None where there is none."""
    row = fetch_one(conn, _Q["take_token"], sha256=_sha256(token), kind=kind)
    if row is None:
        return None
    keys = keystore.tenant(row["tenant"])
    held = _opened(keys, token, kind, row)
    return None if held is None else (keys, held)


def read_token(conn: Conn, keystore: Keystore, token: str, kind: TokenKind) -> tuple[TenantKeys, dict[str, Any]] | None:
    """Returns what `take_token` would, and spends nothing."""
    row = fetch_one(conn, _Q["read_token"], sha256=_sha256(token), kind=kind)
    if row is None:
        return None
    keys = keystore.tenant(row["tenant"])
    held = _opened(keys, token, kind, row)
    return None if held is None else (keys, held)


def token_secret(keys: TenantKeys, token: str, use: str) -> bytes:
    """Returns 32 bytes that only who has a token and this installation's keys together can make."""
    return hmac.digest(_key(keys, token), use.encode(), sha256)


def purge_tokens(conn: Conn) -> None:
    """Removes sessions and links of all tenants that ended a day ago."""
    execute(conn, _Q["purge_tokens"], idle=LONGEST_IDLE)


def _opened(keys: TenantKeys, token: str, kind: TokenKind, row: Row) -> dict[str, Any] | None:
    """Returns what a token's row holds; None where it is over, or nobody with the keys has written it so."""
    try:
        held: dict[str, Any] = json.loads(unseal(_key(keys, token), row["sealed"], kind, row["tenant"]))
    except SealBroken:
        return None
    same = held["staff"] == (row["staff"] and str(row["staff"]))
    return held if same and parse_rfc3339(held["until"]) > row["now"] else None


def _sha256(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _key(keys: TenantKeys, token: str) -> bytes:
    return hmac.digest(authority_key(keys), b"assent.staff-token/1" + token.encode(), sha256)
