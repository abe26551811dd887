"""Lists, adds and enables the endpoints that a tenant's messages are sent to."""

from __future__ import annotations

from assent.core.errors import AlreadyInitialised, NotFound
from assent.core.values import Audience
from assent.db.pool import Conn, Row, execute, fetch
from assent.db.queries import named_queries
from assent.keys.authority import authority_key, authority_mac
from assent.keys.keystore import TenantKeys

_Q = named_queries("outbox")


def list_endpoints(conn: Conn, tenant: str) -> list[Row]:
    """Returns the tenant's endpoints by name.

    Columns: name, url, audience, failing_since, rests_until, disabled_at, disabled_because, waiting.
    """
    return fetch(conn, _Q["list_endpoints"], tenant=tenant)


def insert_endpoint(conn: Conn, keys: TenantKeys, endpoint: str, url: str, audience: Audience) -> None:
    """Adds an endpoint that is sent to from now on. Raises AlreadyInitialised.

    One of the platform gets decisions; one that asks the person gets `tag.suggested`, and nothing else. It needs a
    signing secret.
    """
    row = {"tenant": keys.tenant, "name": endpoint, "url": url, "audience": audience}
    mac = authority_mac(authority_key(keys), "endpoint", row)
    if not execute(conn, _Q["insert_new_endpoint"], **row, mac=mac):
        raise AlreadyInitialised(f"tenant {keys.tenant} has an endpoint {endpoint}")


def enable_endpoint(conn: Conn, tenant: str, endpoint: str) -> None:
    """Enables a disabled or resting endpoint, at once. Raises NotFound."""
    if not execute(conn, _Q["enable_endpoint"], tenant=tenant, endpoint=endpoint):
        raise NotFound(f"tenant {tenant} has no endpoint {endpoint}")
