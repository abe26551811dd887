"""Registers passkeys and checks what they sign; the device has to have verified its user each time."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit
from uuid import UUID

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    parse_authentication_credential_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from assent.core.console_errors import SignInRefused
from assent.core.errors import NotFound
from assent.core.telemetry import SIGN_INS
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.keys.authority import authority_key, authority_mac, is_authentic
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.staff.sign_in import SignedInAs, note_sign_in

CHALLENGE_VALID = timedelta(minutes=10)
_REQUIRED = UserVerificationRequirement.REQUIRED
_NUMBER = re.compile(r"[0-9.]+|.*:.*")  # an address, which no passkey is bound to
_WRONG = (WebAuthnException, ValueError, KeyError, TypeError)
_Q = named_queries("staff")


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of an account, as its owner is shown it."""

    id: bytes = field(repr=False)
    name: str = field(repr=False)
    created_at: datetime
    used_at: datetime | None
    backed_up: bool


def relying_party(origin: str) -> str | None:
    """Returns the host that passkeys of this origin belong to; None where it is an address: there they cannot be."""
    host = urlsplit(origin).hostname or ""
    return None if _NUMBER.fullmatch(host) else host


def make_challenge(conn: Conn, keystore: Keystore) -> str:
    """Makes what a passkey is to sign; nothing is stored until it did."""
    at = database_time(conn).timestamp()
    begun = f"{secrets.token_urlsafe(16)}.{at:.0f}"
    return f"{begun}.{_seal_of(keystore, begun)}"


def registration_options(origin: str, challenge: bytes, handle: UUID, name: str, known: list[bytes]) -> str | None:
    """Returns what a browser needs to make a passkey, as JSON; None where this origin can have none."""
    host = relying_party(origin)
    if host is None:
        return None
    options = generate_registration_options(
        rp_id=host,
        rp_name="Assent",
        user_id=handle.bytes,
        user_name=name or "Assent",
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=key) for key in known],
    )
    return options_to_json(options)


def signing_options(origin: str, challenge: str, known: list[bytes] | None = None) -> str | None:
    """Returns what a browser needs to sign with a passkey, of those known or any; None as above."""
    host = relying_party(origin)
    if host is None:
        return None
    allowed = None if known is None else [PublicKeyCredentialDescriptor(id=key) for key in known]
    options = generate_authentication_options(
        rp_id=host, challenge=challenge.encode(), allow_credentials=allowed, user_verification=_REQUIRED
    )
    return options_to_json(options)


def add_passkey(conn: Conn, owner: SignedInAs, origin: str, challenge: bytes, credential: str, name: str) -> None:
    """Stores a new passkey of an account. Raises SignInRefused where it does not belong here or verified nobody."""
    keys, staff_id = owner
    try:
        made = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=relying_party(origin) or "",
            expected_origin=origin,
            require_user_verification=True,
        )
    except _WRONG:
        raise SignInRefused from None
    row: Row = {
        "tenant": keys.tenant,
        "id": made.credential_id,
        "staff": staff_id,
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "backed_up": made.credential_backed_up,
        "name_sealed": _sealed_name(keys, made.credential_id, name),
    }
    if not execute(conn, _Q["insert_key"], **row, mac=authority_mac(authority_key(keys), "staff_key", row)):
        raise SignInRefused


def add_own_passkey(conn: Conn, keystore: Keystore, owner: SignedInAs, origin: str, made: tuple[str, str]) -> None:
    """Stores a passkey that an account adds to those it has; `made`: what the browser answered, and the key's name.

    Raises SignInRefused as `add_passkey` does, and for a challenge that is not of the last ten minutes or was used.
    """
    credential, name = made
    try:
        challenge = _challenge_of(parse_registration_credential_json(credential).response.client_data_json)
    except _WRONG:
        raise SignInRefused from None
    if not _is_ours(conn, keystore, challenge) or not _spend(conn, owner[0], challenge):
        raise SignInRefused
    add_passkey(conn, owner, origin, challenge.encode(), credential, name)


