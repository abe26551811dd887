"""What belongs to a tenant is sealed under a key of its kind and month; what was sealed before still opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assent.core.errors import SealBroken
from assent.keys import tenant_seal
from assent.keys.keystore import TenantKeys
from assent.keys.seal import SEAL_FORMAT, join_parts, seal, unseal
from assent.keys.tenant_seal import MARKER, Kind, seal_for_tenant, unseal_for_tenant

PLACE = ("default", "an event")


@pytest.fixture
def month(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The month in which is sealed; the test sets it."""
    clock = SimpleNamespace(month=7)
    time = SimpleNamespace(now=lambda zone: datetime(2026, clock.month, 31 if clock.month == 7 else 1, tzinfo=zone))
    monkeypatch.setattr(tenant_seal, "datetime", time)
    return clock


def test_opens_in_every_later_month(tenant_keys: TenantKeys, month: SimpleNamespace) -> None:
    july = seal_for_tenant(tenant_keys, "event", b"said", *PLACE)
    month.month = 8
    august = seal_for_tenant(tenant_keys, "event", b"said", *PLACE)
    assert (july[:15], august[:15]) == (b"monthly:2026-07", b"monthly:2026-08")
    assert [unseal_for_tenant(tenant_keys, "event", sealed, *PLACE) for sealed in (july, august)] == [b"said"] * 2
    with pytest.raises(SealBroken):
        unseal_for_tenant(tenant_keys, "event", august[:15] + july[15:], *PLACE)


def test_no_two_months_kinds_or_tenants_share_a_key(tenant_keys: TenantKeys) -> None:
    kinds: tuple[Kind, ...] = ("event", "kept")
    keys = {
        tenant_seal._key(tenant_keys.seal_key, tenant, kind, month)
        for tenant in ("default", "other")
        for kind in kinds
        for month in ("2026-07", "2026-08")
    }
    assert len(keys | {tenant_keys.seal_key}) == 9


def test_opens_nowhere_else(tenant_keys: TenantKeys) -> None:
    sealed = seal_for_tenant(tenant_keys, "event", b"said", *PLACE)
    others: tuple[tuple[TenantKeys, Kind, tuple[str, str]], ...] = (
        (tenant_keys, "kept", PLACE),
        (tenant_keys, "event", ("default", "another")),
        (replace(tenant_keys, tenant="other"), "event", PLACE),
        (replace(tenant_keys, seal_key=bytes(32)), "event", PLACE),
    )
    for keys, kind, place in others:
        with pytest.raises(SealBroken):
            unseal_for_tenant(keys, kind, sealed, *place)


def test_any_changed_byte_is_found(tenant_keys: TenantKeys) -> None:
    sealed = seal_for_tenant(tenant_keys, "event", b"said", *PLACE)
    for n in range(len(sealed)):
        altered = sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :]
        with pytest.raises(SealBroken):
            unseal_for_tenant(tenant_keys, "event", altered, *PLACE)
        with pytest.raises(SealBroken):
            unseal_for_tenant(tenant_keys, "event", sealed[:n], *PLACE)


def test_a_value_of_before_opens_as_before(tenant_keys: TenantKeys) -> None:
    sealed = seal(tenant_keys.seal_key, b"said", "event", *PLACE)
    assert unseal_for_tenant(tenant_keys, "event", sealed, *PLACE) == b"said"
    with pytest.raises(SealBroken):
        unseal_for_tenant(tenant_keys, "kept", sealed, *PLACE)


def test_a_value_of_before_opens_that_begins_like_one_of_today(tenant_keys: TenantKeys) -> None:
    nonce, place = MARKER + b"2026", join_parts((SEAL_FORMAT, "event", *PLACE))
    stream = AESGCM(tenant_keys.seal_key).encrypt(nonce, bytes(3), place)[:3]
    plain = bytes(a ^ b for a, b in zip(stream, b"-07", strict=True))
    sealed = nonce + AESGCM(tenant_keys.seal_key).encrypt(nonce, plain, place)
    assert sealed.startswith(b"monthly:2026-07")
    assert unseal_for_tenant(tenant_keys, "event", sealed, *PLACE) == plain


def test_the_seal_key_itself_opens_nothing_new(tenant_keys: TenantKeys) -> None:
    sealed = seal_for_tenant(tenant_keys, "event", b"said", *PLACE)
    with pytest.raises(SealBroken):
        unseal(tenant_keys.seal_key, sealed[15:], "event", *PLACE)
    assert sealed[8:15].decode() == f"{datetime.now(UTC):%Y-%m}"
