"""Reads the root key, which seals all other keys, from settings or from a file that only its owner can read."""

from __future__ import annotations

from pathlib import Path

from assent.core.encoding import decode_base64
from assent.core.errors import KeyMissing
from assent.core.files import read_private
from assent.core.settings import Settings


def parse_root(text: str) -> bytes:
    """Parses a root key from its base64 text. Raises KeyMissing when it is not 32 bytes."""
    try:
        root = decode_base64(text.strip())
    except ValueError:
        root = b""
    if len(root) != 32:
        raise KeyMissing("the root key is not the base64 of 32 bytes")
    return root


def read_root(file: Path) -> bytes:
    """Reads the root key in a file. Raises KeyMissing, or StoreUnsafe when others can read it."""
    return parse_root(read_private(file, "the root key"))


def root_key(settings: Settings) -> bytes | None:
    """Returns the root key of ASSENT_ROOT_KEY or ASSENT_ROOT_KEY_FILE, 32 bytes; None when neither is set, which means
    `root.key` in the keys folder. Raises KeyMissing or StoreUnsafe."""
    if settings.root_key is not None:
        return parse_root(settings.root_key.get_secret_value())
    return read_root(settings.root_key_file) if settings.root_key_file is not None else None