def check_passkey(
    conn: Conn, keystore: Keystore, origin: str, credential: str, only: SignedInAs | None = None
) -> SignedInAs:
    """Returns the account whose passkey signed, and notes the sign-in; `only`: where it has to be that account.

    Raises SignInRefused, whatever is wrong; the account may be disabled, which `read_session` refuses.
    """
    try:
        parsed = parse_authentication_credential_json(credential)
        challenge = _challenge_of(parsed.response.client_data_json)
        row = _key_row(conn, keystore, parsed.raw_id)
        if row is None or not _is_ours(conn, keystore, challenge) or not _belongs(row, parsed.response.user_handle):
            raise ValueError
        signed = verify_authentication_response(
            credential=parsed,
            expected_challenge=challenge.encode(),
            expected_rp_id=relying_party(origin) or "",
            expected_origin=origin,
            credential_public_key=row["public_key"],
            credential_current_sign_count=row["sign_count"],
            require_user_verification=True,
        )
    except _WRONG:
        SIGN_INS.labels("refused").inc()
        raise SignInRefused from None
    keys, staff_id = keystore.tenant(row["tenant"]), row["staff"]
    account = fetch_one(conn, _Q["read_staff"], tenant=keys.tenant, id=staff_id)
    good = account is not None and is_authentic(keys, "staff", account) and not account["disabled"]
    # Whoever comes from an identity provider signs in there, so that their roles are those of today.
    good = good and (only == (keys, staff_id) if only else account is not None and account["external"] is None)
    if not good or not _spend(conn, keys, challenge):
        SIGN_INS.labels("refused").inc()
        raise SignInRefused
    execute(
        conn, _Q["note_key_used"], tenant=keys.tenant, staff=staff_id, id=row["id"], sign_count=signed.new_sign_count
    )
    note_sign_in(conn, keys, staff_id, "passkey")
    return keys, staff_id


def list_passkeys(conn: Conn, keys: TenantKeys, staff_id: UUID) -> list[Passkey]:
    """Returns an account's passkeys, the oldest first; without rows that nobody with the keys has written."""
    rows = fetch(conn, _Q["list_keys"], tenant=keys.tenant, staff=staff_id)
    return [
        Passkey(row["id"], _name(keys, row), row["created_at"], row["used_at"], row["backed_up"])
        for row in rows
        if is_authentic(keys, "staff_key", row)
    ]


def rename_passkey(conn: Conn, keys: TenantKeys, staff_id: UUID, key: bytes, name: str) -> None:
    """Gives an account's passkey another name. Raises NotFound."""
    sealed = _sealed_name(keys, key, name)
    if not execute(conn, _Q["rename_key"], tenant=keys.tenant, staff=staff_id, id=key, name_sealed=sealed):
        raise NotFound("no such passkey")


def _key_row(conn: Conn, keystore: Keystore, credential_id: bytes) -> Row | None:
    for row in fetch(conn, _Q["read_keys_by_credential"], id=credential_id):
        if is_authentic(keystore.tenant(row["tenant"]), "staff_key", row):
            return row
    return None


def _belongs(row: Row, handle: bytes | None) -> bool:
    """An authenticator may leave the handle out where it was told which key to use."""
    return handle is None or handle == row["staff"].bytes


def _challenge_of(client_data: bytes) -> str:
    return base64url_to_bytes(json.loads(client_data)["challenge"]).decode("ascii")


def _is_ours(conn: Conn, keystore: Keystore, challenge: str) -> bool:
    """Tells whether this installation made a challenge within the last ten minutes."""
    begun, _, seal = challenge.rpartition(".")
    with suppress(ValueError):
        age = database_time(conn).timestamp() - float(begun.partition(".")[2])
        return hmac.compare_digest(seal, _seal_of(keystore, begun)) and -1 <= age <= CHALLENGE_VALID.total_seconds()
    return False


def _spend(conn: Conn, keys: TenantKeys, challenge: str) -> bool:
    """Tells whether a challenge is used for the first time, and notes that it is."""
    spent = sha256(challenge.encode()).digest()
    return execute(conn, _Q["spend_challenge"], tenant=keys.tenant, sha256=spent) > 0


def _seal_of(keystore: Keystore, begun: str) -> str:
    """Seals with a key of the installation's first tenant: whose passkey will sign is not known yet."""
    key = authority_key(keystore.tenant(keystore.tenants()[0]))
    return hmac.new(key, b"assent.challenge/1" + begun.encode(), sha256).hexdigest()


def _sealed_name(keys: TenantKeys, key: bytes, name: str) -> bytes:
    return seal_for_tenant(keys, "staff", " ".join(name.split())[:80].encode(), key, "key")


def _name(keys: TenantKeys, row: Row) -> str:
    return unseal_for_tenant(keys, "staff", row["name_sealed"], row["id"], "key").decode()
