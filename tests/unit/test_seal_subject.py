"""A person's key, templates and matches open for that person, tenant and epoch only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from assent.errors import SealBroken
from assent.gallery.keys import Keystore, TenantKeys, create, pid
from assent.gallery.template import (
    SubjectKey,
    match_pid,
    open_locator,
    open_match,
    open_template,
    seal_locator,
    seal_match,
    seal_template,
)


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return create(tmp_path / "keys", uuid4())


@pytest.fixture
def keys(store: Keystore) -> TenantKeys:
    return store.add_tenant("club")


@pytest.fixture
def ana(keys: TenantKeys) -> SubjectKey:
    return SubjectKey.new(keys, pid(keys, "ana"))


@pytest.fixture
def bea(keys: TenantKeys) -> SubjectKey:
    return SubjectKey.new(keys, pid(keys, "bea"))


def face() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = np.random.default_rng(1).standard_normal(128)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def test_subject_key_comes_back(keys: TenantKeys, ana: SubjectKey) -> None:
    assert SubjectKey.unwrap(keys, ana.pid, keys.epoch, ana.wrap(keys)) == ana
    assert ana.key.hex() not in repr(ana)
    assert "key=" not in repr(ana)


def test_subject_key_of_another_person_tenant_or_epoch(
    store: Keystore, keys: TenantKeys, ana: SubjectKey, bea: SubjectKey
) -> None:
    wrapped = ana.wrap(keys)
    with pytest.raises(SealBroken):
        SubjectKey.unwrap(keys, bea.pid, 1, wrapped)
    with pytest.raises(SealBroken):
        SubjectKey.unwrap(store.add_tenant("other"), ana.pid, 1, wrapped)
    other_epoch = replace(keys, epoch=2, store=None)
    with pytest.raises(SealBroken, match="epoch 1; the live one is 2"):
        SubjectKey.unwrap(other_epoch, ana.pid, 1, wrapped)
    with pytest.raises(SealBroken):  # the number alone does not open it either
        SubjectKey.unwrap(other_epoch, ana.pid, 2, wrapped)


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
        open_template(replace(ana, pid=bea.pid), row, "m", sealed)


@pytest.mark.parametrize("vector", [np.zeros(128), np.full(128, np.nan), np.ones(128), np.zeros(0), np.ones((1, 1))])
def test_what_is_no_unit_vector_is_not_sealed(ana: SubjectKey, vector: np.ndarray[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="unit length"):
        seal_template(ana, uuid4(), "m", vector)


def test_match_comes_back_and_names_its_person(keys: TenantKeys, ana: SubjectKey) -> None:
    found = {"template": "t", "version": 3, "band": "strong"}
    row = seal_match(keys, ana, "media", 2, found)
    assert match_pid(keys, "media", 2, row.epoch, row.locator) == ana.pid
    assert open_match(ana, "media", 2, row.sealed) == found
    assert ana.pid not in row.locator + row.sealed


def test_match_moved_to_another_picture_or_face(keys: TenantKeys, ana: SubjectKey) -> None:
    row = seal_match(keys, ana, "media", 2, {})
    for media, number in (("media", 1), ("other", 2)):
        with pytest.raises(SealBroken):
            open_match(ana, media, number, row.sealed)
        with pytest.raises(SealBroken):
            match_pid(keys, media, number, row.epoch, row.locator)


def test_locator_dies_with_the_epoch(keys: TenantKeys, ana: SubjectKey) -> None:
    locator = seal_locator(keys, ana.pid, "audit", "7", "1")
    assert open_locator(keys, 1, locator, "audit", "7", "1") == ana.pid
    rotated = replace(keys, epoch=2, epoch_key=bytes(32), store=None)
    with pytest.raises(SealBroken):
        open_locator(rotated, 1, locator, "audit", "7", "1")
