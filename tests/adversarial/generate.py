"""Malformed picture files, made from valid ones of every format; the same seed makes the same files."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from zipfile import ZipFile

import numpy as np
from PIL import Image, ImageFilter

from tests.unit.picture_files import encoded, heic, motif, orientation, saved

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/><script>alert(1)</script></svg>'
# Numbers that length and size fields do not expect.
ABSURD = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x00FFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
Mutation = Callable[[bytes, random.Random], bytes]


def malformed(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Valid files altered by chance: what each is, and its bytes."""
    rng = random.Random(seed)
    names, kinds = sorted(valid()), sorted(MUTATIONS)
    for number in range(count):
        name, kind = names[number % len(names)], rng.choice(kinds)
        data = MUTATIONS[kind](valid()[name], rng)
        if rng.random() < 0.25 and len(data) > 16:  # some are spoiled twice
            second = rng.choice(kinds)
            data, kind = MUTATIONS[second](data, rng), f"{kind}, {second}"
        yield f"{name}: {kind}", data


@cache
def valid() -> dict[str, bytes]:
    """Sound files: every format, and of each the kinds that decoders treat by other code."""
    noise = np.random.default_rng(20261123).integers(0, 256, (72, 96, 3), np.uint8)
    photo = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))
    clear = photo.copy()
    clear.putalpha(photo.convert("L"))

    def moving(pillow_format: str, **options: object) -> bytes:
        # New images each time: Pillow's savers leave their settings on those they append.
        first, *others = (Image.fromarray(np.roll(np.asarray(photo), shift, 1)) for shift in range(0, 50, 10))
        return saved(first, pillow_format, save_all=True, append_images=others, **options)

    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    files = {
        "jpeg": saved(photo, "JPEG", exif=orientation(6)),
        "jpeg progressive": saved(photo, "JPEG", progressive=True, quality=60),
        "jpeg grey": saved(photo.convert("L"), "JPEG", quality=30),
        "jpeg cmyk": saved(photo.convert("CMYK"), "JPEG"),
        "jpeg restarts": saved(photo, "JPEG", restart_marker_blocks=4, optimize=True),
        "jpeg of five": moving("MPO"),
        "png": saved(photo, "PNG", exif=orientation(3), icc_profile=bytes(200)),
        "png palette": saved(photo.convert("P"), "PNG", transparency=3),
        "png alpha": saved(clear, "PNG"),
        "png deep": saved(deep, "PNG"),
        "png one bit": saved(photo.convert("1"), "PNG"),
        "png moving": moving("PNG", duration=50),
        "webp": saved(photo, "WEBP", exif=orientation(8)),
        "webp lossless": saved(clear, "WEBP", lossless=True),
        "webp moving": moving("WEBP", duration=50),
        "gif": saved(photo, "GIF"),
        "gif interlaced": saved(photo, "GIF", interlace=True, transparency=3),
        "gif moving": moving("GIF", duration=50, disposal=2),
        "avif": saved(photo, "AVIF", speed=10),
        "avif alpha": saved(clear, "AVIF", speed=10),
        "avif moving": moving("AVIF", duration=50, speed=10),
        "heic": heic(1),
        "heic turned": heic(6),
        "tiff": saved(photo, "TIFF"),
        "tiff lzw": saved(clear, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": saved(photo, "TIFF", compression="jpeg"),
        "tiff fax": saved(photo.convert("1"), "TIFF", compression="group4"),
        "tiff pages": moving("TIFF"),
        "tiff deep": saved(deep, "TIFF", compression="tiff_adobe_deflate"),
        "bmp": saved(photo, "BMP"),
        "bmp palette": saved(photo.convert("P"), "BMP"),
        "bmp one bit": saved(photo.convert("1"), "BMP"),
    }
    return dict(sorted(files.items()))


# Mutations that know no format


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def spoiled_head(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        out[rng.randrange(min(len(out), 120))] = rng.randrange(256)
    return bytes(out)


def absurd_number(data: bytes, rng: random.Random) -> bytes:
    """A number of 16 or 32 bits anywhere, in either order, is replaced by one that lengths do not expect."""
    shape = rng.choice((">H", "<H", ">I", "<I"))
    size = struct.calcsize(shape)
    if len(data) <= size:
        return data
    at = rng.randrange(min(len(data), rng.choice((200, len(data)))) - size) if len(data) > 200 + size else 0
    value = rng.choice(ABSURD) & ((1 << 8 * size) - 1)
    return data[:at] + struct.pack(shape, value) + data[at + size :]


def blotted(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    size = rng.randint(1, 1 + len(data) // 4)
    filling = rng.choice((b"\0", b"\xff", rng.randbytes(1))) * size
    return data[:start] + filling[: len(data) - start] + data[start + size :]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 1 + len(data) // 4) :]


def doubled(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 400)]
    return data[: start + len(piece)] + piece * rng.randint(1, 50) + data[start + len(piece) :]


def crossed(data: bytes, rng: random.Random) -> bytes:
    """One file's beginning, another's end."""
    other = valid()[rng.choice(sorted(valid()))]
    return data[: rng.randrange(1, len(data))] + other[rng.randrange(len(other)) :]


def polyglot(data: bytes, rng: random.Random) -> bytes:
    """A file of another kind before or after."""
    archive = BytesIO()
    with ZipFile(archive, "w") as file:
        file.writestr("a.png", SVG)
    other = rng.choice((SVG, b"%PDF-1.7\n%%EOF", b"<html><script>", archive.getvalue(), valid()["gif"], valid()["png"]))
    return other + data if rng.random() < 0.3 else data + other


# Mutations that know the format, so that checksums and structure hold


def pieces(data: bytes) -> list[bytes]:
    """PNG chunks, JPEG segments, RIFF chunks or ISO boxes, with their heads; of other formats, runs of 64 bytes."""
    cuts, at = [0], 0
    while 0 <= at < len(data) and len(cuts) < 500:
        at = _next_piece(data, at)
        cuts.append(min(at, len(data)))
    return [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True) if b > a]


def _next_piece(data: bytes, at: int) -> int:
    def number(shape: str, offset: int) -> int:
        size = struct.calcsize(shape)
        raw = data[at + offset : at + offset + size]
        return int(struct.unpack(shape, raw)[0]) if len(raw) == size else len(data)

    if data.startswith(SIGNATURE):
        return at + (8 if at == 0 else 12 + number(">I", 0))
    if data.startswith(b"\xff\xd8"):
        marker = data[at + 1] if at + 1 < len(data) else 0
        return at + 2 if marker == 0xD8 else len(data) if marker in (0xDA, 0) else at + 2 + number(">H", 2)
    if data.startswith(b"RIFF"):
        return at + (12 if at == 0 else 8 + (number("<I", 4) + 1) // 2 * 2)
    if data[4:8] == b"ftyp":
        return at + max(number(">I", 0), 8)
    return at + 64


def shuffled(data: bytes, rng: random.Random) -> bytes:
    """Pieces left out, doubled or put elsewhere."""
    parts = pieces(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(1, len(parts)) if len(parts) > 1 else 0
        match rng.randrange(3):
            case 0:
                parts = parts[:at] + parts[at + 1 :] or parts
            case 1:
                parts = [*parts[:at], parts[at], parts[at], *parts[at + 1 :]]
            case _:
                parts.insert(rng.randrange(len(parts)), parts.pop(at))
    return b"".join(parts)


def resealed(data: bytes, rng: random.Random) -> bytes:
    """A piece's contents altered; in a PNG with its checksum made right again, so that it is believed."""
    parts = pieces(data)
    at = rng.randrange(len(parts))
    inside = bytearray(parts[at])
    for _ in range(rng.randint(1, 4)):
        inside[rng.randrange(len(inside))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    parts[at] = bytes(inside)
    if data.startswith(SIGNATURE) and at > 0 and len(inside) >= 12:
        parts[at] = chunk(bytes(inside[4:8]), bytes(inside[8:-4]))
    return b"".join(parts)


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated,
    "bits flipped": flipped,
    "head spoiled": spoiled_head,
    "absurd number": absurd_number,
    "blotted": blotted,
    "cut out": cut_out,
    "doubled": doubled,
    "crossed": crossed,
    "polyglot": polyglot,
    "shuffled": shuffled,
    "resealed": resealed,
}


# By hand


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """A PNG chunk; `length` lies about its size."""
    return struct.pack(">I", len(body) if length is None else length) + kind + body + crc(kind + body)


def crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def png(*chunks: bytes, width: int = 8, height: int = 8, colour: int = 2, depth: int = 8) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + b"".join(chunks)


@cache
def bomb(size: int) -> bytes:
    """zlib data that inflates to `size` noughts: the same megabyte again and again, compressed once."""
    whole, rest = divmod(size, 1 << 20)
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    one = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", size % 65521, 1)  # Adler-32 of noughts
    return b"\x78\xda" + one * whole + deflate.compress(bytes(rest)) + deflate.flush() + checksum


def gif_of(width: int, height: int, frames: int) -> bytes:
    """Frames of one pixel each on a screen of that size."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    return screen + (b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00") * frames + b"\x3b"


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(motif(2000, 2000), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * count + data[-2:]


def tiff_of(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A TIFF of one directory: tag, type, count, value of each entry, and where the next directory stands."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + struct.pack("<I", following)


def made_by_hand() -> Iterator[tuple[str, bytes]]:
    """Files with a history: each took memory, time or an unlucky decoder somewhere."""
    pixels = chunk(b"IDAT", bomb(8 * 25)) + chunk(b"IEND", b"")
    yield "svg named .png", SVG
    yield "svg after a PNG signature", SIGNATURE + SVG
    yield "png, 42 bytes and a chunk of 2 GB", png(struct.pack(">I", 0x7FFFFFFF) + b"IDATx")
    yield "png, a chunk of 4 GB", png(struct.pack(">I", 0xFFFFFFFF) + b"zTXtx")
    yield "png, a known chunk of 2 GB", png(struct.pack(">I", 0x7FFFFFFF) + b"eXIf", pixels)
    yield "png, iCCP of 1 GB", png(chunk(b"iCCP", b"a\0\0" + bomb(1 << 30)), pixels)
    yield "png, zTXt of 1 GB", png(chunk(b"zTXt", b"a\0\0" + bomb(1 << 30)), pixels)
    yield "png, iTXt of 1 GB", png(chunk(b"iTXt", b"a\0\1\0\0\0" + bomb(1 << 30)), pixels)
    yield "png, zTXt of 50 MB, 30 times", png(chunk(b"zTXt", b"a\0\0" + bomb(50_000_000)) * 30, pixels)
    yield "png, 100,000 empty chunks", png(chunk(b"tEXt", b"") * 100_000, pixels)
    yield "png, beyond the sides", png(pixels, width=12_001)
    yield "png, two headers", png(chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)), pixels)
    yield "png, moving without frames", png(chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)), pixels)
    yield "png, a palette's index beyond it", png(chunk(b"PLTE", b"abc"), pixels, colour=3)
    yield "gif, 65,535 frames", gif_of(64, 64, 65_535)
    yield "gif, 65,535 pixels a side", gif_of(65_535, 65_535, 1)
    yield (
        "gif, a frame outside its screen",
        gif_of(8, 8, 1).replace(b"\x2c\0\0\0\0\1\0\1\0", b"\x2c\7\0\7\0\xff\xff\xff\xff"),
    )
    yield "gif, code size 0", gif_of(8, 8, 1).replace(b"\x02\x02\x44\x01", b"\x00\x02\x44\x01")
    yield "jpeg, 65,500 pixels a side", _jpeg_of(65_500, 65_500)
    yield "jpeg, no rows", _jpeg_of(96, 0)
    yield "jpeg, beyond the limit by a pixel", _jpeg_of(7072, 7071)
    yield "jpeg, 1 MB of fill bytes", b"\xff\xd8" + b"\xff" * 1_000_000 + valid()["jpeg"][2:]
    yield "jpeg, 300 ICC segments", b"\xff\xd8" + b"\xff\xe2\x00\x10ICC_PROFILE\0\1\1" * 300 + valid()["jpeg"][2:]
    size = (256, 4, 1, 20_000), (257, 4, 1, 20_000)
    yield "tiff, a directory that follows itself", tiff_of((256, 4, 1, 8), (257, 4, 1, 8), following=8)
    yield "tiff, 4,294,967,295 of a tag", tiff_of((256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 0xFFFFFFFF, 8))
    yield "tiff, 400 MP", tiff_of(*size, (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8))
    yield "tiff, a side of 4,294,967,295", tiff_of((256, 4, 1, 0xFFFFFFFF), (257, 4, 1, 1), (273, 4, 1, 8))
    yield "bmp, 400 MP", _bmp_of(20_000, 20_000)
    yield "bmp, upside down by 2³¹", _bmp_of(8, -(2**31))
    yield "bmp, 45 MP that are not there", _bmp_of(9000, 5000)
    yield "webp, a canvas of 16 million a side", _webp_of(0xFFFFFF, 0xFFFFFF)
    yield "avif, ispe of 4 billion", valid()["avif"].replace(struct.pack(">II", 96, 72), b"\xff" * 8)
    yield "heic, ispe of 13,000", heic(1).replace(struct.pack(">II", 64, 64), struct.pack(">II", 13_000, 13_000))
    yield "an ISO file of boxes of no size", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(4000)
    yield "an ISO file, boxes 2,000 deep", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0\0\xff\xffmeta\0\0\0\0" * 2000


def heavy() -> Iterator[tuple[str, bytes]]:
    """Files that take the decode child seconds, or all the time and memory that it has."""
    for depth, colour, size in ((8, 2, 3), (16, 6, 8)):
        rows = chunk(b"IDAT", bomb(7000 * (7000 * size + 1))), chunk(b"IEND", b"")
        yield f"png, 49 MP of {8 * size} bits", png(*rows, width=7000, height=7000, colour=colour, depth=depth)
    yield "png, IDAT of 1 GB for 8 × 8", png(chunk(b"IDAT", bomb(1 << 30)), chunk(b"IEND", b""))
    yield "jpeg, 500 scans of 4 MP", scans(500)
    yield "gif, three frames of 33 MP", gif_of(5700, 5700, 3)
    yield "gif, 65,535 frames of 25 MP", gif_of(5000, 5000, 65_535)


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header claims that size."""
    data = bytearray(valid()["jpeg"])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _bmp_of(width: int, height: int) -> bytes:
    data = bytearray(valid()["bmp"])
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _webp_of(width: int, height: int) -> bytes:
    data = bytearray(valid()["webp lossless"] if valid()["webp lossless"][12:16] == b"VP8X" else valid()["webp"])
    at = data.index(b"VP8X")
    data[at + 12 : at + 18] = width.to_bytes(3, "little") + height.to_bytes(3, "little")
    return bytes(data)
