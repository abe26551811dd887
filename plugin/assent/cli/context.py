"""Provides what commands that use a database share: the open database, a tenant's keys, one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

from assent.audit.authority import open_installation
from assent.audit.broken import noting_altered_rows
from assent.audit.epoch import Restoration
from assent.core.settings import Settings
from assent.db.pool import Conn, Pool, open_pool, transaction
from assent.keys.installation import database
from assent.keys.keystore import Keystore, TenantKeys

Source = Annotated[str | None, typer.Option(help="Whose picture, where several sources have one of that id.")]


@contextmanager
def opened_keystore(settings: Settings | None = None, size: int = 4) -> Iterator[tuple[Pool, Keystore]]:
    """Opens a pool of at most `size` connections and the keystore of the settings' installation.

    Raises DatabaseUnavailable, NotInitialised or KeyMissing.
    """
    settings = settings or Settings()
    with database(settings) as url, open_pool(url, size=size) as pool:
        yield pool, open_installation(settings, pool)


@contextmanager
def opened_tenant(tenant: str) -> Iterator[tuple[Pool, TenantKeys]]:
    """Opens a pool and the keys of a tenant; an altered row that ends the command is noted in the audit log.

    Raises KeyMissing for a tenant that does not exist.
    """
    with opened_keystore(size=2) as (pool, keystore):
        keys = keystore.tenant(tenant)
        with noting_altered_rows(pool, keys, "command"):
            yield pool, keys


@contextmanager
def tenant_transaction(tenant: str) -> Iterator[tuple[Conn, TenantKeys]]:
    """Opens one transaction and the keys of a tenant; commits at the end, rolls back on any error."""
    with opened_tenant(tenant) as (pool, keys), transaction(pool) as conn:
        yield conn, keys


def operator() -> str:
    """Names who runs this command, for the audit log: the operating system's number of its user, and no name."""
    return f"uid {os.getuid()}"


def print_sealed(tenants: Mapping[str, Mapping[str, int]]) -> None:
    """Prints how many restored rows, of before MACs, have got theirs: nothing tells whether these were altered."""
    for tenant, rows in tenants.items():
        counts = ", ".join(f"{count} of {table}" for table, count in rows.items())
        print(f"Rows of {tenant} from before the upgrade that count from now on as they are: {counts}.")


def print_restorations(logs: Mapping[str, Restoration]) -> None:
    """Prints which tenants' logs lost signed leaves with a restore."""
    for tenant, restoration in logs.items():
        print(f"The log of {tenant} was set back: {restoration}.")
