"""Creates and checks API keys: `assent_<tenant>_<id>_<secret>`, stored as a hash, each with scopes of one tenant."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from assent.core.errors import Forbidden, NotFound, Unauthorized
from assent.core.names import ENTITY_NAME
from assent.db.pool import Conn, Pool, Row, execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.keys.authority import authority_key, authority_mac, end_authority, holds_mac, is_authentic
from assent.keys.keystore import Keystore, TenantKeys

SCOPES = (
    "images:tag",  # send pictures, read decisions
    "images:match",  # state with a picture its author and connections, so that people are looked for in it
    "consents:write",  # record and withdraw consents
    "subjects:write",  # enrol templates, export what is held, make and end links to the person's own page
    "subjects:export",  # beside it: the templates' vectors in an export
    "subjects:delete",  # have a person forgotten
    "audit:read",  # checkpoints and proofs
    "review",  # see and decide what waits for a moderator, correct tags
)
# Of the key that `assent init` makes: the platform's daily one reads no vectors.
DAILY = tuple(scope for scope in SCOPES if scope != "subjects:export")
_FORM = re.compile(rf"assent_({ENTITY_NAME})_([0-9a-f]{{12}})_([A-Za-z0-9-]{{43}})")
_Q = named_queries("instance")


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant, id and scopes of the API key that a request came with."""

    tenant: str
    key_id: str
    scopes: frozenset[str]

    def must(self, scope: str) -> None:
        """Raises Forbidden where the key lacks that scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this key has no scope {scope}")


class KeyAltered(Unauthorized):
    """The row of an API key is not as it was made; `tenant` is the one that the row names."""

    def __init__(self, tenant: str) -> None:
        super().__init__("this API key is not known or was revoked")
        self.tenant = tenant


def create_key(conn: Conn, keys: TenantKeys, scopes: tuple[str, ...] = DAILY) -> str:
    """Creates a key and returns it, to be shown once: only its hash is stored."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32).replace("_", "-")
    row = {"tenant": keys.tenant, "id": key_id, "sha256": _hash(secret), "scopes": list(scopes)}
    execute(conn, _Q["insert_api_key"], **row, mac=_mac(keys, row, revoked=False))
    return f"assent_{keys.tenant}_{key_id}_{secret}"


def revoke_key(conn: Conn, keys: TenantKeys, key_id: str) -> None:
    """Revokes a key from now on. Raises NotFound where there is no live one of that id."""
    row = fetch_one(conn, _Q["lock_live_api_key"], tenant=keys.tenant, id=key_id)
    if row is None:
        raise NotFound(f"tenant {keys.tenant} has no living key {key_id}")
    # What was altered stays so, to be found.
    mac = _mac(keys, row, revoked=True) if holds_mac(authority_key(keys), "api_key", row) else row["mac"]
    end_authority(keys, [("api_key", key_id)])
    execute(conn, _Q["revoke_live_api_key"], tenant=keys.tenant, id=key_id, mac=mac)


def _mac(keys: TenantKeys, row: Row, revoked: bool) -> bytes:
    return authority_mac(authority_key(keys), "api_key", row | {"revoked": revoked})


def authenticate(conn: Conn, keystore: Keystore, key: str) -> Caller:
    """Returns the caller that this key belongs to.

    Raises Unauthorized for anything but a live key, and KeyAltered for a row that nobody with the keys has written.
    """
    form = _FORM.fullmatch(key.strip())
    if form is None:
        raise Unauthorized
    tenant, key_id, secret = form.groups()
    row = fetch_one(conn, _Q["select_live_api_key"], tenant=tenant, id=key_id)
    if row is None or not hmac.compare_digest(row["sha256"], _hash(secret)):
        raise Unauthorized("this API key is not known or was revoked")
    if not is_authentic(keystore.tenant(tenant), "api_key", row):
        raise KeyAltered(tenant)
    return Caller(tenant, key_id, frozenset(row["scopes"]))


def must_match(pool: Pool, by: Caller) -> None:
    """Raises Forbidden where the key lacks `images:match`, and remembers the day for `assent doctor`."""
    if "images:match" in by.scopes:
        return
    with transaction(pool) as conn:
        execute(conn, _Q["note_match_refused"], tenant=by.tenant, id=by.key_id)
    raise Forbidden(
        "this key has no scope images:match, which author and connections need: "
        "make another with `assent api-key add`, or send neither"
    )


def _hash(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode()).digest()
