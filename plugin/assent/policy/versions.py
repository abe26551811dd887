"""Finds the policy that decides for a tenant, and activates a policy, rolls it back or tries it in the shadow.

Each change is one row and one leaf of the audit log. Workers read the newest row for every image, so a change counts
from its commit on. A policy that was read once is kept compiled under its hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from assent.audit.log import append
from assent.core.errors import NotFound, PolicyInvalid
from assent.core.telemetry import log
from assent.core.values import PolicyRef
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.policy.compare import CountKey, CountKind
from assent.policy.load import stored_policy
from assent.policy.model import Policy

_Q = named_queries("policy")
_MOST_COMPILED = 64


class TenantPolicies(NamedTuple):
    """The active policy, and the shadow policy that is tried beside it, if any."""

    active: Policy
    shadow: Policy | None


class _Activation(NamedTuple):
    """A change of the active policy: its number, the policy's hash and, of a rollback, the activation that counts."""

    n: int
    sha256: str | None  # None: the installation's own
    back_to: int | None
    action: str


@dataclass(frozen=True, slots=True, eq=False)
class Policies:
    """The policies of all tenants; `default` decides for a tenant that activated none."""

    default: Policy
    _compiled: dict[str, Policy] = field(default_factory=dict)
    _has_default: set[str] = field(default_factory=set)  # tenants beside whose decisions the default is stored

    def of(self, conn: Conn, tenant: str) -> TenantPolicies:
        """Returns the tenant's active policy and its shadow policy.

        Raises PolicyUnreadable for an active policy that no longer reads; a shadow policy that does not is left out.
        """
        row = fetch_one(conn, _Q["read_active_and_shadow"], tenant=tenant) or {"active": None, "shadow": None}
        if row["active"] is None:
            self._store_default(conn, tenant)
        active = self.default if row["active"] is None else self._read(conn, tenant, row["active"])
        try:
            shadow = None if row["shadow"] is None else self._read(conn, tenant, row["shadow"])
        except PolicyInvalid as error:
            log.error("the shadow policy does not read", tenant=tenant, code=error.code)
            shadow = None
        return TenantPolicies(active, shadow)

    def _store_default(self, conn: Conn, tenant: str) -> None:
        if tenant not in self._has_default:
            store_policy(conn, tenant, self.default)
            self._has_default.add(tenant)

    def _read(self, conn: Conn, tenant: str, sha256: str) -> Policy:
        if sha256 not in self._compiled:
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            self._compiled[sha256] = read_policy(conn, tenant, sha256)
        return self._compiled[sha256]


class PolicyUnreadable(PolicyInvalid):
    """An error about a stored policy that does not read; `ref` names it for the decision that cannot be made."""

    def __init__(self, detail: str, ref: PolicyRef) -> None:
        super().__init__(detail)
        self.ref = ref


def read_policy(conn: Conn, tenant: str, sha256: str) -> Policy:
    """Returns a stored policy.

    Raises PolicyUnreadable where it is not there, was altered, or is of another version of `assent.policy`.
    """
    row = fetch_one(conn, _Q["read_policy"], tenant=tenant, sha256=sha256)
    ref = PolicyRef("unreadable", "", sha256)
    if row is None:
        raise PolicyUnreadable(f"policy {sha256[:12]} is not stored", ref)
    try:
        policy = stored_policy(row["canonical"])
    except PolicyInvalid as error:
        raise PolicyUnreadable(error.detail, ref) from None
    if policy.ref.sha256 != sha256:
        raise PolicyUnreadable(f"policy {sha256[:12]} was altered", ref)
    return policy


def store_policy(conn: Conn, tenant: str, policy: Policy) -> None:
    """Stores a policy's text beside the decisions that name its hash."""
    ref, canonical = policy.ref, policy.canonical.decode()
    values = {"sha256": ref.sha256, "name": ref.name, "version": ref.version, "canonical": canonical}
    execute(conn, _Q["insert_policy"], tenant=tenant, **values)


def activate(conn: Conn, keys: TenantKeys, policy: Policy, now: datetime) -> int:
    """Makes a policy decide for the tenant from the commit on. Returns the leaf's place in the log.

    Raises NotFound where it does already.
    """
    newest = _lock(conn, keys)
    if newest is not None and newest["sha256"] == policy.ref.sha256:
        raise NotFound(f"{policy.ref.name} {policy.ref.version} is active already")
    store_policy(conn, keys.tenant, policy)
    n = newest["n"] + 1 if newest else 1
    return _switch(conn, keys, _Activation(n, policy.ref.sha256, None, "policy.activated"), now)


