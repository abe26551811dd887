"""Asks an identity provider who somebody is: OpenID Connect's code flow with PKCE, over the guarded client."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from assent.core.console_errors import ProviderFailed
from assent.core.errors import FetchFailed, FetchRefused, FetchTooLarge
from assent.core.settings import AllowedHost, Settings
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries
from assent.keys.authority import authority_key, is_authentic
from assent.keys.keystore import TenantKeys
from assent.net.client import ExchangeLimits, RequestBody, request
from assent.staff.accounts import change_staff, create_staff
from assent.staff.roles import StaffRole, read_roles
from assent.staff.sessions import end_sessions
from assent.subjects.access import record_access

SKEW = 300  # seconds by which its clock may differ
_LIMITS = ExchangeLimits(first_byte_s=5, total_s=10, max_bytes=1 << 20)
_ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
_FAILED = (FetchFailed, FetchRefused, FetchTooLarge, JoseError, ValueError, KeyError, TypeError, AttributeError)
_Q = named_queries("staff")


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider and what this installation is there. `roles`: group → role, as they were set."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    roles: tuple[tuple[str, str], ...]
    allow: tuple[AllowedHost, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """A sign-in that is under way at a provider: what the answer has to fit. `anew`: only a sign-in of now counts."""

    redirect: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    anew: bool


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody for whom a provider vouches. `at`: when they signed in there, where it says so."""

    subject: str = field(repr=False)
    name: str = field(repr=False)
    groups: tuple[str, ...]
    at: datetime | None


def provider_of(settings: Settings) -> Provider | None:
    """Returns the provider that is set; None where there is none."""
    secret = settings.oidc_client_secret
    if settings.oidc_issuer is None:
        return None
    secret_text = None if secret is None else secret.get_secret_value()
    roles, allow = settings.oidc_roles, settings.allow_private
    return Provider(settings.oidc_issuer, settings.oidc_client_id, secret_text, roles, allow)


def address_of_sign_in(provider: Provider, asking: Asking, state: str) -> str:
    """Returns the provider's page on which somebody signs in. Raises ProviderFailed."""
    try:
        address = str(_metadata(provider)["authorization_endpoint"])
    except _FAILED:
        raise ProviderFailed from None
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": asking.redirect,
        "scope": "openid profile",
        "state": state,
        "nonce": asking.nonce,
        "code_challenge": create_s256_code_challenge(asking.verifier),
        "code_challenge_method": "S256",
        **({"prompt": "login", "max_age": "0"} if asking.anew else {}),
    }
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def ask_provider(provider: Provider, asking: Asking, code: str, now: datetime) -> Vouched:
    """Returns for whom the provider vouches by this code.

    Raises ProviderFailed where it does not answer, or the answer is another issuer's, is not for this client or this
    sign-in, is over, or has no time of a sign-in anew where one was asked for.
    """
    try:
        metadata = _metadata(provider)
        tokens = _token(provider, metadata, asking, code)
        keys = KeySet.import_key_set(cast(KeySetSerialization, _json(provider, "GET", str(metadata["jwks_uri"]))))
        decoded = jwt.decode(tokens["id_token"], keys, algorithms=_ALGORITHMS)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
            },
            {"nonce": asking.nonce, "client_id": provider.client_id, "access_token": tokens.get("access_token")},
        )
        claims.validate(now=int(now.timestamp()), leeway=SKEW)
        return _vouched(claims, asking, now)
    except _FAILED:
        raise ProviderFailed from None


def account_vouched(conn: Conn, keys: TenantKeys, provider: Provider, vouched: Vouched) -> UUID | None:
    """Returns the account of whom the provider vouches for, made at the first sign-in, with the roles of its groups.

    None where these give none, which ends what sessions it has, and where the account is disabled.
    """
    roles = granted_roles(provider, vouched.groups)
    external = hmac.digest(authority_key(keys), _identity(provider.issuer, vouched.subject), sha256)
    execute(conn, _Q["lock_names"], tenant=keys.tenant)
    row = fetch_one(conn, _Q["read_staff_by_external"], tenant=keys.tenant, external=external)
    if row is None:
        if not roles:
            return None
        staff = create_staff(conn, keys, vouched.name, roles)
        change_staff(conn, keys, staff.id, external=external)
        record_access(conn, keys, "staff.added", "provider", staff=staff.by, roles=list(roles), queues=None)
        return staff.id
    if row["disabled"] or not is_authentic(keys, "staff", row):
        return None
    if not roles:
        end_sessions(conn, keys, row["id"])
        return None
    staff_id: UUID = row["id"]
    if tuple(row["roles"]) != roles:
        change_staff(conn, keys, staff_id, roles=list(roles))
        end_sessions(conn, keys, staff_id)
        record_access(conn, keys, "staff.changed", "provider", staff=str(staff_id), roles=list(roles))
    return staff_id


def granted_roles(provider: Provider, groups: tuple[str, ...]) -> tuple[StaffRole, ...]:
    """Returns the roles that somebody in these groups has. Raises ProviderFailed where one that is set is no role."""
    try:
        return read_roles({role for group, role in provider.roles if group in groups})
    except ValueError as error:
        raise ProviderFailed(f"ASSENT_OIDC_ROLES: {error}") from None


def _exactly(value: str) -> dict[str, Any]:
    return {"essential": True, "value": value}


def _vouched(claims: Mapping[str, Any], asking: Asking, now: datetime) -> Vouched:
    at = claims.get("auth_time")
    if asking.anew and (at is None or at < now.timestamp() - SKEW):
        raise ValueError("nobody signed in anew")
    groups = claims.get("groups", [])
    listed = [groups] if isinstance(groups, str) else groups
    name = next((claims[key] for key in ("name", "preferred_username", "sub") if isinstance(claims.get(key), str)), "")
    signed_in_at = None if at is None else datetime.fromtimestamp(at, UTC)
    return Vouched(str(claims["sub"]), " ".join(name.split())[:80], tuple(map(str, listed)), signed_in_at)


def _identity(issuer: str, subject: str) -> bytes:
    return b"assent.staff-external/1" + json.dumps([issuer, subject]).encode()


def _metadata(provider: Provider) -> dict[str, Any]:
    """Reads what the provider says of itself; its addresses are as safe as its own."""
    found = _json(provider, "GET", f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    if found["issuer"] != provider.issuer:
        raise ValueError("another issuer")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if urlsplit(str(found[name])).scheme not in ("https", urlsplit(provider.issuer).scheme):
            raise ValueError(f"{name} is not https")
    return found


def _token(provider: Provider, metadata: Mapping[str, Any], asking: Asking, code: str) -> dict[str, Any]:
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asking.redirect,
        "client_id": provider.client_id,
        "code_verifier": asking.verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    ways = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if provider.client_secret is not None and "client_secret_basic" in ways:
        pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    elif provider.client_secret is not None:
        fields["client_secret"] = provider.client_secret
    return _json(provider, "POST", str(metadata["token_endpoint"]), headers, urlencode(fields).encode())


def _json(
    provider: Provider, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    sent = None if body is None else RequestBody(body)
    fields = {"Accept": "application/json", **(headers or {})}
    answer = request(method, url, headers=fields, body=sent, limits=_LIMITS, allow=provider.allow)
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found
