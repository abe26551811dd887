"""Reads what a file says of its colours, as browsers understand it, for stage 2. Pure; runs in the decode child.

An ICC profile comes as bytes, anything else as a `ColourCoding`. The order is that of PNG's third edition: cICP, iCCP,
sRGB, gAMA with cHRM; of AVIF and HEIC: a profile before code points. What viewers read in different ways, such as
chunks that stand twice or are cut short, is refused, so that a moderator looks at the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

from assent.core.errors import DecodersDisagree
from assent.media import av1
from assent.media.iso_colour import declared_colours, item_places
from assent.media.transfer import (
    BT709,
    CURVES,
    HLG,
    IS_SRGB,
    PEAK_NITS,
    PQ,
    PRIMARIES,
    SRGB,
    SRGB_CURVE,
    UNSPECIFIED,
    Chromaticities,
    ColourCoding,
    power,
)

Declared = bytes | ColourCoding
LARGEST_PROFILE = 4_000_000  # bytes; printers' profiles of four inks have up to three million
_PNG_BODIES = {b"cICP": 4, b"iCCP": None, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"cLLI": 8, b"mDCV": 24}
_ABOUT_SRGB = 0.05  # browsers take a gAMA within this share of 1 / 2.2, without cHRM, for sRGB
_BT709_CURVES = frozenset({BT709, 6, 14, 15, UNSPECIFIED})  # in AVIF and HEIC, browsers take these for sRGB's
_SEGMENT = b"ICC_PROFILE\0"
_STREAM_START = 1_000  # bytes of an AV1 stream in which its sequence header stands
_STRICT = frozenset({"avif", "heic", "bmp"})  # where browsers differ, or show nothing, by any profile but one of RGB
_EMBEDDED = b"DEBM"  # PROFILE_EMBEDDED in a BITMAPV5HEADER


def declared(image: Image.Image, name: str, data: bytes) -> Declared | None:
    """Returns what the file declares; None for nothing or sRGB. The image is open and its pixels are not read yet.

    Raises DecodersDisagree where viewers would show different colours.
    """
    match name:
        case "png":
            found = _of_png(data, _profile(image))
        case "jpeg":
            found = _of_jpeg(image)
        case "webp":
            found = _of_webp(data, _profile(image))
        case "bmp":
            found = _of_bmp(data)
        case "avif" | "heic":
            found = _of_boxes(data) if declared_colours(data) else None if name == "heic" else _of_stream(data)
        case "tiff":
            found = _profile(image)
        case _:  # GIF: browsers read no profile there
            found = None
    if isinstance(found, bytes):
        if len(found) > LARGEST_PROFILE:
            raise DecodersDisagree(f"a colour profile of {len(found)} bytes")
        if name in _STRICT and not (is_profile(found) and found[16:20] == b"RGB "):
            raise DecodersDisagree("a colour profile that is broken or not one of RGB")
    return None if found == IS_SRGB else found


def by_codes(primaries: int, transfer: int, nits: float | None = None) -> ColourCoding:
    """Returns what two code points of H.273 mean. Raises DecodersDisagree where browsers do not know one of them."""
    if primaries not in PRIMARIES or transfer not in CURVES:
        raise DecodersDisagree(f"colours by the code points {primaries} and {transfer}")
    if transfer == SRGB_CURVE and PRIMARIES[primaries] == SRGB:
        return IS_SRGB
    return ColourCoding(PRIMARIES[primaries], CURVES[transfer], (nits or PEAK_NITS) if transfer in (PQ, HLG) else None)


def is_profile(raw: bytes) -> bool:
    """Tells whether the bytes begin like an ICC profile and hold as many as it says."""
    return len(raw) >= 132 and raw[36:40] == b"acsp" and 132 <= int.from_bytes(raw[:4]) <= len(raw)


def _profile(image: Image.Image) -> bytes | None:
    raw = image.info.get("icc_profile")
    return raw if isinstance(raw, bytes) and raw else None


def _of_png(data: bytes, profile: bytes | None) -> Declared | None:
    found: dict[bytes, bytes] = {}
    palette = False
    for kind, body in _png_chunks(data):
        palette = palette or kind == b"PLTE"
        if kind in _PNG_BODIES:
            if kind in found or palette or len(body) != (_PNG_BODIES[kind] or len(body)):
                raise DecodersDisagree("a PNG that declares its colours twice, too late or incompletely")
            found[kind] = body
    if (codes := found.get(b"cICP")) and UNSPECIFIED not in codes[:2]:
        if codes[2:] != b"\0\1":
            raise DecodersDisagree("a PNG whose colours are no full-range RGB")
        return by_codes(codes[0], codes[1], _png_nits(found))
    if b"iCCP" in found:
        if (profile and is_profile(profile)) or not found.keys() & {b"sRGB", b"gAMA"}:
            return profile
        raise DecodersDisagree("a PNG with a broken colour profile and another declaration of its colours")
    if b"sRGB" in found:
        if found[b"sRGB"][0] > 3:
            raise DecodersDisagree("a PNG in sRGB of an unknown intent")
        return None
    return _by_gamma(found) if found.get(b"gAMA", bytes(4)) != bytes(4) else None


def _by_gamma(found: dict[bytes, bytes]) -> ColourCoding:
    gamma = int.from_bytes(found[b"gAMA"]) / 100_000
    if b"cHRM" not in found:
        return IS_SRGB if abs(gamma * 2.2 - 1) <= _ABOUT_SRGB else ColourCoding(SRGB, power(1 / gamma))
    numbers = [number / 100_000 for number in struct.unpack(">8I", found[b"cHRM"])]
    white, red, green, blue = (numbers[at : at + 2] for at in range(0, 8, 2))
    area = (red[0] - blue[0]) * (green[1] - blue[1]) - (green[0] - blue[0]) * (red[1] - blue[1])
    if abs(area) < 0.001 or min(white[1], red[1], green[1], blue[1]) <= 0 or max(numbers) > 1:
        raise DecodersDisagree("a PNG whose primaries span no colours")
    return ColourCoding(_chromaticities(numbers), power(1 / gamma))


def _chromaticities(numbers: list[float]) -> Chromaticities:
    """Returns sRGB's own numbers where these differ only by rounding."""
    if max(abs(number - exact) for number, exact in zip(numbers, SRGB, strict=True)) < 0.002:
        return SRGB
    wx, wy, rx, ry, gx, gy, bx, by = numbers
    return wx, wy, rx, ry, gx, gy, bx, by


