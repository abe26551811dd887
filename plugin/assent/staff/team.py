"""Makes accounts by links that set them up, changes their roles and queues, disables them; each act is in the log."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from assent.core.console_errors import LastAdmin, LastSignIn, SetUpLinkOver
from assent.core.errors import BadRequest, NotFound
from assent.db.pool import Conn, execute
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.keys.authority import end_authority
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.tenant_seal import seal_for_tenant
from assent.staff.accounts import Staff, change_staff, create_staff, list_staff, read_staff
from assent.staff.passkeys import list_passkeys
from assent.staff.passwords import used_step
from assent.staff.roles import StaffRole, read_roles
from assent.staff.sessions import end_sessions, read_token, store_token, take_token, token_secret
from assent.staff.sign_in import has_password, is_provided, same_name
from assent.subjects.access import record_access

LINK_VALID, MOST_NAME = timedelta(minutes=15), 80  # characters
_Q = named_queries("staff")


@dataclass(frozen=True, slots=True)
class SetUpLink:
    """A link that makes an account once, or gives one its first or another way to sign in.

    `staff`: the account that stands already; None: it is made of name, roles and queues when the link is used.
    """

    keys: TenantKeys
    token: str = field(repr=False)
    name: str = field(repr=False)
    roles: tuple[StaffRole, ...]
    queues: tuple[str, ...] | None
    staff: UUID | None

    @property
    def totp(self) -> str:
        """Returns the secret that an authenticator app of this account may take: the same whenever the link is seen."""
        return app_secret(token_secret(self.keys, self.token, "totp"))

    @property
    def challenge(self) -> bytes:
        """Returns what a passkey signs that is registered with this link; it is spent with it."""
        return token_secret(self.keys, self.token, "challenge")

    @property
    def handle(self) -> UUID:
        """Returns the id of the account, also of one that is still to be made."""
        return self.staff or UUID(bytes=token_secret(self.keys, self.token, "staff")[:16], version=4)


def make_link(
    conn: Conn, keys: TenantKeys, by: str, roles: Collection[str], queues: Collection[str] | None, name: str = ""
) -> str:
    """Makes a link for a new account; returns its token. Raises BadRequest for what is no role, or none at all."""
    granted = _roles(roles)
    chosen = None if queues is None else sorted(set(queues))
    held = {"name": name, "roles": list(granted), "queues": chosen}
    token = store_token(conn, keys, "set-up", LINK_VALID, held, None)
    record_access(conn, keys, "staff.invited", by, roles=list(granted), queues=chosen)
    return token


def make_link_for(conn: Conn, keys: TenantKeys, by: str, staff_id: UUID) -> str:
    """Makes a link with which an account that stands gets another way to sign in; returns its token.

    Raises NotFound for an account that is disabled or does not exist.
    """
    staff = read_staff(conn, keys, staff_id)
    if staff.disabled:
        raise NotFound("no account of that id that may sign in")
    token = store_token(conn, keys, "set-up", LINK_VALID, {"name": staff.name, "roles": [], "queues": None}, staff_id)
    record_access(conn, keys, "staff.invited", by, staff=str(staff_id))
    return token


def read_link(conn: Conn, keystore: Keystore, token: str) -> SetUpLink:
    """Returns what a link does, and spends nothing. Raises SetUpLinkOver."""
    return _link(token, read_token(conn, keystore, token, "set-up"))


def take_link(conn: Conn, keystore: Keystore, token: str) -> SetUpLink:
    """Spends a link. Raises SetUpLinkOver."""
    return _link(token, take_token(conn, keystore, token, "set-up"))


def use_link(conn: Conn, link: SetUpLink, name: str) -> Staff:
    """Returns the account of a link that was spent, and makes it where it does not stand.

    Raises BadRequest for a name that is empty, too long, or another account's.
    """
    if link.staff is not None:
        return read_staff(conn, link.keys, link.staff)
    name = check_name(conn, link.keys, name)
    staff = create_staff(conn, link.keys, name, link.roles, link.queues, link.handle)
    record_access(
        conn, link.keys, "staff.added", staff.by, staff=staff.by, roles=list(link.roles), queues=_listed(link.queues)
    )
    return staff


def set_password(conn: Conn, keys: TenantKeys, staff_id: UUID, hashed: str, app: tuple[str, str]) -> int:
    """Gives an account a password, by its hash, and an authenticator app, by its secret and a code of now.

    Returns the code's step. Raises BadRequest where the code is not the app's.
    """
    secret, code = app
    step = used_step(secret, code, database_time(conn), None)
    if step is None:
        raise BadRequest("code_wrong")
    sealed = seal_for_tenant(keys, "staff", secret.encode(), staff_id.bytes, "totp")
    change_staff(conn, keys, staff_id, password_hash=hashed, totp_sealed=sealed)
    execute(conn, _Q["note_sign_in"], tenant=keys.tenant, id=staff_id, step=step)
    return step


def app_secret(raw: bytes) -> str:
    """Returns the secret of an authenticator app, 160 bits of those 32 bytes in base32."""
    return base64.b32encode(raw[:20]).decode()


def remove_password(conn: Conn, keys: TenantKeys, staff_id: UUID) -> None:
    """Removes an account's password and app. Raises LastSignIn where it could not sign in any more."""
    execute(conn, _Q["lock_names"], tenant=keys.tenant)
    if not list_passkeys(conn, keys, staff_id) and not is_provided(conn, keys, staff_id):
        raise LastSignIn
    change_staff(conn, keys, staff_id, password_hash=None, totp_sealed=None)


