"""A person's key, templates and matches open for that person, tenant and epoch only."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest

from assent.core.errors import SealBroken
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import (
    SubjectKey,
    match_pseudonym,
    open_locator,
    open_match,
    open_template,
    seal_locator,
    seal_match,
    seal_template,
)


@pytest.fixture
def ana(tenant_keys: TenantKeys) -> SubjectKey:
    return SubjectKey.new(tenant_keys, derive_pseudonym(tenant_keys, "ana"))


@pytest.fixture
def bea(tenant_keys: TenantKeys) -> SubjectKey:
    return SubjectKey.new(tenant_keys, derive_pseudonym(tenant_keys, "bea"))


def face() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = np.random.default_rng(1).standard_normal(128)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def test_subject_key_comes_back(tenant_keys: TenantKeys, ana: SubjectKey) -> None:
    assert SubjectKey.unwrap(tenant_keys, ana.pseudonym, tenant_keys.epoch, ana.wrap(tenant_keys)) == ana
    assert ana.key.hex() not in repr(ana)
    assert "key=" not in repr(ana)


def test_subject_key_of_another_person_tenant_or_epoch(
    local_keystore: Keystore, tenant_keys: TenantKeys, ana: SubjectKey, bea: SubjectKey
) -> None:
    wrapped = ana.wrap(tenant_keys)
    with pytest.raises(SealBroken):
        SubjectKey.unwrap(tenant_keys, bea.pseudonym, 1, wrapped)
    with pytest.raises(SealBroken):
        SubjectKey.unwrap(local_keystore.add_tenant("other"), ana.pseudonym, 1, wrapped)
    other_epoch = replace(tenant_keys, epoch=2, store=None)
    with pytest.raises(SealBroken, match="epoch 1; the live one is 2"):
        SubjectKey.unwrap(other_epoch, ana.pseudonym, 1, wrapped)
    with pytest.raises(SealBroken):  # the number alone does not open it either
        SubjectKey.unwrap(other_epoch, ana.pseudonym, 2, wrapped)


def test_template_keeps_the_direction(ana: SubjectKey) -> None:
    row, vector = uuid4(), face()
    opened = open_template(ana, row, "m", seal_template(ana, row, "m", vector))
    assert opened.dtype == np.float16
    assert float(opened.astype(np.float32) @ vector) == pytest.approx(1, abs=1e-3)


def test_template_moved_to_another_row_person_or_model(ana: SubjectKey, bea: SubjectKey) -> None:
    row = uuid4()
    sealed = seal_template(ana, row, "m", face())
    with pytest.raises(SealBroken):
        open_template(ana, uuid4(), "m", sealed)
    with pytest.raises(SealBroken):
        open_template(ana, row, "n", sealed)
    with pytest.raises(SealBroken):
        open_template(bea, row, "m", sealed)
    with pytest.raises(SealBroken):
        open_template(replace(ana, pseudonym=bea.pseudonym), row, "m", sealed)


@pytest.mark.parametrize("vector", [np.zeros(128), np.full(128, np.nan), np.ones(128), np.zeros(0), np.ones((1, 1))])
def test_what_is_no_unit_vector_is_not_sealed(ana: SubjectKey, vector: np.ndarray[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="unit length"):
        seal_template(ana, uuid4(), "m", vector)


def test_match_comes_back_and_names_its_person(tenant_keys: TenantKeys, ana: SubjectKey) -> None:
    found = {"template": "t", "version": 3, "band": "strong"}
    row = seal_match(tenant_keys, ana, "media", 2, found)
    assert match_pseudonym(tenant_keys, "media", 2, row.epoch, row.locator) == ana.pseudonym
    assert open_match(ana, "media", 2, row.sealed) == found
    assert ana.pseudonym not in row.locator + row.sealed


def test_match_moved_to_another_picture_or_face(tenant_keys: TenantKeys, ana: SubjectKey) -> None:
    row = seal_match(tenant_keys, ana, "media", 2, {})
    for media, number in (("media", 1), ("other", 2)):
        with pytest.raises(SealBroken):
            open_match(ana, media, number, row.sealed)
        with pytest.raises(SealBroken):
            match_pseudonym(tenant_keys, media, number, row.epoch, row.locator)


def test_locator_dies_with_the_epoch(tenant_keys: TenantKeys, ana: SubjectKey) -> None:
    locator = seal_locator(tenant_keys, ana.pseudonym, "audit", "7", "1")
    assert open_locator(tenant_keys, 1, locator, "audit", "7", "1") == ana.pseudonym
    rotated = replace(tenant_keys, epoch=2, epoch_key=bytes(32), store=None)
    with pytest.raises(SealBroken):
        open_locator(rotated, 1, locator, "audit", "7", "1")
