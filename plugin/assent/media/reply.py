"""Defines what a decode child answers, and checks it: the file that a child read may have taken it over."""

from __future__ import annotations

from dataclasses import dataclass

from assent.core.errors import DecoderDied
from assent.core.values import Code
from assent.media.codes import MAX_CODES, PURPOSES
from assent.media.decode import FORMATS, MAX_SIDE, OUTPUT_SIDE
from assent.media.frames import MAX_LOOKED_AT, MAX_PIXELS_KEPT

MAX_OUTPUT = MAX_PIXELS_KEPT * 3


@dataclass(frozen=True, slots=True)
class FrameSize:
    """One decoded frame; `codes` is None where none were looked for."""

    index: int
    width: int
    height: int
    scale: float
    codes: tuple[Code, ...] | None = None

    @property
    def length(self) -> int:
        """Returns its bytes in the memfd."""
        return self.width * self.height * 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """Describes a decoded image; the frames lie one after the other in the memfd."""

    format: str
    width: int
    height: int
    frame_count: int
    frames: tuple[FrameSize, ...]
    partial: bool
    other_turn: int


def read_sizes(reply: object) -> Sizes:
    """Checks every number of the child's answer against the range of a sound child. Raises DecoderDied."""
    match reply:
        case {
            "format": str(name),
            "width": int(width),
            "height": int(height),
            "frame_count": int(count),
            "frames": [_, *_] as frames,
            "partial": bool(partial),
            "other_turn": int(other_turn),
        } if (
            name in FORMATS
            and 1 <= width <= MAX_SIDE
            and 1 <= height <= MAX_SIDE
            and 1 <= len(frames) <= min(count, MAX_LOOKED_AT)
            and 1 <= other_turn <= 8
        ):
            sizes = tuple(_frame_size(frame, count) for frame in frames)
            if sum(frame.length for frame in sizes) <= MAX_OUTPUT:
                return Sizes(name, width, height, count, sizes, partial, other_turn)
    raise DecoderDied("the decoder's answer has impossible sizes")


def _frame_size(frame: object, count: int) -> FrameSize:
    match frame:
        case {
            "index": int(index),
            "width": int(width),
            "height": int(height),
            "scale": int(scale) | float(scale),
            "codes": codes,
        } if 0 <= index < count and 1 <= width <= OUTPUT_SIDE and 1 <= height <= OUTPUT_SIDE and 0 < scale <= 1:
            return FrameSize(index, width, height, scale, _codes(codes, width, height))
    raise DecoderDied("the decoder's answer has a frame of impossible size")


def _codes(codes: object, width: int, height: int) -> tuple[Code, ...] | None:
    match codes:
        case None:
            return None
        case [*some] if len(some) <= MAX_CODES:
            return tuple(_code(code, width, height) for code in some)
    raise DecoderDied("the decoder's answer has impossible codes")


def _code(code: object, width: int, height: int) -> Code:
    match code:
        case [
            bool(legible),
            None | str() as purpose,
            [int() | float() as left, int() | float() as top, int() | float() as right, int() | float() as bottom],
        ] if (
            (purpose is None or (legible and purpose in PURPOSES))
            and 0 <= left <= right <= width
            and 0 <= top <= bottom <= height
        ):
            return Code(legible, purpose, (left, top, right, bottom))
    raise DecoderDied("the decoder's answer has an impossible code")
