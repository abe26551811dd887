"""Creates what `assent init` needs: tenant, API key, root key, webhook source, endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

import psycopg

from assent.audit import log as audit_log
from assent.audit.checkpoint import verifier
from assent.core.errors import AlreadyInitialised, BadRequest, NotFound
from assent.core.names import ENTITY_NAME, OWN_SOURCES
from assent.core.values import Audience
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.http.api_keys import create_key
from assent.intake.sources import seal_source_settings
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.tenant_seal import seal_for_tenant
from assent.outbox.endpoints import insert_endpoint
from assent.platforms.delivery import SourceSettings, web_address
from assent.platforms.standard_webhooks import new_secret

MIN_SECRET = 12  # characters; Mastodon and Discourse ask for as many
_Q = named_queries("instance")


@dataclass(frozen=True, slots=True)
class CreatedTenant:
    """A new tenant with its secrets, shown once; the secrets are stored sealed or hashed only."""

    tenant: str
    api_key: str
    source: str
    source_secret: str
    endpoint: str | None
    deliver_to: str | None
    endpoint_secret: str | None
    audit_key: str


def init_tenant(pool: Pool, keystore: Keystore, tenant: str, source: str, deliver_to: str | None) -> CreatedTenant:
    """Creates a tenant with one API key, one source and, with `deliver_to`, one endpoint, all in one transaction.

    Raises AlreadyInitialised when the tenant or the source's name is taken, BadRequest for an invalid name.
    """
    _check_name(tenant)
    _check_source_name(source)
    try:
        with transaction(pool) as conn:
            if not execute(conn, _Q["insert_new_tenant"], tenant=tenant):
                raise AlreadyInitialised(f"tenant {tenant} exists; its key was printed once")
            audit_log.create_log(conn, tenant)
            # Keys without a tenant's row are left over from an attempt that was rolled back.
            keys = keystore.tenant(tenant) if tenant in keystore.tenants() else keystore.add_tenant(tenant)
            return _fill(conn, keys, source, deliver_to)
    except psycopg.errors.UniqueViolation as error:
        raise AlreadyInitialised(f"a source named {source} exists already; choose another name") from error


def _check_name(name: str) -> None:
    if not re.fullmatch(ENTITY_NAME, name):
        raise BadRequest(f"{name!r}: a name is 1 to 63 of a-z, 0-9 and -, and begins with a letter or digit")


def _check_source_name(name: str) -> None:
    _check_name(name)
    if name in OWN_SOURCES:
        raise BadRequest(f"{name!r}: images that come by the API have this name for their source; choose another")


def _fill(conn: Conn, keys: TenantKeys, source: str, deliver_to: str | None) -> CreatedTenant:
    tenant = keys.tenant
    execute(conn, _Q["insert_source"], tenant=tenant, name=source, adapter="standard", sealed=None)
    endpoint_secret = None
    if deliver_to is not None:
        insert_endpoint(conn, keys, source, deliver_to, "platform")
        endpoint_secret = add_secret(conn, keys, "endpoint", source)
    created = CreatedTenant(
        tenant=tenant,
        api_key=create_key(conn, keys),
        source=source,
        source_secret=add_secret(conn, keys, "source", source),
        endpoint=source if deliver_to is not None else None,
        deliver_to=deliver_to,
        endpoint_secret=endpoint_secret,
        audit_key=str(verifier(keys)),
    )
    audit_log.append(conn, keys, "tenant.created", {}, [], datetime.now(UTC))
    return created


def add_source(
    conn: Conn, keys: TenantKeys, name: str, adapter: str, settings: SourceSettings, secret: str | None = None
) -> str:
    """Adds a webhook source and returns its signing secret: the given one, which the platform made, or a new one.

    Raises AlreadyInitialised when the name is taken, BadRequest for an invalid name, address or secret.
    """
    _check_source_name(name)
    _check_settings(adapter, settings)
    sealed = seal_source_settings(keys, name, adapter, settings)
    try:
        execute(conn, _Q["insert_source"], tenant=keys.tenant, name=name, adapter=adapter, sealed=sealed)
    except psycopg.errors.UniqueViolation as error:
        raise AlreadyInitialised(f"a source named {name} exists already; choose another name") from error
    secret = add_secret(conn, keys, "source", name, secret)
    audit_log.append(conn, keys, "source.added", {"source": name, "platform": adapter}, [], datetime.now(UTC))
    return secret


def change_source(conn: Conn, keys: TenantKeys, name: str, settings: SourceSettings) -> None:
    """Replaces what a source sets about its platform. Raises NotFound, or BadRequest for an invalid address."""
    source = next((row for row in list_sources(conn, keys.tenant) if row["name"] == name), None)
    if source is None:
        raise NotFound(f"tenant {keys.tenant} has no source {name}")
    _check_settings(source["adapter"], settings)
    sealed = seal_source_settings(keys, name, source["adapter"], settings)
    execute(conn, _Q["update_source_settings"], tenant=keys.tenant, name=name, sealed=sealed)
    audit_log.append(conn, keys, "source.changed", {"source": name}, [], datetime.now(UTC))


def list_sources(conn: Conn, tenant: str) -> list[Row]:
    """Lists the rows of a tenant's webhook sources: tenant, name, adapter, settings_sealed."""
    return fetch(conn, _Q["list_sources"], tenant=tenant)


