"""Seals and opens what a source sets about its platform, bound to its name and its adapter."""

from __future__ import annotations

from assent.core.errors import SealBroken
from assent.db.pool import Row
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.platforms.delivery import SourceSettings, dump_source_settings, load_source_settings


def seal_source_settings(keys: TenantKeys, name: str, adapter: str, settings: SourceSettings) -> bytes:
    """Seals the settings of the source of that name."""
    return seal_for_tenant(keys, "secret", dump_source_settings(settings), keys.tenant, "settings", name, adapter)


def open_source_settings(keys: TenantKeys, row: Row) -> SourceSettings:
    """Opens the settings in a source's row. Raises SealBroken for an altered row."""
    if row["settings_sealed"] is None:
        if row["adapter"] == "standard":  # which has none to set
            return SourceSettings()
        raise SealBroken("a source of a platform without its settings")
    place = (keys.tenant, "settings", row["name"], row["adapter"])
    return load_source_settings(unseal_for_tenant(keys, "secret", row["settings_sealed"], *place))
