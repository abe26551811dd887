"""Lays the pixels of a BMP out plainly, where its layout is one that decoders leave out. Pure; for stage 2.

Bit fields of any masks, two bits a pixel, OS/2's header of 16 bytes, palettes longer or shorter than their pixels need.
Nothing of it is compressed: each pixel's bits stand where the header says, so one reading of them suffices. What that
leaves open (masks that overlap, indices beyond the palette, missing rows) is not laid out.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_OS2, _INFO, _WITH_MASKS, _WITH_ALPHA, _WITH_PROFILE = 16, 40, 52, 56, 124  # bytes of a header
_BITFIELDS, _ALPHA_BITFIELDS = 3, 6  # compressions
_PALETTED, _MASKED = (1, 2, 4, 8), (16, 32)  # bits of a pixel
_FIELDS = 14 + _INFO  # where the masks stand
_PROFILES = (b"DEBM", b"KNIL")  # a profile is embedded, or another file
_LIMIT, _AT_ONCE = 50_000_000, 1_000_000  # pixels
_BGRA = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
_PLAIN = _BGRA[:12]


class _Layout(NamedTuple):
    header: int
    start: int
    width: int
    height: int
    bits: int
    compression: int
    top_down: bool


def has_odd_fields(data: bytes) -> bool:
    """Tells whether a BMP has bit fields other than a byte each of blue, green, red and alpha, in that order."""
    layout = _layout(data)
    return (
        layout is not None
        and layout.compression in (_BITFIELDS, _ALPHA_BITFIELDS)
        and data[_FIELDS : _FIELDS + 12] != _PLAIN
    )


def laid_out(data: bytes) -> bytes | None:
    """Returns a BMP as one of 24 bits, or of 32 where it has alpha; None where its header leaves open what it shows."""
    layout = _layout(data)
    if layout is None or not 0 < layout.width * layout.height <= _LIMIT or layout.start < 14 + layout.header:
        return None
    stride = (layout.width * layout.bits + 31) // 32 * 4
    if layout.start + stride * layout.height > len(data):
        return None
    rows = np.frombuffer(data, np.uint8, stride * layout.height, layout.start).reshape(layout.height, stride)
    bands = _paletted(data, layout, rows) if layout.bits in _PALETTED else _masked(data, layout, rows)
    return None if bands is None else _file(bands[::-1] if layout.top_down else bands)


def _layout(data: bytes) -> _Layout | None:
    if len(data) < _FIELDS:
        return None
    start, header = struct.unpack_from("<II", data, 10)
    width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    compression = 0 if header == _OS2 else int.from_bytes(data[30:34], "little")
    if (header != _OS2 and header < _INFO) or (header >= _WITH_PROFILE and data[70:74] in _PROFILES):
        return None
    known = bits in _MASKED if compression in (_BITFIELDS, _ALPHA_BITFIELDS) else bits in _PALETTED and not compression
    return _Layout(header, start, width, abs(height), bits, compression, height < 0) if known else None


def _paletted(data: bytes, layout: _Layout, rows: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Returns blue, green and red of each pixel."""
    begin, most = 14 + layout.header, 1 << layout.bits
    claimed = 0 if layout.header == _OS2 else int.from_bytes(data[46:50], "little")
    count = min(claimed or most, most, (layout.start - begin) // 4)
    palette = np.frombuffer(data, np.uint8, 4 * count, begin).reshape(count, 4)[:, :3]
    shifts = np.arange(8 - layout.bits, -1, -layout.bits, dtype=np.uint8)
    indices = (rows[:, :, None] >> shifts & (most - 1)).reshape(len(rows), -1)[:, : layout.width]
    return palette[indices] if indices.max() < count else None


def _masked(data: bytes, layout: _Layout, rows: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Returns blue, green, red and, where it has a mask, alpha of each pixel."""
    masks = list(struct.unpack_from("<IIII", data.ljust(_FIELDS + 16, b"\0"), _FIELDS))
    with_alpha = (layout.header >= _WITH_ALPHA or layout.compression == _ALPHA_BITFIELDS) and masks[3]
    masks = [masks[2], masks[1], masks[0], *([masks[3]] if with_alpha else [])]
    if not _are_apart(masks):
        return None
    samples = rows.view(f"<u{layout.bits // 8}")[:, : layout.width]
    bands = np.empty((*samples.shape, len(masks)), np.uint8)
    step = max(1, _AT_ONCE // layout.width)
    for top in range(0, layout.height, step):
        part = samples[top : top + step].astype(np.uint32)
        for band, mask in enumerate(masks):
            low = mask & -mask
            scale = 255 / (mask // low) if mask else 0.0
            bands[top : top + step, :, band] = np.rint((part & mask) // max(low, 1) * scale)
    return bands


def _are_apart(masks: list[int]) -> bool:
    """Tells whether no bit belongs to two masks, and the bits of each lie side by side."""
    joined = [mask for mask in masks if mask]
    side_by_side = all((run := mask // (mask & -mask)) & (run + 1) == 0 for mask in joined)
    return side_by_side and bool(joined) and sum(joined) == np.bitwise_or.reduce(np.array(joined, np.uint64))


def _file(bands: NDArray[np.uint8]) -> bytes:
    height, width, count = bands.shape
    rows = np.zeros((height, -(-width * count // 4) * 4), np.uint8)
    rows[:, : width * count] = bands.reshape(height, -1)
    header, compression = (_WITH_ALPHA, _BITFIELDS) if count == 4 else (_INFO, 0)
    masks = _BGRA if count == 4 else b""
    start = _FIELDS + len(masks)
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, 8 * count, compression, rows.size, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + rows.size, 0, 0, start) + info + masks + rows.tobytes()
