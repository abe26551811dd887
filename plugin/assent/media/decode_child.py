"""Decodes in the decode child: what the fork server loads, and what a child does with each file.

`main` is where the fork server's interpreter begins; until it is confined, no codec is imported.
"""

from __future__ import annotations

import mmap
from dataclasses import asdict
from importlib import import_module

from assent.media.fork_server import DecodeAnswer, run_fork_server

# What codecs import only once a file needs it, when nothing can be imported any more.
_LATER = (
    *(f"PIL.{name}ImagePlugin" for name in ("Jpeg", "Png", "Bmp", "Mpo", "Ppm")),
    *(f"encodings.{name}" for name in ("ascii", "latin_1", "utf_8", "utf_16", "utf_16_le", "utf_16_be", "idna")),
)


def main(descriptor: str, memory: str, codes: str) -> None:
    """Runs the fork server of decode children; `codes` is 1 where they look for QR codes."""
    run_fork_server(int(descriptor), int(memory), lambda: load_codecs(codes == "1"))


def load_codecs(codes: bool) -> DecodeAnswer:
    """Imports all that decoding needs and returns the function that decodes a file."""
    for name in _LATER:
        import_module(name)
    import numpy as np
    from PIL import Image

    from assent.core.errors import DECODE_ERRORS, DecoderDied
    from assent.media.codes import find_codes
    from assent.media.compare import confirm
    from assent.media.decode import decode
    from assent.media.reply import FrameSize, Sizes

    Image.preinit()

    def answer(data: bytes, memory: int) -> dict[str, object]:
        try:
            decoded = decode(data)
            confirm(data, decoded)
            frames, over_black = (
                tuple(
                    FrameSize(
                        f.index, f.pixels.shape[1], f.pixels.shape[0], f.scale, find_codes(f.pixels) if codes else None
                    )
                    for f in part
                )
                for part in (decoded.frames, decoded.over_black)
            )
            with mmap.mmap(memory, sum(size.length for size in (*frames, *over_black))) as view:
                for frame in (*decoded.frames, *decoded.over_black):
                    view.write(np.ascontiguousarray(frame.pixels).data)
        except DECODE_ERRORS as error:
            return {"error": error.code, "detail": error.detail}
        except MemoryError:
            return {"error": DecoderDied.code, "detail": "the picture needs more memory than the decoder may use"}
        size, rest = (decoded.width, decoded.height), (decoded.partial, decoded.other_turn)
        return asdict(Sizes(decoded.format, *size, decoded.frame_count, frames, over_black, *rest))

    return answer
