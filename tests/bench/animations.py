"""Counts the animations in a folder of which the look is a partial one: `python -m tests.bench.animations FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from assent.core.errors import AssentError
from assent.core.values import Picture
from assent.media.files import MAX_IMAGE_BYTES
from assent.media.sandbox import Decoder

_MOVING = frozenset({"gif", "png", "webp", "avif"})


def animations(folder: Path) -> dict[str, Picture]:
    """Returns the animations below a folder that the decode child reads, by path."""
    read: dict[str, Picture] = {}
    with Decoder() as decoder:
        for file in sorted(folder.rglob("*")):
            if not file.is_file() or file.stat().st_size > MAX_IMAGE_BYTES:
                continue
            try:
                picture = decoder.decode(file.read_bytes())
            except AssentError:
                continue
            if picture.format in _MOVING and picture.frame_count > 1:
                read[str(file)] = picture
    return read


def main(folder: str) -> None:
    read = animations(Path(folder))
    for name, picture in read.items():
        if picture.partial:
            sys.stdout.write(f"{name}: {picture.looked_at} of {picture.frame_count}\n")
    sys.stdout.write(
        f"{sum(picture.partial for picture in read.values())} of {len(read)} animations are looked at in part\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
