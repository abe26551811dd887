"""What Chromium shows of files, and how far from it is what the models get; not a test itself."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser

from assent.core.errors import AssentError
from assent.core.values import Pixels
from assent.media.compare import confirm
from assent.media.decode import decode

CELLS, ALLOWED = 32, 24  # cells a side; grey levels by which the mean of one may differ
PLACE, ACROSS, AT_ONCE = 100, 20, 100  # pixels a side, places in a row, files on one page
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
