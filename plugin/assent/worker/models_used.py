"""Records the models that look at images from a worker's start on, as a leaf of each tenant's audit log.

The leaf is written when a worker begins with other models than the newest such leaf names: the changes of
`assent models use` and `assent eval faces --calibrate` count from then on. It describes the models as they were opened
and verified.
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
    """Describes the models in use: the chosen packs, files, heads, accepted licences and calibration.

    Every file has its role and sha256; a folder of one's own is named by its files. The licences are those accepted in
    words. A calibration of one's own comes with the people it was measured on.
    """
    files = [{"role": used.file.role, "model": used.file.name, "sha256": used.file.sha256} for used in models.files]
    own = [{"role": "own", "model": path.rpartition("/")[2], "sha256": digest} for path, digest in models.choice.files]
    words = sorted({used.file.accept for used in models.files if used.file.accept} | (set(accepted) if own else set()))
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
    used = in_use(models, accepted)
    digest = sha256(rfc8785.dumps(used)).digest()
    for keys in map(keystore.tenant, keystore.tenants()):
        with transaction(pool) as conn:
            if execute(conn, _Q["set_models_if_changed"], tenant=keys.tenant, sha256=digest):
                append(conn, keys, "models.used", used, [], datetime.now(UTC))
