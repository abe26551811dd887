"""HEIC and TIFF, which Chromium shows neither of, are analysed as libheif's and libtiff's own tools convert them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from assent.media.decode import decode
from tests.adversarial.browser_views import ALLOWED, analysed, apart, shown
from tests.adversarial.declared import cicp, grey, iccp, png_file, portrait, shade, wide
from tests.adversarial.declared_files import profiles
from tests.fixtures.figures import Figure
from tests.installed import need
from tests.unit.picture_files import saved


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    if missing := [name for name in ("heif-enc", "heif-convert", "tiff2rgba") if not shutil.which(name)]:
        need(f"{', '.join(missing)}: install libheif-examples and libtiff-tools")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)


def heic_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """HEIC files that libheif's encoder makes of PNG files."""
    sources = {
        "plain": png_file(portrait(), 2, 8),
        "of grey": png_file(grey(), 0, 8),
        "with alpha": png_file(np.dstack([np.full_like(portrait(), 255), shade()]), 6, 8),
        **{name: png_file(portrait(), 2, 8, iccp(profiles()[name])) for name in ("P3", "swapped", "linear", "a table")},
    }
    for name, data in sources.items():
        (folder / "source.png").write_bytes(data)
        run("heif-enc", "-q", "95", folder / "source.png", "-o", folder / "made.heic")
        yield f"heic {name}", (folder / "made.heic").read_bytes()


def test_heic_is_analysed_as_libheif_converts_it(browser: Browser, tmp_path: Path, figure: Figure) -> None:
    """The tool hands on a profile in its PNG, which Chromium applies."""
    files = dict(heic_files(tmp_path))
    converted = {}
    for name, data in files.items():
        (tmp_path / "in.heic").write_bytes(data)
        run("heif-convert", tmp_path / "in.heic", tmp_path / "out.png")
        converted[name] = (tmp_path / "out.png").read_bytes()
    views = shown(browser, converted)
    off = {}
    for name, data in files.items():
        pairs = zip(analysed(data), views[name], strict=True)
        off[name] = max(255 if theirs is None else apart(ours, theirs) for ours, theirs in pairs)
    worst = max(off, key=lambda name: off[name])
    figure(f"{len(off)} HEIC files beside heif-convert's in Chromium: at most {off[worst]} of 255 off ({worst})")
    assert off[worst] <= ALLOWED


def coded(folder: Path, codes: tuple[int, int]) -> bytes:
    """A HEIC file whose profile gave way to code points."""
    data = dict(heic_files(folder))["heic P3"]
    at = data.index(b"colrprof") + 4
    box = struct.pack(">4sHHHB", b"nclx", *codes, 6, 0x80)
    return data[:at] + box + data[at + len(box) :]


@pytest.mark.parametrize("codes", [(1, 8), (9, 16), (9, 18)])
def test_code_points_of_heic_are_applied_as_those_of_png(
    browser: Browser, tmp_path: Path, codes: tuple[int, int]
) -> None:
    """heif-convert applies no code points, so that the same pixels are compared in a PNG that declares them."""
    plain = coded(tmp_path, (1, 13))
    pixels = analysed(plain)[0]
    (theirs, _) = shown(browser, {"png": png_file(pixels, 2, 8, cicp(*codes))})["png"]
    assert theirs is not None
    assert apart(pixels, theirs) > 2 * ALLOWED
    assert apart(analysed(coded(tmp_path, codes))[0], theirs) <= ALLOWED


def tiff_files() -> Iterator[tuple[str, bytes]]:
    colour, plain = Image.fromarray(portrait()), Image.fromarray(grey())
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"tiff {name}", saved(colour, "TIFF", compression=name)
    yield "tiff of grey", saved(plain, "TIFF")
    yield "tiff of a palette", saved(colour.quantize(64), "TIFF")
    yield "tiff of one bit", saved(plain.convert("1"), "TIFF", compression="group4")
    yield "tiff of CMYK", saved(colour.convert("CMYK"), "TIFF")
    yield "tiff of 16 bits of grey", saved(Image.fromarray(wide(grey())), "TIFF")


def test_tiff_is_analysed_as_libtiff_converts_it(tmp_path: Path, figure: Figure) -> None:
    off = {}
    for name, data in tiff_files():
        (tmp_path / "in.tif").write_bytes(data)
        run("tiff2rgba", "-c", "none", tmp_path / "in.tif", tmp_path / "out.tif")
        with Image.open(tmp_path / "out.tif") as image:
            off[name] = apart(decode(data).frames[0].pixels, np.asarray(image.convert("RGB")))
    worst = max(off, key=lambda name: off[name])
    figure(f"{len(off)} TIFF files beside tiff2rgba's: at most {off[worst]} of 255 off ({worst})")
    assert off[worst] <= ALLOWED