def roll_back_policy(conn: Conn, keys: TenantKeys, now: datetime) -> str | None:
    """Makes the policy before the last activated one decide again. Returns its hash, None for the installation's own.

    Each further call goes back one more. Raises NotFound where there is no activation to roll back.
    """
    newest = _lock(conn, keys)
    if newest is None or newest["stands"] == 0:
        raise NotFound("no policy was activated that could be rolled back")
    back_to, sha256 = newest["stands"] - 1, None
    if back_to:
        target = fetch_one(conn, _Q["read_activation"], tenant=keys.tenant, n=back_to)
        if target is None:
            raise NotFound(f"activation {back_to} is missing")
        back_to, sha256 = target["stands"], target["sha256"]
    _switch(conn, keys, _Activation(newest["n"] + 1, sha256, back_to, "policy.rolled-back"), now)
    return sha256


def list_activations(conn: Conn, tenant: str) -> list[Row]:
    """Returns every change, oldest first."""
    return fetch(conn, _Q["list_activations"], tenant=tenant)


def start_shadow(conn: Conn, keys: TenantKeys, policy: Policy, now: datetime) -> None:
    """Tries a policy beside the active one from the commit on; the counts of the one before are deleted."""
    _lock(conn, keys)
    execute(conn, _Q["delete_shadow"], tenant=keys.tenant)
    store_policy(conn, keys.tenant, policy)
    execute(conn, _Q["insert_shadow"], tenant=keys.tenant, sha256=policy.ref.sha256, at=now)
    append(conn, keys, "policy.shadowed", {"policy": policy.ref.sha256}, [], now)


def stop_shadow(conn: Conn, keys: TenantKeys, now: datetime) -> None:
    """Ends the trial of the shadow policy and deletes its counts. Raises NotFound where there is none."""
    _lock(conn, keys)
    if not execute(conn, _Q["delete_shadow"], tenant=keys.tenant):
        raise NotFound("no policy is tried in the shadow")
    append(conn, keys, "policy.shadow-ended", {}, [], now)


def count_shadow(conn: Conn, tenant: str, shadow: PolicyRef, counts: Mapping[CountKey, int]) -> None:
    """Adds one image's counts, always in one order, so that two workers never deadlock."""
    keys = sorted(counts)
    columns = {"kinds": 0, "names": 1, "was": 2, "becomes": 3}
    values = {name: [key[n] for key in keys] for name, n in columns.items()}
    execute(
        conn,
        _Q["add_shadow_counts"],
        tenant=tenant,
        sha256=shadow.sha256,
        counts=[counts[key] for key in keys],
        **values,
    )


def shadow_report(conn: Conn, tenant: str) -> tuple[Row, Counter[CountKey]]:
    """Returns the shadow policy with its start, and its counts. Raises NotFound where there is none."""
    row = fetch_one(conn, _Q["read_shadow"], tenant=tenant)
    if row is None:
        raise NotFound("no policy is tried in the shadow")
    counts: Counter[CountKey] = Counter()
    for counted in fetch(conn, _Q["list_shadow_counts"], tenant=tenant):
        kind: CountKind = counted["kind"]
        counts[CountKey(kind, counted["name"], counted["was"], counted["becomes"])] = counted["count"]
    return row, counts


def _lock(conn: Conn, keys: TenantKeys) -> Row | None:
    """Locks the tenant's activations and returns the newest."""
    execute(conn, _Q["lock_tenant"], tenant=keys.tenant)
    return fetch_one(conn, _Q["read_activation"], tenant=keys.tenant, n=None)


def _switch(conn: Conn, keys: TenantKeys, activation: _Activation, now: datetime) -> int:
    """Appends the leaf of an activation, stores it and returns the leaf's number."""
    # The log's lock is the last one taken; a row of our own afterwards waits for nobody.
    leaf = append(conn, keys, activation.action, {"policy": activation.sha256 or "installation"}, [], now)
    values = {"n": activation.n, "sha256": activation.sha256, "back_to": activation.back_to}
    execute(conn, _Q["insert_activation"], tenant=keys.tenant, **values, leaf=leaf.seq, at=now)
    return leaf.seq
