"""Takes the animation out of a PNG file, so that its still image is left (PNG, third edition, 11.3.6). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_SIGNATURE = 8
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
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
