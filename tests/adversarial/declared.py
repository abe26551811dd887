"""Picture files that declare how their colours, their clear parts or their depth are meant; one photo, many ways."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.adversarial.generate import SIGNATURE, chunk
from tests.unit.perceive_photos import photo

SIDE = 96
Samples = NDArray[np.uint8] | NDArray[np.uint16]
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# Chromaticities x, y of white, red, green and blue.
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT2020 = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
SWAPPED = (0.3127, 0.3290, 0.15, 0.06, 0.64, 0.33, 0.30, 0.60)  # what is stored as red shows as blue


@cache
def portrait() -> NDArray[np.uint8]:
    """The photo (96, 96, 3), and under it a ramp of greys."""
    small = np.array(Image.fromarray(photo("astronaut.png")).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    small[-12:] = np.linspace(0, 255, SIDE).round().astype(np.uint8)[None, :, None]
    return small


@cache
def grey() -> NDArray[np.uint8]:
    return np.array(Image.fromarray(portrait()).convert("L"))


def wide(samples: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return samples.astype(np.uint16) * 257


def shade() -> NDArray[np.uint8]:
    """Alpha (96, 96, 1) that the photo itself is drawn with."""
    return grey()[..., None]


# PNG, written by hand: all that Pillow would not write


def png_file(samples: Samples, colour: int, depth: int, *before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    """A PNG of samples (h, w) or (h, w, bands); `before`: chunks between the header and the pixels."""
    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    lines = np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(lines))
    return SIGNATURE + head + b"".join(before) + pixels + b"".join(after) + chunk(b"IEND", b"")


def gama(value: int) -> bytes:
    """gAMA in 100,000ths: 45,455 is about sRGB's."""
    return chunk(b"gAMA", struct.pack(">I", value))


def chrm(primaries: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in primaries)))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


# ICC profiles, written by hand (ICC.1:2010)


def icc(space: bytes, connection: bytes, **tags: bytes) -> bytes:
    """A profile from a colour space to XYZ or Lab, with those tags, each of four letters."""
    fixed = {"desc": b"desc\0\0\0\0\0\0\0\2x\0" + bytes(79), "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz(D50)}
    parts = fixed | tags
    at, table, body = 128 + 4 + 12 * len(parts), b"", b""
    for name, data in parts.items():
        table += name.encode() + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(parts)) + table + body
    head = struct.pack(">I", 128 + len(rest)) + b"\0\0\0\0\2\x10\0\0mntr" + space + connection + bytes(12)
    return head + b"acsp" + bytes(28) + _s15(*D50) + bytes(48) + rest


D50 = (0.9642, 1.0, 0.82491)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _s15(*values: float) -> bytes:
    return b"".join(round(value * 65_536).to_bytes(4, "big", signed=True) for value in values)


def _xyz(value: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _s15(*value)


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0\0\0\0\1" + round(gamma * 256).to_bytes(2, "big") + b"\0\0"


def table_curve(curve: Curve, size: int = 1024) -> bytes:
    values = (np.clip(curve(np.linspace(0, 1, size)), 0, 1) * 65_535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", size) + values.tobytes()


def rgb_profile(primaries: tuple[float, ...], curve: bytes) -> bytes:
    """Colourants adapted to D50 by Bradford's cones."""
    xy = np.array(primaries).reshape(4, 2)
    xyz = np.column_stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    share = np.linalg.solve(xyz[1:].T, xyz[0])
    cones = np.diag((_BRADFORD @ np.array(D50)) / (_BRADFORD @ xyz[0]))
    columns = np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ (xyz[1:].T * share)
    tags = {f"{band}XYZ": _xyz(tuple(columns[:, at])) for at, band in enumerate("rgb")}
    return icc(b"RGB ", b"XYZ ", **tags, rTRC=curve, gTRC=curve, bTRC=curve)


def grey_profile(curve: bytes) -> bytes:
    return icc(b"GRAY", b"XYZ ", kTRC=curve)


def extended(curve: bytes, **tags: bytes) -> bytes:
    """A profile of sRGB's primaries with further tags."""
    whole = rgb_profile(SRGB, curve)
    rows = [whole[at : at + 12] for at in range(132, 132 + 12 * int.from_bytes(whole[128:132]), 12)]
    own = {row[:4].decode(): whole[int.from_bytes(row[4:8]) :][: int.from_bytes(row[8:])] for row in rows}
    return icc(b"RGB ", b"XYZ ", **(own | tags))


def code_table(primaries: int, transfer: int) -> bytes:
    """The tag cicp (ICC.1:2022)."""
    return b"cicp\0\0\0\0" + bytes([primaries, transfer, 0, 1])


def table_profile(
    space: bytes, to_lab: Callable[[NDArray[np.float64]], NDArray[np.float64]], points: int, name: str = "A2B0"
) -> bytes:
    """A profile that is a table (lut16Type, `points` a side) from device values 0–1 to Lab."""
    bands = 4 if space == b"CMYK" else 3
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, points)] * bands, indexing="ij"), axis=-1).reshape(-1, bands)
    lab = to_lab(grid)
    stored = np.column_stack([lab[:, 0] * 652.8, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256])
    head = b"mft2\0\0\0\0" + bytes([bands, 3, points, 0]) + _s15(1, 0, 0, 0, 1, 0, 0, 0, 1)
    straight = np.array([0, 65_535], ">u2").tobytes()
    table = np.clip(stored, 0, 65_535).round().astype(">u2").tobytes()
    tag = head + struct.pack(">HH", 2, 2) + straight * bands + table + straight * 3
    return icc(space, b"Lab ", **{name: tag})


def lab_of_rgb(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB values 0–1 as Lab under D50, by littleCMS."""
    values = (np.clip(rgb, 0, 1) * 255).round().astype(np.uint8)[None]
    lab = ImageCms.profileToProfile(
        Image.fromarray(values), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    stored = np.asarray(lab)[0].astype(float)
    signed = np.where(stored[:, 1:] > 127, stored[:, 1:] - 256, stored[:, 1:])
    return np.column_stack([stored[:, 0] * 100 / 255, signed])


def lab_of_ink(cmyk: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ink 0–1 as Lab: paper that is a little yellow, black that is not quite black."""
    rgb = (1 - cmyk[:, :3]) * (1 - cmyk[:, 3:])
    return lab_of_rgb(0.1 + rgb * np.array([0.9, 0.88, 0.8]))
