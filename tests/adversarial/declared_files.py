"""Sound files of every format with every declaration of colour, key and alpha; what each is, and its bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.adversarial.declared import (
    BT2020,
    P3,
    SRGB,
    SWAPPED,
    chrm,
    cicp,
    code_table,
    extended,
    gama,
    gamma_curve,
    grey,
    grey_profile,
    iccp,
    lab_of_ink,
    lab_of_rgb,
    png_file,
    portrait,
    rgb_profile,
    shade,
    table_curve,
    table_profile,
    wide,
)
from tests.adversarial.generate import chunk
from tests.unit.picture_files import saved

Files = Iterator[tuple[str, bytes]]
# Code points of primaries and transfer: those that H.273 names and browsers know, and some that they do not.
CODES = (
    *((primaries, 13) for primaries in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22)),
    *((1, transfer) for transfer in (1, 4, 5, 6, 7, 8, 14, 15, 16, 17, 18)),
    *((9, 14), (9, 16), (9, 18), (12, 1), (12, 8), (12, 16), (12, 18), (22, 5), (2, 2), (1, 2), (2, 13)),
)
UNKNOWN_CODES = ((1, 0), (1, 9), (1, 10), (1, 12), (1, 99), (0, 13), (3, 13), (99, 13))


@cache
def profiles() -> dict[str, bytes]:
    """Profiles of RGB."""
    return {
        "P3": rgb_profile(P3, gamma_curve(2.2)),
        "BT.2020": rgb_profile(BT2020, gamma_curve(2.4)),
        "swapped": rgb_profile(SWAPPED, gamma_curve(2.2)),
        "linear": rgb_profile(SRGB, gamma_curve(1)),
        "gamma 3": rgb_profile(SRGB, gamma_curve(3)),
        "negative": rgb_profile(SRGB, table_curve(lambda value: 1 - value)),
        "a table": table_profile(b"RGB ", lambda rgb: lab_of_rgb(1 - rgb), 9),
        "a fine table": table_profile(b"RGB ", lambda rgb: lab_of_rgb(rgb**2), 24),
        "code points": extended(gamma_curve(2.2), cicp=code_table(1, 8)),
        "code points, PQ": extended(gamma_curve(2.2), cicp=code_table(9, 16)),
        "another table only": table_profile(b"RGB ", lambda rgb: lab_of_rgb(1 - rgb), 5, name="A2B1"),
        "no table that is read": table_profile(b"RGB ", lambda rgb: lab_of_rgb(1 - rgb), 5, name="A2B2"),
        "broken": bytes(200),
        "of grey": grey_profile(gamma_curve(3)),
        "of ink": table_profile(b"CMYK", lab_of_ink, 3),
    }


@cache
def profiles_of_grey() -> dict[str, bytes]:
    return {
        "linear": grey_profile(gamma_curve(1)),
        "gamma 3": grey_profile(gamma_curve(3)),
        "negative": grey_profile(table_curve(lambda value: 1 - value)),
    }


def declared_files() -> Files:
    return chain(_png_colours(), _png_keys(), _png_alpha(), _jpeg(), _webp(), _gif(), _bmp(), _avif())


def _png_colours() -> Files:
    plain = {
        "nothing": (),
        **{f"gAMA {value}": (gama(value),) for value in (0, 10_000, 22_727, 45_455, 47_000, 55_556, 100_000, 150_000)},
        **{f"gAMA {value}, steep": (gama(value),) for value in (1, 500, 2_000, 220_000)},
        "cHRM": (chrm(P3),),
        "gAMA, cHRM of sRGB": (gama(45_455), chrm(SRGB)),
        "gAMA, cHRM of P3": (gama(45_455), chrm(P3)),
        "gAMA, cHRM of BT.2020": (gama(100_000), chrm(BT2020)),
        "gAMA, cHRM swapped": (gama(45_455), chrm(SWAPPED)),
        "gAMA, cHRM of noughts": (gama(100_000), chunk(b"cHRM", bytes(32))),
        "sRGB": (chunk(b"sRGB", b"\0"), gama(100_000), chrm(SWAPPED)),
        "sRGB of an unknown intent": (chunk(b"sRGB", b"\x09"), gama(100_000)),
        "gAMA twice": (gama(45_455), gama(100_000)),
        "gAMA too long": (chunk(b"gAMA", struct.pack(">II", 100_000, 0)),),
        **{f"cICP {codes}": (cicp(*codes),) for codes in (*CODES, *UNKNOWN_CODES)},
        "cICP of part of the range": (cicp(1, 13, full=0),),
        "cICP, PQ to 400": (cicp(9, 16), chunk(b"cLLI", struct.pack(">II", 4_000_000, 2_000_000))),
        "cICP, PQ to 4,000": (cicp(9, 16), chunk(b"cLLI", struct.pack(">II", 40_000_000, 2_000_000))),
        "cICP, HLG to 400": (cicp(9, 18), chunk(b"cLLI", struct.pack(">II", 4_000_000, 2_000_000))),
        "cICP, PQ, a display of 4,000": (cicp(9, 16), chunk(b"mDCV", bytes(16) + struct.pack(">II", 40_000_000, 50))),
        "cICP before all others": (cicp(1, 8), iccp(profiles()["swapped"]), gama(220_000)),
        "cICP that says nothing, gAMA": (cicp(2, 2), gama(100_000)),
        "iCCP before gAMA": (iccp(profiles()["linear"]), gama(220_000)),
        "iCCP broken, gAMA": (iccp(bytes(200)), gama(100_000)),
        "iCCP twice": (iccp(profiles()["linear"]), iccp(profiles()["swapped"])),
        **{f"iCCP {name}": (iccp(profile),) for name, profile in profiles().items()},
    }
    for name, chunks in plain.items():
        yield f"png, {name}", png_file(portrait(), 2, 8, *chunks)
        yield f"png of grey, {name}", png_file(grey(), 0, 8, *chunks)
    for name, profile in profiles_of_grey().items():
        yield f"png of grey, iCCP of grey, {name}", png_file(grey(), 0, 8, iccp(profile))
        yield (
            f"png of grey with alpha, iCCP of grey, {name}",
            png_file(np.dstack([grey(), shade()]), 4, 8, iccp(profile)),
        )
        yield f"png of 16 bits of grey, iCCP of grey, {name}", png_file(wide(grey()), 0, 16, iccp(profile))
    few = Image.fromarray(portrait()).quantize(64)
    palette = chunk(b"PLTE", bytes((few.getpalette() or [])[: 3 * 64]))
    for name in ("gAMA 100000", "cICP (9, 16)", "iCCP swapped", "iCCP of grey", "nothing"):
        yield f"png of a palette, {name}", png_file(np.asarray(few), 3, 8, *plain[name], palette)
        yield f"png of 16 bits, {name}", png_file(wide(portrait()), 2, 16, *plain[name])
        yield f"png with alpha, {name}", png_file(np.dstack([portrait(), shade()]), 6, 8, *plain[name])
    yield "png, gAMA after the palette", png_file(np.asarray(few), 3, 8, palette, gama(100_000))
    yield "png, gAMA after the pixels", png_file(portrait(), 2, 8, after=(gama(100_000),))
    low = (65_280 + grey().astype(np.uint16)).astype(np.uint16)
    for value in (100, 200, 1_000):
        yield f"png, a photo in its lower bytes, gAMA {value}, steep", png_file(low, 0, 16, gama(value))


def _key(*parts: int) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(parts)}H", *parts))


def _png_keys() -> Files:
    """Colour keys that leave a silhouette: half of the photo is clear, in one colour or in those next to it."""
    dark = grey() < 100
    for depth in (1, 2, 4, 8, 16):
        step = (1 << depth) - 1
        samples = (grey().astype(np.uint32) * step // 255).astype(np.uint16)
        samples[dark] = step // 2
        yield f"png of {depth} bits of grey, a key", png_file(samples, 0, depth, _key(step // 2))
        yield (
            f"png of {depth} bits of grey, a key and gAMA",
            png_file(samples, 0, depth, gama(100_000), _key(step // 2)),
        )
    clear = [int(part) for part in portrait()[20, 40]]
    samples_of_8 = np.where(dark[..., None], portrait()[20, 40], portrait())
    yield "png of 8 bits, a key", png_file(samples_of_8, 2, 8, _key(*clear))
    yield "png of 16 bits, a key", png_file(wide(samples_of_8), 2, 16, _key(*(257 * part for part in clear)))
    near = np.where(dark[..., None], 0x8012, 0x8034).astype(np.uint16) + np.zeros((1, 1, 3), np.uint16)
    yield "png of 16 bits, a key that differs in its lower byte", png_file(near, 2, 16, _key(0x8012, 0x8012, 0x8012))
    yield "png of 16 bits of grey, likewise", png_file(near[..., 0], 0, 16, _key(0x8034))
    flipped = np.where(dark[..., None], 0x1280, 0x8012).astype(np.uint16) + np.zeros((1, 1, 3), np.uint16)
    yield "png of 16 bits, a key whose bytes stand elsewhere", png_file(flipped, 2, 16, _key(0x8012, 0x8012, 0x8012))


def _png_alpha() -> Files:
    for name, level in (("white", 255), ("black", 0), ("grey", 128)):
        flat = np.full_like(portrait(), level)
        yield f"png, {name} with alpha", png_file(np.dstack([flat, shade()]), 6, 8)
        yield f"png of 16 bits, {name} with alpha", png_file(wide(np.dstack([flat, shade()])), 6, 16)
        yield f"png of grey, {name} with alpha", png_file(np.dstack([flat[..., :1], shade()]), 4, 8)
    clear = chunk(b"PLTE", bytes([255] * 3 * 256)), chunk(b"tRNS", bytes(range(256)))
    yield "png of a palette, white with alpha", png_file(grey(), 3, 8, *clear)


def _image(samples: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(samples)


def _jpeg() -> Files:
    colour, plain = _image(portrait()), _image(grey())
    ink = colour.convert("CMYK")
    yield "jpeg", saved(colour, "JPEG", quality=95)
    yield "jpeg, grey", saved(plain, "JPEG", quality=95)
    yield "jpeg, not YCbCr", saved(colour, "JPEG", quality=95, keep_rgb=True)
    yield "jpeg, CMYK", saved(ink, "JPEG", quality=95)
    for name, profile in profiles().items():
        yield f"jpeg, {name}", saved(colour, "JPEG", quality=95, icc_profile=profile)
        yield f"jpeg of grey, {name}", saved(plain, "JPEG", quality=95, icc_profile=profile)
        yield f"jpeg of CMYK, {name}", saved(ink, "JPEG", quality=95, icc_profile=profile)
    for name, profile in profiles_of_grey().items():
        yield f"jpeg of grey, of grey {name}", saved(plain, "JPEG", quality=95, icc_profile=profile)
    whole = saved(colour, "JPEG", quality=95, icc_profile=profiles()["swapped"])
    at = whole.index(b"ICC_PROFILE") - 4
    segment = whole[at : at + 2 + int.from_bytes(whole[at + 2 : at + 4])]
    for name, number, count, times in (("a part missing", 1, 2, 1), ("doubled", 1, 1, 2), ("of none", 1, 0, 1)):
        part = segment[:16] + bytes([number, count]) + segment[18:]
        yield f"jpeg, a profile {name}", whole.replace(segment, part * times)


def _webp() -> Files:
    colour = _image(portrait())
    yield "webp", saved(colour, "WEBP", quality=95)
    for name, profile in profiles().items():
        yield f"webp, {name}", saved(colour, "WEBP", quality=95, icc_profile=profile)
        yield f"webp, lossless, {name}", saved(colour, "WEBP", lossless=True, icc_profile=profile)
    for name, level in (("white", 255), ("black", 0)):
        clear = _image(np.dstack([np.full_like(portrait(), level), shade()]))
        yield f"webp, {name} with alpha", saved(clear, "WEBP", lossless=True, exact=True)
    whole = bytearray(saved(colour, "WEBP", quality=95, icc_profile=profiles()["swapped"]))
    whole[20] &= ~0x20
    yield "webp, a profile that its header does not announce", bytes(whole)


def _gif() -> Files:
    few = _image(portrait()).quantize(64)
    plain = saved(few, "GIF")
    yield "gif", plain
    yield "gif, a colour that is clear", saved(few, "GIF", transparency=int(np.asarray(few)[20, 40]))
    profile = profiles()["gamma 3"]
    blocks = b"".join(
        bytes([len(part)]) + part for part in (profile[at : at + 255] for at in range(0, len(profile), 255))
    )
    at = 13 + 3 * (2 << (plain[10] & 7))
    yield "gif, a profile", plain[:at] + b"\x21\xff\x0bICCRGBG1012" + blocks + b"\0" + plain[at:]


def _bmp() -> Files:
    yield "bmp", saved(_image(portrait()), "BMP")
    yield "bmp of grey", saved(_image(grey()), "BMP")
    for name, space in (
        ("sRGB", b"BGRs"),
        ("as Windows has it", b" niW"),
        ("calibrated", bytes(4)),
        ("linked", b"KNIL"),
    ):
        yield f"bmp, {name}", _bmp_v5(space, gamma=3.0)
    for name, profile in profiles().items():
        yield f"bmp, embedded, {name}", _bmp_v5(b"DEBM", profile)


def _bmp_v5(space: bytes, profile: bytes = b"", gamma: float = 0.0) -> bytes:
    """A BMP with a BITMAPV5HEADER (Windows, wingdi.h)."""
    rows = portrait()[::-1, :, ::-1].tobytes()
    info = struct.pack("<IiiHHIIiiII", 124, 96, 96, 1, 24, 0, len(rows), 0, 0, 0, 0) + bytes(16) + space
    ends = struct.pack("<9i", *(round(value * 2**30) for value in (0.15, 0.06, 0.79, 0.64, 0.33, 0.03, 0.3, 0.6, 0.1)))
    info += ends + struct.pack("<3I", *[round(gamma * 65_536)] * 3)
    info += struct.pack("<IIII", 4, 124 + len(rows) if profile else 0, len(profile), 0)
    return b"BM" + struct.pack("<IHHI", 138 + len(rows) + len(profile), 0, 0, 138) + info + rows + profile


def with_codes(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC file whose colr box has those code points."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def by_its_stream(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF file without a colr box, whose AV1 sequence header has those code points, at its 73rd bit."""
    box, at = data.index(b"colr"), data.index(b"mdat") + 4
    without = data[:box] + b"free" + data[box + 4 :]
    start = int.from_bytes(without[at : at + 12])
    codes = primaries << 8 | transfer
    return without[:at] + (start & ~(0xFFFF << 7) | codes << 7).to_bytes(12) + without[at + 12 :]


def _avif() -> Files:
    colour = _image(portrait())
    plain = saved(colour, "AVIF", quality=95, speed=10)
    yield "avif", plain
    yield "avif of grey", saved(_image(grey()), "AVIF", quality=95, speed=10)
    for codes in (*CODES, *UNKNOWN_CODES):
        yield f"avif, {codes}", with_codes(plain, *codes)
    for name, profile in profiles().items():
        yield f"avif, {name}", saved(colour, "AVIF", quality=95, speed=10, icc_profile=profile)
    yield "avif, by its stream", by_its_stream(plain, 1, 13)
    yield "avif, linear by its stream", by_its_stream(plain, 1, 8)
    yield "avif, PQ by its stream", by_its_stream(plain, 9, 16)
    for name, level in (("white", 255), ("black", 0)):
        clear = _image(np.dstack([np.full_like(portrait(), level), shade()]))
        yield f"avif, {name} with alpha", saved(clear, "AVIF", quality=95, speed=10)
