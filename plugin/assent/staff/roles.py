"""Says which role of the console permits what; an account may have several, for all queues or for some."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from assent.core.console_errors import RoleMissing

StaffRole = Literal["viewer", "moderator", "senior", "policy", "privacy", "admin"]
Permission = Literal[
    "home",  # the desk, and one's own settings
    "see-cases",  # queues and cases, veiled pictures
    "see-pictures",  # pictures in full
    "decide",  # claim, decide, undo, skip, escalate
    "see-grave",  # pictures of queues marked grave in full
    "decide-senior",  # cases that were escalated
    "read-own-log",  # one's own leaves of the audit log
    "read-log",  # the whole audit log
    "read-system",  # policies, models, endpoints, dead letters
    "manage-team",  # accounts and their roles
]
_SEE: tuple[Permission, ...] = ("home", "see-cases")
_WORK: tuple[Permission, ...] = (*_SEE, "see-pictures", "decide", "see-grave", "read-own-log")
_LOG: tuple[Permission, ...] = ("read-own-log", "read-log", "read-system")
ROLES: Mapping[StaffRole, tuple[Permission, ...]] = {
    "viewer": _SEE,
    "moderator": _WORK,
    "senior": (*_WORK, "decide-senior", *_LOG),
    "policy": (*_SEE, *_LOG),
    "privacy": ("home", *_LOG),
    "admin": ("home", *_LOG, "manage-team"),
}
STEP_UP: frozenset[Permission] = frozenset({"see-grave", "manage-team"})  # only with a sign-in of the last minutes
SENIOR_ONLY = "senior"  # the queue of escalated cases


def permissions(roles: Collection[StaffRole]) -> frozenset[Permission]:
    """Returns what these roles permit together."""
    return frozenset(permission for role in roles for permission in ROLES[role])


def may(
    roles: Collection[StaffRole], queues: Collection[str] | None, permission: Permission, queue: str | None = None
) -> bool:
    """Tells whether an account of these roles and queues (None: all) has a permission, for cases of that queue."""
    granted = permissions(roles)
    if permission not in granted:
        return False
    if queue is None:
        return True
    if queue == SENIOR_ONLY and permission != "see-cases" and "decide-senior" not in granted:
        return False
    return queues is None or queue in queues


def check_permission(
    roles: Collection[StaffRole], queues: Collection[str] | None, permission: Permission, queue: str | None = None
) -> None:
    """Raises RoleMissing where `may` is false."""
    if not may(roles, queues, permission, queue):
        raise RoleMissing


def read_roles(names: Collection[str]) -> tuple[StaffRole, ...]:
    """Returns the roles of these names, in the table's order. Raises ValueError for a name that is no role."""
    if unknown := set(names) - set(get_args(StaffRole)):
        raise ValueError(f"{min(unknown)!r} is no role; there are {', '.join(get_args(StaffRole))}")
    return tuple(role for role in get_args(StaffRole) if role in names)