def _png_nits(found: dict[bytes, bytes]) -> float | None:
    content = int.from_bytes(found.get(b"cLLI", b"")[:4])
    display = int.from_bytes(found.get(b"mDCV", b"")[16:20])
    return (content or display) / 10_000 or None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the chunks before the pixels."""
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"IDAT":
            return
        yield kind, data[at + 8 : at + 8 + length] if kind in _PNG_BODIES else b""
        at += 12 + length


def _of_jpeg(image: Image.Image) -> bytes | None:
    """Joins the profile's segments, which are numbered from 1 and say how many they are."""
    parts = [body for name, body in getattr(image, "applist", []) if name == "APP2" and body.startswith(_SEGMENT)]
    if not parts:
        return None
    start = len(_SEGMENT)
    if sorted((part[start : start + 2]) for part in parts) != [
        bytes([n, len(parts)]) for n in range(1, len(parts) + 1)
    ]:
        raise DecodersDisagree("a JPEG with parts of a colour profile missing or doubled")
    return b"".join(part[start + 2 :] for part in sorted(parts, key=lambda part: part[start]))


def _of_webp(data: bytes, profile: bytes | None) -> bytes | None:
    flagged = data[12:16] == b"VP8X" and bool(data[20] & 0x20)
    if flagged != (profile is not None):
        raise DecodersDisagree("a WebP file whose header and contents differ about a colour profile")
    return profile


def _of_bmp(data: bytes) -> bytes | None:
    """Returns an embedded profile. Browsers read no other colour space of a BITMAPV4HEADER or BITMAPV5HEADER."""
    if int.from_bytes(data[14:18], "little") < 124 or data[70:74] != _EMBEDDED:
        return None
    start, size = struct.unpack("<II", data[126:134])
    return data[14 + start : 14 + start + size] or None


def _of_boxes(data: bytes) -> Declared:
    found = declared_colours(data)
    if len(found) > 1 or any(len(colours.profiles) > 1 or len(colours.codes) > 1 for colours in found):
        raise DecodersDisagree("a file whose images or tracks declare different colours")
    ((profiles, codes, nits),) = found
    if profiles:
        return next(iter(profiles))
    return _by_video_codes(*next(iter(codes)), nits)


def _of_stream(data: bytes) -> ColourCoding:
    """Returns what the AV1 streams of an AVIF file say, whose boxes say nothing."""
    found = set()
    for start in item_places(data):
        with suppress(ValueError):  # an item that is no stream, such as EXIF
            found.add(av1.declared_codes(data[start : start + _STREAM_START]))
    said = {codes for codes in found if codes and codes != (UNSPECIFIED, UNSPECIFIED)}
    if not found or len(said) > 1:
        raise DecodersDisagree("an AVIF file whose images declare no colours, or different ones")
    return _by_video_codes(*next(iter(said), (UNSPECIFIED, UNSPECIFIED)))


def _by_video_codes(primaries: int, transfer: int, nits: float | None = None) -> ColourCoding:
    primaries = BT709 if primaries == UNSPECIFIED else primaries
    return by_codes(primaries, SRGB_CURVE if transfer in _BT709_CURVES else transfer, nits)
