"""Finds in a JPEG's bytes what its decoder does not speak of: images behind the first, a missing end. Pure.

An image behind the first is shown by some program, so it is looked at or counted. None is a gain map, which a viewer
adds to the image it belongs to and never shows by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

START, END = b"\xff\xd8", b"\xff\xd9"
MAX_JPEGS = 32  # what follows a photo may be a video, in which any three bytes occur
_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)
_RESTARTS = range(0xD0, 0xD8)
_ALONE = frozenset({0x01, *_RESTARTS, 0xD8})
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SCAN, _LAST, _EXTENSIONS = 0xDA, 0xD9, frozenset({0xE1, 0xE2})
# In a JPEG's own segments: Adobe's and Android's gain map, the same of ISO 21496-1, Apple's.
_GAIN_MAPS = (b"hdrgm:Version", b"urn:iso:std:iso:ts:21496:-1", b"urn:com:apple:photo:2020:aux:hdrgainmap")


class Segment(NamedTuple):
    """A JPEG's segment: its marker, where its contents begin and end. A scan ends before the next marker's segment."""

    marker: int
    start: int
    end: int


def jpegs_behind(data: bytes) -> Iterator[bytes]:
    """Yields what begins like a JPEG behind the end of a JPEG; at most MAX_JPEGS.

    So it finds the further images of a multi-picture file (CIPA DC-007) too, without its index."""
    tries, end = 0, len(data)
    if data.rfind(START + b"\xff") > 0:  # inside it, only a thumbnail has one
        end = jpeg_end(data, 0)
    while tries < MAX_JPEGS and (start := data.find(START + b"\xff", end)) >= 0:
        tries += 1
        end = jpeg_end(data, start)
        yield data[start:end]
        if end == len(data):
            end = start + len(START)  # it had no end: no JPEG, or one cut short


def jpeg_end(data: bytes, start: int) -> int:
    """Returns the position behind the end marker of the JPEG that begins at `start`, the file's length without one."""
    return next((one.end for one in segments(data, start) if one.marker == _LAST), len(data))


def segments(data: bytes, start: int = 0) -> Iterator[Segment]:
    """Yields a JPEG's segments up to its end marker, or to where the file ends or is none (ITU-T T.81, B.1)."""
    at = start
    while marker := _MARKER.search(data, at):
        kind, begin = data[marker.end() - 1], marker.end()
        if kind in _ALONE:
            at = begin
            continue
        if kind == _LAST:
            yield Segment(kind, begin, begin)
            return
        length = int.from_bytes(data[begin : begin + 2])
        if length < 2 or begin + length > len(data):
            return
        yield Segment(kind, begin + 2, begin + length)
        at = begin + length


def is_gain_map(jpeg: bytes) -> bool:
    """Tells whether a JPEG behind another says of itself that it is its gain map."""
    return any(
        any(word in jpeg[one.start : one.end] for word in _GAIN_MAPS)
        for one in _headers(jpeg)
        if one.marker in _EXTENSIONS
    )


def _headers(jpeg: bytes) -> Iterator[Segment]:
    for one in segments(jpeg):
        if one.marker == _SCAN:
            return
        yield one


def has_all_scans(jpeg: bytes) -> bool:
    """Tells whether a JPEG's scans bring every coefficient of every component to its last bit (ITU-T T.81, G.1)."""
    missing: set[tuple[int, int]] = set()
    for one in segments(jpeg):
        body = jpeg[one.start : one.end]
        try:
            if one.marker in _FRAME_HEADERS:
                missing = {(body[6 + 3 * n], k) for n in range(body[5]) for k in range(64)}
            elif one.marker == _SCAN:
                count = body[0]
                first, last, bits = body[1 + 2 * count : 4 + 2 * count]
                if bits & 15 == 0:
                    missing -= {(body[1 + 2 * n], k) for n in range(count) for k in range(first, last + 1)}
        except (IndexError, ValueError):
            return False
    return not missing


def without_end(jpeg: bytes) -> bytes | None:
    """Returns a JPEG without what is left of its end marker; None where it has one, or where its scans are not all
    there."""
    if jpeg_end(jpeg, 0) < len(jpeg) or jpeg.endswith(END) or not has_all_scans(jpeg):
        return None
    return jpeg.removesuffix(b"\xff")
