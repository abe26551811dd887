"""Keeps the accounts of the console's users: names, roles, queues, settings; an account is never deleted, but disabled.

Each row carries a MAC over what gives it power: whoever writes SQL makes no account and changes no role.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter, ValidationError

from assent.core.errors import NotFound
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.authority import authority_key, authority_mac, end_authority, is_authentic, version_of
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.staff.roles import Permission, StaffRole, check_permission, may, read_roles

LEAST_UNDO, MOST_UNDO = 10, 60  # seconds
_Q = named_queries("staff")


@dataclass(frozen=True, slots=True)
class StaffSettings:
    """Says how the console's pages look and behave for one account.

    `keys`: single letters act. `grey`: pictures come without colour until asked. `undo_seconds`: 10 to 60, for which a
    decision may be undone. `muted`: categories of labels whose pictures are not this account's next case.
    """

    keys: bool = True
    grey: bool = True
    undo_seconds: int = LEAST_UNDO
    muted: tuple[str, ...] = ()
    key_map: dict[str, str] = field(default_factory=dict)  # action → letter, where it is not the usual one


@dataclass(frozen=True, slots=True)
class Staff:
    """An account of the console. `queues`: None is all."""

    tenant: str
    id: UUID
    name: str = field(repr=False)
    roles: tuple[StaffRole, ...]
    queues: tuple[str, ...] | None
    settings: StaffSettings
    disabled: bool = False

    @property
    def by(self) -> str:
        """Returns how cases, corrections and leaves name the account."""
        return str(self.id)

    def may(self, permission: Permission, queue: str | None = None) -> bool:
        return may(self.roles, self.queues, permission, queue)

    def must(self, permission: Permission, queue: str | None = None) -> None:
        """Raises RoleMissing where the account lacks the permission, for cases of that queue."""
        check_permission(self.roles, self.queues, permission, queue)


_SETTINGS = TypeAdapter(StaffSettings)


def create_staff(
    conn: Conn,
    keys: TenantKeys,
    name: str,
    roles: Collection[str],
    queues: Collection[str] | None = None,
    staff_id: UUID | None = None,
) -> Staff:
    """Creates an account, of that id where one is given, that nobody can sign in to yet.

    Raises ValueError for what is no role.
    """
    row: dict[str, Any] = {
        "tenant": keys.tenant,
        "id": staff_id or uuid4(),
        "roles": list(read_roles(roles)),
        "queues": None if queues is None else sorted(set(queues)),
        "external": None,
        "password_hash": None,
        "totp_sealed": None,
        "disabled": False,
        "version": 1,
    }
    row["name_sealed"] = seal_for_tenant(keys, "staff", name.encode(), row["id"].bytes)
    execute(conn, _Q["insert_staff"], **row, mac=staff_mac(keys, row))
    return staff_of(keys, {**row, "settings": {}})


def read_staff(conn: Conn, keys: TenantKeys, staff_id: UUID) -> Staff:
    """Returns the account, disabled or not. Raises NotFound also for a row that nobody with the keys has written."""
    row = fetch_one(conn, _Q["read_staff"], tenant=keys.tenant, id=staff_id)
    if row is None or not is_authentic(keys, "staff", row):
        raise NotFound("no account of that id")
    return staff_of(keys, row)


def list_staff(conn: Conn, keys: TenantKeys) -> list[Staff]:
    """Returns all accounts, the oldest first; without rows that nobody with the keys has written."""
    rows = fetch(conn, _Q["list_staff"], tenant=keys.tenant)
    return [staff_of(keys, row) for row in rows if is_authentic(keys, "staff", row)]


def change_staff(conn: Conn, keys: TenantKeys, staff_id: UUID, **columns: Any) -> Staff:
    """Changes columns of an account (`roles`, `queues`, `password_hash`, `totp_sealed`, `external`, `disabled`).

    Raises NotFound as `read_staff` does.
    """
    row = fetch_one(conn, _Q["lock_staff"], tenant=keys.tenant, id=staff_id)
    if row is None or not is_authentic(keys, "staff", row):
        raise NotFound("no account of that id")
    end_authority(keys, [("staff", version_of(row))])  # whoever puts the row of before back restores nothing
    row = {**row, **columns, "version": row["version"] + 1}
    execute(conn, _Q["update_staff"], **{**row, "settings": None, "mac": staff_mac(keys, row)})
    return staff_of(keys, row)


def change_settings(conn: Conn, keys: TenantKeys, staff_id: UUID, settings: StaffSettings) -> None:
    """Stores how the pages look and behave for an account."""
    execute(conn, _Q["update_staff_settings"], tenant=keys.tenant, id=staff_id, settings=Jsonb(asdict(settings)))


def staff_of(keys: TenantKeys, row: Row) -> Staff:
    """Returns the account of an authentic row of `staff`; settings that do not read are the usual ones."""
    name = unseal_for_tenant(keys, "staff", row["name_sealed"], row["id"].bytes).decode()
    try:
        settings = _SETTINGS.validate_python(row["settings"])
    except ValidationError:
        settings = StaffSettings()
    queues = None if row["queues"] is None else tuple(row["queues"])
    return Staff(keys.tenant, row["id"], name, read_roles(row["roles"]), queues, settings, row["disabled"])


def staff_mac(keys: TenantKeys, row: Row) -> bytes:
    """Returns the MAC of a row of `staff`."""
    return authority_mac(authority_key(keys), "staff", row)
