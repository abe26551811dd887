"""Opens a person's own page: one POST spends a link and opens a session.

A row holds the token's hash, and the platform's id of the person with the exact end, sealed under a key of token and
tenant: without the token nothing can be learnt from it but the hours of its end and its use, and without the tenant's
keys nobody can make one.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from assent.core.clock import coarse, coarse_after, parse_rfc3339, rfc3339
from assent.core.errors import LinkGone, SealBroken, SessionOver
from assent.db.locks import lock_shared, try_lock_exclusive
from assent.db.pool import Conn, Row, execute, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.keys.authority import authority_key
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal, unseal

LINK_DAYS, MOST_LINK_DAYS = 7, 30
SESSION = timedelta(minutes=30)
_Q = named_queries("links")


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: whose page it opens, until when, and how long that is from now."""

    tenant: str
    pseudonym: bytes
    ref: str = field(repr=False)
    expires_at: datetime
    left: timedelta


class LinkAltered(SealBroken):
    """The row of a link or session does not open with its token; `tenant` is the one that the row names."""

    def __init__(self, tenant: str) -> None:
        super().__init__()
        self.tenant = tenant


def mint(conn: Conn, keys: TenantKeys, ref: str, valid_for: timedelta = timedelta(days=LINK_DAYS)) -> str:
    """Returns the token (256 bits, base64url) of a new link for the person with that id, known or not.

    The token is not stored.
    """
    return _insert(conn, keys, derive_pseudonym(keys, ref), ref, "link", valid_for)


def spend(conn: Conn, keystore: Keystore, token: str) -> str:
    """Spends a link, once, and returns the token of the session it opens. Raises LinkGone."""
    row = _live(conn, token, "link")
    if row is None:
        raise LinkGone
    keys = keystore.tenant(row["tenant"])
    ref, until = _open(keys, token, "link", row)
    now = database_time(conn)
    if until <= now:
        raise LinkGone
    lock_shared(conn, row["tenant"], [row["pid"]])  # an erasure that comes meanwhile takes the session along
    if not execute(conn, _Q["spend_link"], tenant=row["tenant"], sha256=_sha256(token), at=coarse(now)):
        raise LinkGone
    return _insert(conn, keys, row["pid"], ref, "session", SESSION)


def session(conn: Conn, keystore: Keystore, token: str) -> Session:
    """Returns the session of this token.

    Raises SessionOver where it has expired, never existed, or its person was erased.
    """
    row = _live(conn, token, "session")
    if row is None:
        raise SessionOver
    keys = keystore.tenant(row["tenant"])
    ref, until = _open(keys, token, "session", row)
    left = until - database_time(conn)
    if left <= timedelta(0):
        raise SessionOver
    if derive_pseudonym(keys, ref) != row["pid"]:  # a row that nobody with the keys has made
        raise SessionOver
    return Session(row["tenant"], row["pid"], ref, until, left)


def end(conn: Conn, token: str) -> None:
    """Ends a session at once; does nothing where there is none."""
    row = _live(conn, token, "session")
    if row is not None:
        values = {"tenant": row["tenant"], "sha256": _sha256(token)}
        execute(conn, _Q["spend_link"], **values, at=coarse(database_time(conn)))


def end_all(conn: Conn, keys: TenantKeys, pseudonym: bytes, but: str | None = None) -> None:
    """Ends all links and sessions of the person, but for the session of the token `but`.

    A visit that begins meanwhile is over with the commit, too.
    """
    try_lock_exclusive(conn, keys.tenant, pseudonym)
    execute(conn, _Q["end_visits"], tenant=keys.tenant, pid=pseudonym, but=but and _sha256(but))


def purge(conn: Conn) -> None:
    """Removes expired links and sessions of all tenants."""
    execute(conn, _Q["purge_expired_links"])


def _insert(conn: Conn, keys: TenantKeys, pseudonym: bytes, ref: str, kind: str, valid_for: timedelta) -> str:
    tenant, token = keys.tenant, secrets.token_urlsafe(32)
    lock_shared(conn, tenant, [pseudonym])
    until = database_time(conn) + valid_for
    execute(
        conn,
        _Q["insert_link"],
        tenant=tenant,
        sha256=_sha256(token),
        kind=kind,
        pid=pseudonym,
        sealed=seal(_key(keys, token), f"{rfc3339(until)}\n{ref}".encode(), kind, tenant, pseudonym),
        expires_at=coarse_after(until),
    )
    return token


def _live(conn: Conn, token: str, kind: str) -> Row | None:
    return fetch_one(conn, _Q["read_live_link"], sha256=_sha256(token), kind=kind)


def _open(keys: TenantKeys, token: str, kind: str, row: Row) -> tuple[str, datetime]:
    """Returns the person's id and the exact end."""
    try:
        plain = unseal(_key(keys, token), row["sealed"], kind, row["tenant"], row["pid"]).decode()
    except SealBroken as error:
        raise LinkAltered(row["tenant"]) from error
    until, _, ref = plain.rpartition("\n")
    return ref, min(parse_rfc3339(until), row["expires_at"])


def _sha256(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _key(keys: TenantKeys, token: str) -> bytes:
    return hmac.digest(authority_key(keys), b"assent.link/2" + token.encode(), sha256)