def _check_settings(adapter: str, settings: SourceSettings) -> None:
    if adapter != "standard" and (web_address(settings.url) is None or settings.url.endswith("/")):
        raise BadRequest(f"{settings.url!r}: the platform's address begins with https:// and has no / at its end")


def add_endpoint(conn: Conn, keys: TenantKeys, name: str, url: str, audience: Audience) -> str:
    """Adds an endpoint and returns its signing secret.

    Raises AlreadyInitialised when the name is taken, BadRequest for an invalid name or URL.
    """
    if not re.fullmatch(ENTITY_NAME, name) or not url.startswith(("http://", "https://")):
        raise BadRequest(f"{name!r} is no name of 1 to 63 of a-z, 0-9 and -, or {url!r} no http(s) address")
    insert_endpoint(conn, keys, name, url, audience)
    secret = add_secret(conn, keys, "endpoint", name)
    audit_log.append(conn, keys, "endpoint.added", {"endpoint": name, "audience": audience}, [], datetime.now(UTC))
    return secret


def add_secret(
    conn: Conn, keys: TenantKeys, owner: Literal["source", "endpoint"], name: str, given: str | None = None
) -> str:
    """Adds a signing secret, the platform's own where it is given, and returns it; the two newest are live.

    Raises BadRequest for a given secret that is too short.
    """
    if given is not None and len(given) < MIN_SECRET:
        raise BadRequest(f"the platform's secret has fewer than {MIN_SECRET} characters")
    secret, secret_id = given or new_secret(), uuid4()
    sealed = seal_for_tenant(keys, "secret", secret.encode(), keys.tenant, owner, name, str(secret_id))
    execute(conn, _Q["insert_secret"], tenant=keys.tenant, owner=owner, name=name, id=secret_id, sealed=sealed)
    return secret


def rotate_secret(
    conn: Conn,
    keys: TenantKeys,
    owner: Literal["source", "endpoint"],
    name: str,
    overlap: timedelta,
    given: str | None = None,
) -> str:
    """Adds a signing secret, the platform's own where it is given, and returns it.

    The newest of the old secrets ends after `overlap`, the others end now. Raises NotFound, or BadRequest for a given
    secret that is too short.
    """
    key = {"tenant": keys.tenant, "owner": owner, "name": name}
    row = fetch_one(conn, _Q["owner_exists"], **key)
    if row is None or not row["known"]:
        raise NotFound(f"tenant {keys.tenant} has no {owner} {name}")
    execute(conn, _Q["end_secrets_of_owner"], **key, overlap=overlap)
    secret = add_secret(conn, keys, owner, name, given)
    execute(conn, _Q["delete_ended_secrets"], **key)
    audit_log.append(conn, keys, "secret.rotated", {owner: name}, [], datetime.now(UTC))
    return secret
