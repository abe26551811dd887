"""Makes the keys of subjects, and seals and opens templates, locators and matches."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from assent.core.errors import SealBroken
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal, unseal

Half = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """One subject's data key. It lies wrapped under the tenant's epoch key: destroying the epoch destroys it."""

    tenant: str
    pseudonym: bytes
    key: bytes = field(repr=False)

    @classmethod
    def new(cls, keys: TenantKeys, pseudonym: bytes) -> SubjectKey:
        """Makes a random key for a new subject; store `wrap(keys)` with `keys.epoch` in table `subject_key`."""
        return cls(keys.tenant, pseudonym, os.urandom(32))

    def wrap(self, keys: TenantKeys) -> bytes:
        """Wraps the key under the live epoch key of `keys`; take `keys.now()` in the transaction that stores it."""
        return seal(keys.epoch_key, self.key, "subject-key", self.tenant, self.pseudonym, str(keys.epoch))

    @classmethod
    def unwrap(cls, keys: TenantKeys, pseudonym: bytes, epoch: int, wrapped: bytes) -> SubjectKey:
        """Unwraps a row of `subject_key`. Raises SealBroken, also where the key of the row's epoch is destroyed."""
        return cls(
            keys.tenant,
            pseudonym,
            unseal(keys.key_of(epoch), wrapped, "subject-key", keys.tenant, pseudonym, str(epoch)),
        )

    def wrap_ended(self, keys: TenantKeys) -> bytes:
        """Wraps the key for table `ended_key`, as `wrap` does: a consent of its time has ended."""
        return seal(keys.epoch_key, self.key, "ended-key", self.tenant, self.pseudonym, str(keys.epoch))

    @classmethod
    def unwrap_ended(cls, keys: TenantKeys, pseudonym: bytes, epoch: int, wrapped: bytes) -> SubjectKey:
        """Unwraps a row of `ended_key`, which does not pass for one of `subject_key`. Raises SealBroken."""
        key = unseal(keys.key_of(epoch), wrapped, "ended-key", keys.tenant, pseudonym, str(epoch))
        return cls(keys.tenant, pseudonym, key)


def seal_template(subject: SubjectKey, row: UUID, model: str, embedding: NDArray[np.floating[Any]]) -> bytes:
    """Seals a unit-length embedding (d,) as little-endian float16, the precision the gallery searches with.

    Raises ValueError for a vector that is not one finite unit vector: a zero or NaN template would match by accident.
    """
    if embedding.ndim != 1 or not abs(float(np.linalg.norm(embedding.astype(np.float64))) - 1) < 0.01:
        raise ValueError("a template is one vector of unit length")
    plain = embedding.astype("<f2").tobytes()
    return seal(subject.key, plain, "template", subject.tenant, subject.pseudonym, row.bytes, model)


def open_template(subject: SubjectKey, row: UUID | bytes, model: str, sealed: bytes) -> Half:
    """Opens a template and returns its embedding (d,), float16. Raises SealBroken."""
    id_ = row.bytes if isinstance(row, UUID) else row
    plain = unseal(subject.key, sealed, "template", subject.tenant, subject.pseudonym, id_, model)
    if not plain or len(plain) % 2:
        raise SealBroken("a sealed template holds no half-precision vector")
    return np.frombuffer(plain, dtype="<f2")


def seal_locator(keys: TenantKeys, pseudonym: bytes, *row: str | bytes) -> bytes:
    """Seals the pseudonym under the live epoch key of `keys`: it names the subject whose key opens that row.

    It no longer opens once the epoch's key is destroyed.
    """
    return seal(keys.epoch_key, pseudonym, "locator", keys.tenant, str(keys.epoch), *row)


def open_locator(keys: TenantKeys, epoch: int, locator: bytes, *row: str | bytes) -> bytes:
    """Returns the pseudonym that `seal_locator` sealed. Raises SealBroken, also for an epoch that is gone."""
    return unseal(keys.key_of(epoch), locator, "locator", keys.tenant, str(epoch), *row)


class SealedMatch(NamedTuple):
    """The columns of table `match` that are not its primary key."""

    epoch: int
    locator: bytes
    sealed: bytes


def seal_match(
    keys: TenantKeys,
    subject: SubjectKey,
    media_id: str,
    face: int,
    match: Mapping[str, object],
    slot: bytes | None = None,
) -> SealedMatch:
    """Seals the match of face number `face` of an image, any JSON object, under the subject's key.

    Call it in the transaction that stores the row: it takes the live epoch's key at that moment. `slot` is its place in
    the subject's list (`match_slots`); without one it is in none.
    """
    keys = keys.now()
    sealed = seal(subject.key, json.dumps(match).encode(), "match", media_id, str(face), subject.tenant)
    return SealedMatch(keys.epoch, match_locator(keys, media_id, face, subject.pseudonym, slot), sealed)


def match_locator(keys: TenantKeys, media_id: str, face: int, pseudonym: bytes, slot: bytes | None) -> bytes:
    """Makes the locator of a row of table `match`, under the live epoch of `keys`: it opens beside that slot alone."""
    return seal_locator(keys, pseudonym, "match", media_id, str(face), *_slot(slot))


def match_pseudonym(
    keys: TenantKeys, media_id: str, face: int, epoch: int, locator: bytes, slot: bytes | None = None
) -> bytes:
    """Returns the pseudonym of the subject that a row of table `match` belongs to. Raises SealBroken."""
    return open_locator(keys, epoch, locator, "match", media_id, str(face), *_slot(slot))


def _slot(slot: bytes | None) -> tuple[bytes, ...]:
    return () if slot is None else (bytes(slot),)


def open_match(subject: SubjectKey, media_id: str, face: int, sealed: bytes) -> dict[str, Any]:
    """Returns the JSON object given to `seal_match`. Raises SealBroken."""
    plain = unseal(subject.key, sealed, "match", media_id, str(face), subject.tenant)
    match: dict[str, Any] = json.loads(plain)
    return match
