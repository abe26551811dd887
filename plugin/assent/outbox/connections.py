"""Stores where a source's platform is acted upon, and whether it is: address, token and switch, sealed together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from assent.audit.log import Part, append
from assent.core.errors import BadRequest, NotFound, SealBroken
from assent.core.telemetry import log
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.media.fetch import FetchKey
from assent.platforms.calls import ActCredentials
from assent.platforms.discourse_posts import KEYED_PATHS, key_headers

_Q = named_queries("actions")


@dataclass(frozen=True, slots=True)
class PlatformConnection:
    """The connection of a source: the credentials at its platform, and whether anything is done there."""

    credentials: ActCredentials
    acting: bool


def connect_platform(conn: Conn, keys: TenantKeys, source: str, credentials: ActCredentials) -> None:
    """Stores a source's connection in place of a former one; nothing is done there before it is switched on.

    Raises NotFound for an unknown source, BadRequest for an address, token or user that none can be.
    """
    row = fetch_one(conn, _Q["read_platform_of_source"], tenant=keys.tenant, source=source)
    if row is None:
        raise NotFound(f"tenant {keys.tenant} has no source {source}")
    if not credentials.url.startswith(("https://", "http://")) or credentials.url.endswith("/"):
        raise BadRequest(f"{credentials.url!r} is no http(s) address without a slash at its end")
    if not credentials.token or any(char <= " " or char > "~" for char in credentials.token + credentials.user):
        raise BadRequest("the token is empty, or not of printable ASCII without spaces")
    if row["adapter"] == "discourse" and not credentials.user:
        raise BadRequest("Discourse wants the name of the account that its key acts as")
    _store(conn, keys, source, PlatformConnection(credentials, acting=False))
    append(conn, keys, "platform.connected", {"source": source}, [Part({"url": credentials.url})], datetime.now(UTC))


def switch_actions(conn: Conn, keys: TenantKeys, source: str, on: bool) -> None:
    """Switches acting at a source's platform on or off. Raises NotFound where it is not connected."""
    row = fetch_one(conn, _Q["lock_connection"], tenant=keys.tenant, source=source)
    if row is None:
        raise NotFound(f"source {source} is not connected to its platform")
    connection = open_connection(keys, source, row["sealed"])
    _store(conn, keys, source, PlatformConnection(connection.credentials, on))
    append(conn, keys, "action.switched", {"source": source, "on": on}, [], datetime.now(UTC))


def open_connection(keys: TenantKeys, source: str, sealed: bytes) -> PlatformConnection:
    """Opens a source's connection. Raises SealBroken where its row was altered."""
    values = json.loads(unseal_for_tenant(keys, "secret", sealed, keys.tenant, "platform", source))
    return PlatformConnection(ActCredentials(**values["credentials"]), values["acting"])


def fetch_key(conn: Conn, keys: TenantKeys, source: str, urls: Sequence[str]) -> FetchKey | None:
    """Returns the key that opens one of these addresses at the source's platform, if one needs and has any.

    A connection that was altered has none: what cannot be fetched without it goes to review.
    """
    if not any(path in url for url in urls for path in KEYED_PATHS):
        return None
    row = fetch_one(conn, _Q["read_connection"], tenant=keys.tenant, source=source)
    if row is None or row["platform"] != "discourse":
        return None
    try:
        credentials = open_connection(keys, source, row["sealed"]).credentials
    except SealBroken as error:
        log.error("the platform's key is not used", source=source, code=error.code)
        return None
    return FetchKey(tuple(credentials.url + path for path in KEYED_PATHS), key_headers(credentials))


def list_connections(conn: Conn, tenant: str) -> list[Row]:
    """Returns the tenant's sources by name. Columns: source, platform, connected, acting, rests_until."""
    return fetch(conn, _Q["list_connections"], tenant=tenant)


def _store(conn: Conn, keys: TenantKeys, source: str, connection: PlatformConnection) -> None:
    values = json.dumps(asdict(connection)).encode()
    sealed = seal_for_tenant(keys, "secret", values, keys.tenant, "platform", source)
    execute(conn, _Q["store_connection"], tenant=keys.tenant, source=source, sealed=sealed, acting=connection.acting)