def remove_passkey(conn: Conn, keys: TenantKeys, staff_id: UUID, key: bytes) -> None:
    """Removes an account's passkey for good. Raises NotFound, and LastSignIn as above."""
    execute(conn, _Q["lock_names"], tenant=keys.tenant)
    if not execute(conn, _Q["delete_key"], tenant=keys.tenant, staff=staff_id, id=key):
        raise NotFound("no such passkey")
    left = list_passkeys(conn, keys, staff_id) or has_password(conn, keys, staff_id)
    if not left and not is_provided(conn, keys, staff_id):
        raise LastSignIn
    end_authority(keys, [("staff_key", key)])


def check_name(conn: Conn, keys: TenantKeys, name: str) -> str:
    """Returns a name as it is stored. Raises BadRequest where it is empty, too long, or another account's."""
    name = " ".join(name.split())
    if not 0 < len(name) <= MOST_NAME:
        raise BadRequest("name_missing")
    execute(conn, _Q["lock_names"], tenant=keys.tenant)
    if same_name(name) in {same_name(staff.name) for staff in list_staff(conn, keys)}:
        raise BadRequest("name_taken")
    return name


def change_team(conn: Conn, keys: TenantKeys, by: str, staff_id: UUID, changes: Mapping[str, Any]) -> Staff:
    """Changes `roles` and `queues` of an account, or `disabled`; its sessions end.

    Raises LastAdmin where nobody with the role admin would be left, NotFound, BadRequest for what is no role.
    """
    execute(conn, _Q["lock_names"], tenant=keys.tenant)
    before = read_staff(conn, keys, staff_id)
    columns = dict(changes)
    if "roles" in columns:
        columns["roles"] = list(_roles(columns["roles"]))
    roles, disabled = columns.get("roles", before.roles), columns.get("disabled", before.disabled)
    if is_admin(before) and (disabled or "admin" not in roles):
        others = [staff for staff in list_staff(conn, keys) if staff.id != staff_id]
        if not any(map(is_admin, others)):
            raise LastAdmin
    after = change_staff(conn, keys, staff_id, **columns)
    end_sessions(conn, keys, staff_id)
    if after.disabled:
        record_access(conn, keys, "staff.disabled", by, staff=after.by)
    else:
        record_access(
            conn, keys, "staff.changed", by, staff=after.by, roles=list(after.roles), queues=_listed(after.queues)
        )
    return after


def is_admin(staff: Staff) -> bool:
    """Tells whether an account may manage the others."""
    return "admin" in staff.roles and not staff.disabled


def _roles(names: Collection[str]) -> tuple[StaffRole, ...]:
    try:
        roles = read_roles(names)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if not roles:
        raise BadRequest("an account has at least one role")
    return roles


def _link(token: str, found: tuple[TenantKeys, dict[str, Any]] | None) -> SetUpLink:
    if found is None:
        raise SetUpLinkOver
    keys, held = found
    queues = None if held["queues"] is None else tuple(held["queues"])
    staff = held["staff"] and UUID(held["staff"])
    return SetUpLink(keys, token, held["name"], read_roles(held["roles"]), queues, staff)


def _listed(queues: Collection[str] | None) -> list[str] | None:
    return None if queues is None else list(queues)
