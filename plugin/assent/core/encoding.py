"""Encodes bytes as standard base64 (RFC 4648 §4) and decodes them strictly."""

from __future__ import annotations

import base64


def encode_base64(data: bytes) -> str:
    """Encodes bytes, padded and without line ends."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Decodes padded base64. Raises ValueError on a character outside the alphabet or wrong padding."""
    return base64.b64decode(text, validate=True)
