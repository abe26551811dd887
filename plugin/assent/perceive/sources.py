"""Which model says which label."""

from __future__ import annotations

from assent.perceive import DEFAULT_PACK
from assent.perceive.packs import read_pack
from assent.taxonomy import HASHES, NUDENET, TEXTS


def sources() -> dict[str, tuple[str, ...]]:
    """The models that say each label, those of the default pack by name; no entry for a label that nothing says."""
    found: dict[str, dict[str, None]] = {}
    for file in read_pack(DEFAULT_PACK).file:
        for name in file.labels:
            if name in NUDENET:
                found.setdefault(NUDENET[name], {})[file.name] = None
    for label in TEXTS:
        found.setdefault(label.name, {})["text reader"] = None
    for label in HASHES:
        found.setdefault(label.name, {})["lists of known pictures"] = None
    return {name: tuple(models) for name, models in found.items()}
