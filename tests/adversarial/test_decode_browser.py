"""What is analysed is what a browser shows, over a white page and over a black one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser

from assent.core.errors import AssentError
from assent.core.values import Pixels
from assent.media.compare import confirm
from assent.media.decode import decode
from tests.adversarial.declared_files import declared_files
from tests.fixtures.figures import Figure

CELLS, ALLOWED = 32, 24  # cells a side; grey levels by which the mean of one may differ
PLACE, ACROSS, AT_ONCE = 100, 20, 100  # pixels a side, places in a row, files on one page
FEW = 100
BACKDROPS = ("white", "black")
Shown = tuple[Pixels | None, Pixels | None]  # over white, over black; None: the browser shows nothing


def shown(browser: Browser, files: Mapping[str, bytes]) -> dict[str, Shown]:
    """What Chromium shows of each file, at its own size."""
    page = browser.new_page(viewport={"width": ACROSS * PLACE, "height": 2 * AT_ONCE // ACROSS * PLACE})
    views: dict[str, Shown] = {}
    for names in _groups(list(files)):
        page.set_content("<body style='margin:0'>" + "".join(_places(files[name] for name in names)))
        sizes = page.evaluate(
            "() => Promise.all([...document.images].map("
            "i => i.decode().then(() => [i.naturalWidth, i.naturalHeight], () => null)))"
        )
        screen = np.asarray(Image.open(BytesIO(page.screenshot())).convert("RGB"))
        pairs = [_cut(screen, number, size) for number, size in enumerate(sizes)]
        views |= {name: (pairs[2 * number], pairs[2 * number + 1]) for number, name in enumerate(names)}
    page.close()
    return views


def _groups(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), AT_ONCE):
        yield names[at : at + AT_ONCE]


def _places(files: Iterator[bytes]) -> Iterator[str]:
    for number, data in enumerate(files):
        source = "data:application/octet-stream;base64," + b64encode(data).decode()
        for backdrop, colour in enumerate(BACKDROPS):
            row, column = divmod(2 * number + backdrop, ACROSS)
            yield (
                f"<div style='position:absolute;left:{column * PLACE}px;top:{row * PLACE}px;width:{PLACE}px;"
                f"height:{PLACE}px;overflow:hidden;background:{colour}'>"
                f"<img style='display:block' src='{source}'></div>"
            )


def _cut(screen: Pixels, number: int, size: list[int] | None) -> Pixels | None:
    if size is None:
        return None
    row, column = divmod(number, ACROSS)
    return screen[row * PLACE :, column * PLACE :][: size[1], : size[0]]


def analysed(data: bytes) -> tuple[Pixels, Pixels]:
    """What the models get of a file, over white and over black. Raises where it is sent to review instead."""
    decoded = decode(data)
    confirm(data, decoded)
    over_white = decoded.frames[0].pixels
    return over_white, decoded.over_black[0].pixels if decoded.over_black else over_white


def apart(one: Pixels, other: Pixels) -> int:
    """The largest difference of the means in any cell and band."""
    if one.shape != other.shape:
        return 255
    first, second = (_means(pixels) for pixels in (one, other))
    return int(np.abs(first - second).max())


def _means(pixels: Pixels) -> NDArray[np.int16]:
    return np.asarray(Image.fromarray(pixels).resize((CELLS, CELLS), Image.Resampling.BOX), np.int16)


def compared(browser: Browser, files: Mapping[str, bytes]) -> tuple[dict[str, int], dict[str, str]]:
    """How far each allowed file is from what Chromium shows, and why each other file is sent to review."""
    views = shown(browser, files)
    off: dict[str, int] = {}
    reviewed: dict[str, str] = {}
    for name, data in files.items():
        try:
            pairs = zip(analysed(data), views[name], strict=True)
            off[name] = max(255 if theirs is None else apart(ours, theirs) for ours, theirs in pairs)
        except AssentError as error:
            reviewed[name] = error.detail or error.code
    return off, reviewed


def report(figure: Figure, off: Mapping[str, int], reviewed: Mapping[str, str]) -> None:
    formats = sorted({name.partition(" ")[0].strip(",") for name in (*off, *reviewed)})
    for kind in formats:
        mine = {name: far for name, far in off.items() if name.startswith(kind)}
        sent = sum(name.startswith(kind) for name in reviewed)
        worst = max(mine, key=lambda name: mine[name])
        far = sum(value > ALLOWED for value in mine.values())
        figure(
            f"{kind}: {len(mine) + sent} files, {sent} to review, {far} of the others more than {ALLOWED} of 255 from "
            f"what Chromium shows; at most {mine[worst]} ({worst})"
        )


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return dict(declared_files())


def test_a_hundred_files_of_every_declaration_are_analysed_as_they_are_shown(
    browser: Browser, files: dict[str, bytes], figure: Figure
) -> None:
    some = dict(list(files.items())[:: len(files) // FEW])
    off, reviewed = compared(browser, some)
    report(figure, off, reviewed)
    assert len(off) >= FEW * 3 // 4
    assert {name: far for name, far in off.items() if far > ALLOWED} == {}


@pytest.mark.slow
def test_all_of_them_are_analysed_as_they_are_shown(browser: Browser, files: dict[str, bytes], figure: Figure) -> None:
    off, reviewed = compared(browser, files)
    report(figure, off, reviewed)
    for reason in sorted(set(reviewed.values())):
        figure(f"to review: {sum(other == reason for other in reviewed.values())} × {reason}")
    assert len(off) >= len(files) * 3 // 4
    assert {name: far for name, far in off.items() if far > ALLOWED} == {}


def test_common_declarations_are_applied_and_not_sent_to_review(files: dict[str, bytes]) -> None:
    common = [
        *(f"png, gAMA {value}" for value in (45_455, 55_556, 100_000)),
        *("png, gAMA 500, steep", "png, cICP (12, 13)", "png, cICP (9, 16)", "png, cICP (9, 18)", "png, iCCP P3"),
        *("png of grey, iCCP of grey, gamma 3", "png of 16 bits, a key", "png, white with alpha", "jpeg, P3"),
        *("jpeg of grey, of grey linear", "jpeg of CMYK, of ink", "webp, P3", "bmp, embedded, P3", "avif, (9, 16)"),
        *("avif, linear by its stream", "avif, P3"),
    ]
    for name in common:
        analysed(files[name])


def test_the_comparison_finds_a_picture_whose_colours_are_not_converted(
    browser: Browser, files: dict[str, bytes]
) -> None:
    """Shown as if nothing were declared, a photo under gAMA 100000 lies 70 levels off."""
    pair = shown(browser, {"as declared": files["png, gAMA 100000"], "plainly": files["png, nothing"]})
    declared, plainly = pair["as declared"][0], pair["plainly"][0]
    assert declared is not None
    assert plainly is not None
    assert apart(declared, plainly) > 2 * ALLOWED
