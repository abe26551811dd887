"""Reads images on the operator's own disk, for the commands that take files instead of URLs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assent.core.errors import NotFound

# fmt: off
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".avif", ".avifs",
    ".heic", ".heif", ".heics", ".heifs", ".hif", ".tif", ".tiff", ".bmp",
))
# fmt: on
MAX_IMAGE_BYTES = 20_000_000  # of one image file, read from disk or fetched


def images_below(folder: Path) -> Iterator[Path]:
    """Returns every file below the folder whose name ends as an image's, sorted."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)


def read_file(path: Path) -> bytes:
    """Reads an image's bytes, at most MAX_IMAGE_BYTES. Raises NotFound."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise NotFound(f"the file cannot be read: {error.strerror}") from error
    if len(data) > MAX_IMAGE_BYTES:
        raise NotFound(f"the file is larger than {MAX_IMAGE_BYTES} bytes")
    return data
