"""Reads what an AV1 stream declares of its colours: AV1 Bitstream & Decoding Process, 5.5 (sequence header). Pure."""

from __future__ import annotations

_SEQUENCE_HEADER = 1
_MOST_UNITS = 8  # before the sequence header there is at most a temporal delimiter, and padding


class _Bits:
    """Reads numbers from bytes, the highest bit first. Raises ValueError beyond their end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("beyond the end")
        return (self._value >> self._left) & ((1 << count) - 1)

    def read_unary(self) -> int:
        """Reads uvlc(): as many noughts as there are further bits."""
        zeros = 0
        while zeros < 32 and not self.read(1):
            zeros += 1
        return self.read(zeros) if zeros < 32 else 0


def declared_codes(stream: bytes) -> tuple[int, int] | None:
    """Returns the code points of primaries and transfer in the sequence header; None where it names none.

    Raises ValueError where no sequence header stands at the beginning, or a broken one."""
    at = 0
    for _ in range(_MOST_UNITS):
        if at + 2 > len(stream):
            break
        kind, extended, sized = (stream[at] >> 3) & 15, (stream[at] >> 2) & 1, (stream[at] >> 1) & 1
        at += 1 + extended
        size, at = _leb128(stream, at) if sized else (len(stream) - at, at)
        if kind == _SEQUENCE_HEADER:
            return _of_header(_Bits(stream[at : at + min(size, 200)]))
        at += size
    raise ValueError("no sequence header")


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Returns a number and where the next byte stands."""
    number = 0
    for position, byte in enumerate(data[at : at + 8]):
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return number, at + position + 1
    raise ValueError("a length without an end")


def _of_header(bits: _Bits) -> tuple[int, int] | None:
    profile, _still, reduced = bits.read(3), bits.read(1), bits.read(1)
    if reduced:
        bits.read(5)
    else:
        _skip_operating_points(bits)
    sizes = bits.read(4) + 1, bits.read(4) + 1
    bits.read(sum(sizes))
    if not reduced and bits.read(1):
        bits.read(7)  # lengths of frame ids
    bits.read(3)  # superblocks, filters of intra prediction
    if not reduced:
        _skip_inter_tools(bits)
    bits.read(3)  # super-resolution, CDEF, restoration
    deep = bits.read(1)
    if profile == 2 and deep:
        bits.read(1)
    if profile != 1:
        bits.read(1)  # monochrome
    return (bits.read(8), bits.read(8)) if bits.read(1) else None


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.read(1):  # timing
        bits.read(64)
        if bits.read(1):
            bits.read_unary()
        if bits.read(1):  # the decoder's model
            delay_bits = bits.read(5) + 1
            bits.read(42)
    display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delay and bits.read(1):
            bits.read(4)


def _skip_inter_tools(bits: _Bits) -> None:
    bits.read(4)
    order = bits.read(1)
    if order:
        bits.read(2)
    screen_content = 2 if bits.read(1) else bits.read(1)
    if screen_content and not bits.read(1):
        bits.read(1)
    if order:
        bits.read(3)
