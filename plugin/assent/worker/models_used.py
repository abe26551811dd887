"""Which models look at pictures from a worker's start on, as a leaf of each tenant's audit log.

It is written when a worker begins with other models than the newest such leaf names: what `assent models use` and
`assent eval faces --calibrate` wrote counts from then on, and it is told as it was opened and verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import rfc8785

from assent.audit.log import append
from assent.db.pool import Pool, execute, transaction
from assent.db.queries import named_queries
from assent.keys.keystore import Keystore
from assent.perceive import Models
from assent.perceive.packs.active import DEFAULT_PACK

_Q = named_queries("models")


def in_use(models: Models, accepted: Sequence[str]) -> dict[str, Any]:
    """The packs as they were chosen, every file with its role and sha256, the licences that were accepted in words, and
    the calibration: of one's own with the people it was measured on. A folder of one's own is named by its files."""
    files = [{"role": one.file.role, "model": one.file.name, "sha256": one.file.sha256} for one in models.files]
    own = [{"role": "own", "model": path.rpartition("/")[2], "sha256": digest} for path, digest in models.choice.files]
    words = sorted({one.file.accept for one in models.files if one.file.accept} | (set(accepted) if own else set()))
    return {
        "packs": [spec.partition("@")[0] for spec in (*models.choice.packs, DEFAULT_PACK)],
        "files": [*files, *own],
        "heads": [head.file.id for head in models.heads],
        "licences": words,
        "calibration": {
            "model": models.embedder_id,
            "sha256": models.calibration.sha256,
            "templates": models.calibration.templates_supported(),
            "measured": dict(models.calibration.measured),
        },
    }


def note_models(pool: Pool, keystore: Keystore, models: Models, accepted: Sequence[str]) -> None:
    """Writes the leaf `models.used` for every tenant whose newest one says anything else."""
    said = in_use(models, accepted)
    digest = sha256(rfc8785.dumps(said)).digest()
    for keys in map(keystore.tenant, keystore.tenants()):
        with transaction(pool) as conn:
            if execute(conn, _Q["use_models"], tenant=keys.tenant, sha256=digest):
                append(conn, keys, "models.used", said, [], datetime.now(UTC))
