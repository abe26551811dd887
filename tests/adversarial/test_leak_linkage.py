"""From the stored columns nobody can tell whether two rows are of one face: not under two tenants, not after a second
enrolment."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from assent.keys.keystore import Keystore
from assent.keys.match_slots import match_slots
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal
from assent.keys.subject_keys import SubjectKey, seal_match, seal_template
from tests.fixtures.figures import Figure
from tests.integration.world import World
from tests.people import MODEL, strangers, unit

PEOPLE = 6000


def _rows(keystore: Keystore, tenant: str, refs: list[str], faces: NDArray[np.float32]) -> NDArray[np.uint8]:
    """All that is stored of each person, as bytes (people, bytes): pseudonym, name, key, template, match."""
    keys = keystore.tenant(tenant)
    rows = []
    for ref, face in zip(refs, faces, strict=True):
        subject = SubjectKey.new(keys, derive_pseudonym(keys, ref))
        name = seal(subject.key, ref.encode(), "ref", tenant, subject.pseudonym)
        match = seal_match(keys, subject, "picture", 0, {"band": "strong"})
        template = seal_template(subject, uuid4(), MODEL, face)
        [slot] = match_slots(subject, [0])
        kept = (subject.pseudonym, name, subject.wrap(keys), template, match.locator, match.sealed, slot)
        rows.append(b"".join(kept))
    return np.array([np.frombuffer(row, np.uint8) for row in rows])


def _auc(first: NDArray[np.uint8], second: NDArray[np.uint8], seed: int) -> float:
    """How well the nearness of rows tells pairs of one person from pairs of two: 0.5 is not at all.

    Tries the bits in common and the correlation of the bytes, and returns the one further from 0.5."""
    others = np.roll(np.arange(len(second)), 1 + seed)

    def bits(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(-np.unpackbits(a ^ b, axis=1).sum(axis=1, dtype=np.int64), np.float64)

    def correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
        x, y = a.astype(np.float64), b.astype(np.float64)
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))

    aucs = []
    for near in (bits, correlation):
        same, different = near(first, second), near(first, second[others])
        below = [np.searchsorted(np.sort(different), same, side) for side in ("left", "right")]  # ties count half
        aucs.append(float(np.mean(below)) / len(different))
    return max(aucs, key=lambda auc: abs(auc - 0.5))


@pytest.mark.parametrize("case", ["the same face under two tenants", "the same face enrolled again"])
def test_stored_columns_link_nothing(world: World, case: str, figure: Figure) -> None:
    world.keystore.add_tenant("other")
    refs, faces = [f"person-{n:06}" for n in range(PEOPLE)], strangers(PEOPLE)
    first = _rows(world.keystore, "club", refs, faces)
    if "tenants" in case:
        second = _rows(world.keystore, "other", refs, faces)
    else:
        again = unit(faces + 0.02 * strangers(PEOPLE, 1))
        second = _rows(world.keystore, "club", [f"person2{n:06}" for n in range(PEOPLE)], again)
    width = min(first.shape[1], second.shape[1])
    auc = _auc(first[:, :width], second[:, :width], seed=0)
    # The measure does see a link where there is one: the templates unsealed.
    unsealed = faces.astype("<f2").view(np.uint8).reshape(PEOPLE, -1)
    plain = _auc(unsealed, unsealed, seed=0)
    figure(f"{case}: linkage AUC {auc:.3f} from {width} stored bytes each (unsealed: {plain:.3f})")
    assert abs(auc - 0.5) <= 0.03
    assert plain > 0.99
