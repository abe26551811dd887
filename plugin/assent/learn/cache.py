"""Caches the pooled features of images by backbone and the file's sha256, in one file each.

They are numbers about whole images that the operator trains or measures with; no face is cut out or embedded for them.
The folder is private to its owner and holds at most MAX_ENTRIES; the longest unused go first. Those of another backbone
are never read again, and go.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from assent.core.files import replace_file
from assent.core.values import Vector

MAX_ENTRIES = 50_000  # 7.7 kB each with the default backbone


class Cache:
    """Features of `width` numbers an image, as float16, in a folder named after the backbone."""

    def __init__(self, folder: Path, backbone: str, width: int) -> None:
        self._folder, self._width = folder / backbone, width
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, key: str) -> Vector | None:
        """Returns float32 (width,), or None where the entry is missing or not whole.

        `key`: the file's sha256, and for an altered copy how it was altered."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return np.frombuffer(data, np.float16).astype(np.float32) if len(data) == 2 * self._width else None

    def put(self, key: str, features: Vector) -> None:
        """Stores the features (width,), as float16. Raises OSError."""
        path = self._path(key)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        replace_file(path, np.ascontiguousarray(features, np.float16).tobytes(), durable=False)

    def trim(self, most: int = MAX_ENTRIES) -> int:
        """Removes other backbones' folders, and the longest unused entries beyond `most`; returns how many entries."""
        for folder in self._folder.parent.iterdir():
            if folder != self._folder:
                shutil.rmtree(folder, ignore_errors=True)
        entries = [path for path in self._folder.glob("*/*") if path.is_file()]
        surplus = sorted(entries, key=lambda path: path.stat().st_mtime)[: max(0, len(entries) - most)]
        for path in surplus:
            path.unlink(missing_ok=True)
        return len(surplus)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]
