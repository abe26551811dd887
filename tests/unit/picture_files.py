"""Picture files for tests: one motif in four colours, so that every turn and flip of it is told apart."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assent.core.values import Pixels

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 40), (30, 40, 210), (240, 240, 240)

# What each EXIF orientation does to the stored rows and columns (EXIF 2.32, tag 0x0112), said in numpy.
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def motif(width: int = 64, height: int = 48) -> Pixels:
    """Red and green above blue and grey."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = GREY
    return pixels


def quadrants(pixels: Pixels) -> list[tuple[int, int, int]]:
    """The colour in the middle of each quarter, each rounded to the motif's nearest."""
    h, w, _ = pixels.shape
    seen = [pixels[y, x].astype(int) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    return [min((RED, GREEN, BLUE, GREY), key=lambda c: int(np.abs(colour - c).sum())) for colour in seen]


def encoded(pixels: Pixels, pillow_format: str, **options: object) -> bytes:
    return saved(Image.fromarray(pixels), pillow_format, **options)


def saved(image: Image.Image, pillow_format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, pillow_format, **options)
    return file.getvalue()


def bmp(width: int, height: int, bits: int, compression: int, masks: bytes, rows: bytes, header: int = 40) -> bytes:
    start = 54 + len(masks)
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + masks + rows


def orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


# motif() as HEIC, once for each orientation 1 to 8: rotated by the container (irot, imir) and saying the same in EXIF.
# Encoded by x265 through pillow-heif, which the project does not depend on.
_HEIC_SIZES = (617, 627, 627, 627, 637, 627, 637, 627)
_HEIC = """
eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYFxVW5qSSIDBChmpOQUQdkMBZnJJQxowCQzJx9siIsDAxMDI4jFeA5CA0E5UAwImFzhIipAbJGZmZcG
5oFkRYGcVLAyoJqMsmRDBiRBRpAS14pMsHK+gsySXAaoSoaXmQVFBUD6VGZBcj6QLgPqdWZkBglNACuS+8Dw5++PHwwM/MwJQB0SDow8jP//gxQwg1Qw
g5DcLiaHRKCklhMjI5rMAoVG1mmvnizbuYMjw0ABKMQMIhgUk4DK2VwYDxYf6ARaIpJZXJAK9ZsDFGsk5yQWQNkglxpAabCP/////wHqc4GCzIpMkCAz
BwcHkBLPLMiFBTwjAyNLIxNLM5AplVmUmgYV5ktOKU4GBzTIwMW5KYmgGCnWYFwv3PDU8Pv/7T/t7y+2P2mU5rfgiP6vq3Yv/u5fcmEj2+PlnZ/37N94
+s8ijaZeznn1P19vNzdIXKfyVSDgm8kB85eKMaHKuoWCVmuiOuV0puu+cL74nUcy+uz13cufymooSdttvf7q8QWfL0ziZ65odZj6mRYEgPzABokYX18G
LSCPg4GRUQgUdlDHQQC+hLaF0oR2AyOh+dMgoX2GJrTLwyahcWbmZhaBFEqgpjhWUIprHZpJjmk0yQ3uJFeUX8I0vJIc82iSG/SlHMPwSnIsRCW5fZQm
uUcYSS6SBknuLzTJ3RlepRwzcg0riZr22MBpr21oJj7W0fJuSCS+YVTesY2Wd0OnvGMYZuUd+2h5N+gT3zDrxXJAXAsAcFpyvA==
"""


def heic(orientation: int) -> bytes:
    files = zlib.decompress(base64.b64decode(_HEIC))
    start, end = list(pairwise(accumulate(_HEIC_SIZES, initial=0)))[orientation - 1]
    return files[start:end]


# Red, then blue, which is the primary image: 64 × 64 each, encoded likewise.
_HEIC_OF_TWO = """
eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYGxJTe1JJEBAhQzUnKKoGyGgszkEgY0YJKZkw82xMWBgYmBEcRiXAGhgUAKKAYSOYQkwsBgkZmZlwbmgWRF
gZxUiDIGhoyyZEMGFEEmhCBfQWZJLlzf3cyCogIgvT2zIDkfSFcAlTkzMoOEJoAVyX1g+PP3xw8GBn7mBKDZEg6MPIz//4MUMINUMIOQ3C4mh0SgpLYTIyOa
zAKFRtZprzw11+UxSfFwgIROgAgOhySgenYXxoNFG5QcgNYIJ+fnFOUl51QAhXkZ2BqAQiKZxQWpUA87QLFAQWZFJkiAmYODA+S6zIJcWCgDA46lkYmZhYEJ
QjEw2OSmJILCWkyDcX3ET75J8f8/ztv/PynI+dn2xdIKG1Bkvtve6T+ta//9AU9O0wEAW2hckQ==
"""


def heic_of_two() -> bytes:
    return zlib.decompress(base64.b64decode(_HEIC_OF_TWO))


@cache
def samples() -> dict[str, bytes]:
    """The motif once in each of the eight formats."""
    pixels = motif()
    files = {name: encoded(pixels, name.upper()) for name in ("jpeg", "png", "webp", "gif", "avif", "tiff", "bmp")}
    return files | {"heic": heic(1)}


def wide_gamut() -> bytes:
    """An RGB profile with Display P3's primaries and sRGB's curve, written by hand (ICC.1:2010, matrix and curves)."""

    def s15(*values: float) -> bytes:
        return b"".join(round(value * 65_536).to_bytes(4, "big", signed=True) for value in values)

    xyz = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.96420, 1.0, 0.82491),
    }
    curve = b"para\0\0\0\0\0\x03\0\0" + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    words = b"desc\0\0\0\0\0\0\0\x03P3\0" + bytes(79)
    parts = {name: b"XYZ \0\0\0\0" + s15(*value) for name, value in xyz.items()}
    parts |= {b"desc": words, b"cprt": b"text\0\0\0\0none\0", b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    at, table, body = 128 + 4 + 12 * len(parts), b"", b""
    for name, data in parts.items():
        padded = data + bytes(-len(data) % 4)
        table += name + (at + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += padded
    rest = len(parts).to_bytes(4, "big") + table + body
    head = (128 + len(rest)).to_bytes(4, "big") + b"\0\0\0\0\x04\0\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return head + s15(0.9642, 1.0, 0.82491) + bytes(48) + rest
