"""Takes out of a PNG file its animation, so that its still image is left, or what no viewer shows. Pure.

PNG, third edition: 11.3.3.3 (iCCP), 11.3.4 (text), 11.3.6 (animation).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_SIGNATURE = 8
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_MAX_CHUNKS = 200_000


class Still(NamedTuple):
    """The still image's file, whether it is the animation's first frame, and how many frames that claims to have."""

    data: bytes
    is_first: bool
    frames: int


def still_image(data: bytes) -> Still | None:
    """Returns a moving PNG file without its animation; None where it does not move, or is cut short."""
    if b"acTL" not in data[:1_000_000]:
        return None
    kept, before, kind, frames = [data[:_SIGNATURE]], set[bytes](), b"", 0
    for kind, chunk in _chunks(data):
        if kind == b"acTL":
            frames = int.from_bytes(chunk[8:12])
        if kind not in _ANIMATION:
            kept.append(chunk)
        if b"IDAT" not in before:
            before.add(kind)
    return Still(b"".join(kept), b"fcTL" in before, frames) if b"acTL" in before and kind == b"IEND" else None


def without_unseen(data: bytes) -> bytes | None:
    """Returns a PNG file without its texts, and without a profile that is compressed in a way that nobody knows; None
    where there is nothing of that. Pillow refuses files for either, by how long such a text would be."""
    chunks = list(_chunks(data))
    kept = [chunk for kind, chunk in chunks if kind not in _TEXT and not _is_unreadable(kind, chunk)]
    whole = bool(chunks) and chunks[-1][0] == b"IEND"
    return b"".join([data[:_SIGNATURE], *kept]) if whole and len(kept) < len(chunks) else None


def _is_unreadable(kind: bytes, chunk: bytes) -> bool:
    return kind == b"iCCP" and chunk[8:].partition(b"\0")[2][:1] != b"\0"


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = _SIGNATURE
    for _ in range(_MAX_CHUNKS):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if len(kind) < 4:
            return
        yield kind, data[at:end]
        if kind == b"IEND":
            return
        at = end
