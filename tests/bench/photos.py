"""What is looked at: the photographs that installed packages carry, or a folder of one's own (PHOTOS=folder)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from assent.core.errors import AssentError
from assent.core.values import Picture
from assent.media.sandbox import Decoder
from examples.photos import SUFFIXES
from tests.installed import package_file

MOST = 64
_PACKAGED = {
    "insightface": "data/images/t1.jpg data/images/Tom_Hanks_54745.png data/images/mask_black.jpg "
    "data/images/mask_blue.jpg data/images/mask_green.jpg data/images/mask_white.jpg",
    "skimage": "data/astronaut.png data/chelsea.png data/coffee.png data/rocket.jpg data/motorcycle_left.png "
    "data/motorcycle_right.png data/camera.png data/hubble_deep_field.jpg data/retina.jpg data/page.png",
}


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A file, and what the decode child makes of it."""

    name: str
    data: bytes
    picture: Picture


def photos() -> tuple[Photo, ...]:
    """Up to 64 photos that can be decoded. Raises FileNotFoundError when a folder of one's own holds none."""
    own = os.environ.get("PHOTOS")
    with Decoder(codes=True) as decoder:
        decoded = tuple(photo for path in (_own(Path(own)) if own else _packaged()) if (photo := _read(decoder, path)))
    if not decoded:
        raise FileNotFoundError(f"{own} holds no picture that can be decoded")
    return decoded[:MOST]


def _packaged() -> list[Path]:
    return [package_file(package, inside) for package, files in _PACKAGED.items() for inside in files.split()]


def _own(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES][:MOST]


def _read(decoder: Decoder, path: Path) -> Photo | None:
    data = path.read_bytes()
    try:
        return Photo(path.name, data, decoder.decode(data))
    except AssentError:
        return None
