"""Reads what AVIF and HEIC files declare of their colours from their boxes (ISO/IEC 14496-12, 23008-12). Pure.

What is broken is left out: the decoders refuse it. What is declared in two ways is for the caller to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

Nclx = tuple[int, int]  # code points of primaries and transfer (H.273)
_MOST = 10_000  # boxes of one file that are read
_SAMPLE_ENTRY, _VISUAL_ENTRY = 8, 78  # bytes before the boxes of a list of sample entries, and of one of them


class IsoBox(NamedTuple):
    """Holds a box's type, and where its contents start and end."""

    kind: bytes
    start: int
    end: int


class Colours(NamedTuple):
    """Holds what one image or track declares: its colr boxes, and the strongest light of its clli and mdcv boxes."""

    profiles: frozenset[bytes] = frozenset()
    codes: frozenset[Nclx] = frozenset()
    nits: float | None = None


def declared_colours(data: bytes) -> set[Colours]:
    """Returns what the primary image and each track of pictures declare; an image or track without is left out."""
    top = list(boxes(data, 0, len(data)))
    of_images = [_primary(data, box) for box in top if box.kind == b"meta"]
    of_tracks = [_track(data, track) for box in top if box.kind == b"moov" for track in _children(data, box, b"trak")]
    return {colours for colours in (*of_images, *of_tracks) if colours.profiles or colours.codes}


def item_places(data: bytes) -> Iterator[int]:
    """Yields where the first bytes of each item of the file lie, as its iloc box says."""
    for meta in (box for box in boxes(data, 0, len(data)) if box.kind == b"meta"):
        for iloc in _children(data, meta, b"iloc", skip=4):
            yield from _places(data, iloc)


def boxes(data: bytes, start: int, end: int) -> Iterator[IsoBox]:
    """Yields the boxes that lie side by side in a part of the file."""
    for _ in range(_MOST):
        if start + 8 > end:
            return
        size, kind, head = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        after = end if size == 0 else start + size
        if (size not in (0, 1) and size < head) or after > end or after <= start:
            return
        yield IsoBox(kind, start + head, after)
        start = after


def _children(data: bytes, box: IsoBox, *path: bytes, skip: int = 0) -> Iterator[IsoBox]:
    """Yields the boxes at the end of a path below `box`; `skip`: bytes before the first of its children."""
    for child in boxes(data, box.start + skip, box.end):
        if child.kind == path[0]:
            if len(path) == 1:
                yield child
            else:
                yield from _children(data, child, *path[1:])


def _primary(data: bytes, meta: IsoBox) -> Colours:
    """Returns the colours of the primary image; of all properties, where it has none of its own, as grids may."""
    number = next((_number(data, box) for box in _children(data, meta, b"pitm", skip=4)), None)
    own: list[IsoBox] = []
    every: list[IsoBox] = []
    for iprp in _children(data, meta, b"iprp", skip=4):
        properties = [child for ipco in _children(data, iprp, b"ipco") for child in boxes(data, ipco.start, ipco.end)]
        every += properties
        for ipma in _children(data, iprp, b"ipma"):
            own += [
                properties[index - 1]
                for item, index in _associations(data, ipma)
                if item == number and 1 <= index <= len(properties)
            ]
    colours = _colours(data, own)
    return colours if colours.profiles or colours.codes else _colours(data, every)


def _number(data: bytes, pitm: IsoBox) -> int:
    wide = data[pitm.start] > 0
    return int.from_bytes(data[pitm.start + 4 : pitm.start + (8 if wide else 6)])


def _associations(data: bytes, ipma: IsoBox) -> Iterator[tuple[int, int]]:
    """Yields an image's number and the index of one of its properties, from 1."""
    wide_item, wide_index = data[ipma.start] > 0, data[ipma.start + 3] & 1
    at = ipma.start + 8
    for _ in range(min(int.from_bytes(data[ipma.start + 4 : at]), _MOST)):
        size = 4 if wide_item else 2
        item, at = int.from_bytes(data[at : at + size]), at + size
        count, at = int.from_bytes(data[at : at + 1]), at + 1
        for _ in range(count):
            index, at = int.from_bytes(data[at : at + 1 + wide_index]), at + 1 + wide_index
            yield item, index & (0x7FFF if wide_index else 0x7F)
        if at >= ipma.end:
            return


def _places(data: bytes, iloc: IsoBox) -> Iterator[int]:
    version, sizes = data[iloc.start], data[iloc.start + 4 : iloc.start + 6]
    if version > 2 or len(sizes) < 2:
        return
    offset_size, length_size, base_size, index_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    at = iloc.start + 6
    number_size = 4 if version == 2 else 2
    count, at = int.from_bytes(data[at : at + number_size]), at + number_size
    for _ in range(min(count, _MOST)):
        at += number_size + (2 if version else 0) + 2
        base, at = int.from_bytes(data[at : at + base_size]), at + base_size
        extents, at = int.from_bytes(data[at : at + 2]), at + 2
        first = at + (index_size if version else 0)
        if at >= iloc.end:
            return
        if extents:
            yield base + int.from_bytes(data[first : first + offset_size])
        at += extents * ((index_size if version else 0) + offset_size + length_size)


def _track(data: bytes, track: IsoBox) -> Colours:
    """Returns the colours of a track of pictures; of any other, such as one of alpha, none."""
    if not any(data[box.start + 8 : box.start + 12] == b"pict" for box in _children(data, track, b"mdia", b"hdlr")):
        return Colours()
    found: list[IsoBox] = []
    for table in _children(data, track, b"mdia", b"minf", b"stbl", b"stsd"):
        for entry in boxes(data, table.start + _SAMPLE_ENTRY, table.end):
            found += boxes(data, entry.start + _VISUAL_ENTRY, entry.end)
    return _colours(data, found)


def _colours(data: bytes, properties: list[IsoBox]) -> Colours:
    bodies = [data[box.start : box.end] for box in properties if box.kind == b"colr"]
    profiles = frozenset(body[4:] for body in bodies if body[:4] in (b"prof", b"rICC"))
    codes = frozenset(
        (int.from_bytes(body[4:6]), int.from_bytes(body[6:8])) for body in bodies if body[:4] in (b"nclx", b"nclc")
    )
    return Colours(profiles, codes, _nits(data, properties))


def _nits(data: bytes, properties: list[IsoBox]) -> float | None:
    """Returns the light that the content, or else the display it was made on, reaches: cd/m²; None where none says."""
    content = [int.from_bytes(data[box.start : box.start + 2]) for box in properties if box.kind == b"clli"]
    display = [int.from_bytes(data[box.start + 16 : box.start + 20]) / 1e4 for box in properties if box.kind == b"mdcv"]
    return next((float(nits) for nits in (*content, *display) if nits), None)
