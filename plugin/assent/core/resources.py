"""Finds the files that travel with the package: policies, migrations, model manifests.

In a wheel they lie beside the code (`assent/share/`); in a checkout, at the repository's top level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(kind: Literal["policies", "migrations", "models"]) -> Path:
    """Returns the folder of that kind. Raises FileNotFoundError when the installation is incomplete."""
    for folder in (_PACKAGE / "share" / kind, _PACKAGE.parents[1] / kind):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{kind}/ is missing beside the package; install assent-plugin again")
