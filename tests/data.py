"""Labelled photos that developers have beside the checkout; they are never copied into it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.installed import need


def labelled(kind: str) -> Path:
    """A folder of labelled photos: `faces/<person>/`, `clothing/{train,val}/<class>/`, `grocery/…` likewise."""
    root = Path(os.environ.get("ASSENT_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (root / kind).is_dir():
        need(f"there are no labelled photos in {kind}/ of ASSENT_TEST_DATA")
    return root / kind


def some(folder: Path, classes: dict[str, int]) -> dict[str, list[Path]]:
    """The first so many photos of each named class."""
    return {name: sorted((folder / name).iterdir())[:count] for name, count in classes.items()}
