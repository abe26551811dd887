"""Counts the images in an ISO base media file (HEIC, AVIF) of which its decoder does not speak. Pure.

ISO/IEC 14496-12 (boxes, tracks), 23008-12 (items and their references), 23000-22 (AVIF).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_IMAGES = frozenset({b"av01", b"hvc1", b"avc1", b"jpeg", b"grid", b"iovl", b"iden", b"unci"})
_PARTS_OF = frozenset({b"auxl", b"thmb", b"prem", b"base"})  # alpha, depth; a thumbnail: they point at their image
_MAX_BOXES = 10_000


class _Part(NamedTuple):
    kind: bytes
    body: bytes


class _FullBox(NamedTuple):
    version: int
    flags: int
    body: bytes


def further_items(data: bytes) -> int:
    """Returns how many images an item of the file's own is, beside the primary one and those that are parts of others.

    0 where the structure is broken: its decoder then refuses the file."""
    meta = next((part.body[4:] for part in _parts(data) if part.kind == b"meta"), b"")
    boxes = {part.kind: _full(part.body) for part in reversed([*_parts(meta)])}
    if not {b"pitm", b"iinf"} <= set(boxes):
        return 0
    parts = {int.from_bytes(boxes[b"pitm"].body[: 4 if boxes[b"pitm"].version else 2])}
    for kind, origin, targets in _references(boxes.get(b"iref", _FullBox(0, 0, b""))):
        parts |= {origin} if kind in _PARTS_OF else set(targets) if kind == b"dimg" else set()
    return sum(1 for item, kind in _items(boxes[b"iinf"]) if kind in _IMAGES and item not in parts)


def frames_in_tracks(data: bytes) -> int:
    """Returns how many frames the file's tracks of images have together."""
    movie = (part.body for part in _parts(data) if part.kind == b"moov")
    tracks = (part.body for body in movie for part in _parts(body) if part.kind == b"trak")
    return sum(_samples(track) for track in tracks)


def av1_depth(data: bytes) -> int:
    """Returns the bits of a sample that the file's first AV1 configuration names: 8, 10 or 12."""
    at = data.find(b"av1C")
    bits = data[at + 6] if 0 <= at < len(data) - 6 else 0
    return 8 if not bits & 0x40 else 12 if bits & 0x20 else 10


def _parts(data: bytes) -> Iterator[_Part]:
    at = count = 0
    while at + 8 <= len(data) and (count := count + 1) < _MAX_BOXES:
        size, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            return
        yield _Part(kind, data[at + head : end])
        at = end


def _full(body: bytes) -> _FullBox:
    return _FullBox(int.from_bytes(body[:1]), int.from_bytes(body[1:4]), body[4:])


def _items(box: _FullBox) -> Iterator[tuple[int, bytes]]:
    """Yields number and type of each item that is not marked as hidden."""
    for part in _parts(box.body[4 if box.version else 2 :]):
        entry = _full(part.body)
        width = 2 if entry.version == 2 else 4
        if part.kind == b"infe" and entry.version in (2, 3) and not entry.flags & 1:
            yield int.from_bytes(entry.body[:width]), entry.body[width + 2 : width + 6]


def _references(box: _FullBox) -> Iterator[tuple[bytes, int, list[int]]]:
    """Yields type, origin and targets of each reference between items."""
    width = 4 if box.version else 2
    for part in _parts(box.body):
        numbers = part.body[:width] + part.body[width + 2 :]
        values = [int.from_bytes(numbers[at : at + width]) for at in range(0, len(numbers), width)]
        origin, targets = next(iter(values), 0), values[1:]
        yield part.kind, origin, targets


def _samples(track: bytes) -> int:
    """Returns how many samples a track has, 0 where it is none of images."""
    media = _inside(track, b"mdia")
    if _inside(media, b"hdlr")[8:12] != b"pict":
        return 0
    sizes = _inside(_inside(_inside(media, b"minf"), b"stbl"), b"stsz")
    return int.from_bytes(sizes[8:12])


def _inside(data: bytes, kind: bytes) -> bytes:
    return next((part.body for part in _parts(data) if part.kind == kind), b"")
