"""Creates and checks API keys: `assent_<tenant>_<id>_<secret>`, stored as a hash, each with scopes of one tenant."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from assent.core.errors import Forbidden, Unauthorized
from assent.core.names import ENTITY_NAME
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries

SCOPES = (
    "images:tag",  # send pictures, read decisions
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


def create_key(conn: Conn, tenant: str, scopes: tuple[str, ...] = DAILY) -> str:
    """Creates a key and returns it, to be shown once: only its hash is stored."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32).replace("_", "-")
    execute(conn, _Q["insert_api_key"], tenant=tenant, id=key_id, sha256=_hash(secret), scopes=list(scopes))
    return f"assent_{tenant}_{key_id}_{secret}"


def authenticate(conn: Conn, key: str) -> Caller:
    """Returns the caller that this key belongs to. Raises Unauthorized for anything but a live key."""
    form = _FORM.fullmatch(key.strip())
    if form is None:
        raise Unauthorized
    tenant, key_id, secret = form.groups()
    row = fetch_one(conn, _Q["select_live_api_key"], tenant=tenant, id=key_id)
    if row is None or not hmac.compare_digest(row["sha256"], _hash(secret)):
        raise Unauthorized("this API key is not known or was revoked")
    return Caller(tenant, key_id, frozenset(row["scopes"]))


def _hash(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode()).digest()
