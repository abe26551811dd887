"""How often the colour of the main thing is named rightly: `python -m tests.bench.colours DATA`.

DATA holds `grocery/val/<class>/` and `clothing/val/<class>/`; without it only a chart and drawn products are measured.
Prints, by the share from which a colour is said, how many of the said ones are right. `DATA --split train` shows the
photos on which prototypes and thresholds were chosen (of clothes none: their colours are listed for val alone).
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from assent.core.values import Pixels
from assent.perceive.colour import colours
from tests.products import product_pictures

SHARES = (0.0, 0.5, 0.6, 0.7)
# The 24 patches of the ColorChecker (McCamy, Marcus & Davidson 1976) as sRGB, and what they may be called; skin is left
# out.
CHART = {
    "735244": "brown",
    "627a9d": "blue",
    "576c43": "green",
    "8580b1": "purple blue",
    "67bdaa": "green blue",
    "d67e2c": "orange",
    "505ba6": "blue purple",
    "c15a63": "red pink",
    "5e3c6c": "purple",
    "9dbc40": "green",
    "e0a32e": "orange yellow",
    "383d96": "blue",
    "469449": "green",
    "af363c": "red",
    "e7c71f": "yellow",
    "bb5695": "pink purple",
    "0885a1": "blue",
    "f3f3f2": "white",
    "c8c8c8": "grey white",
    "a0a0a0": "grey",
    "7a7a79": "grey",
    "555555": "grey",
    "343434": "black grey",
}
# Goods with an obvious colour, by how their files' names begin.
GOODS = {
    "Anjou": "green yellow",
    "Asparagus": "green",
    "Aubergine": "purple black",
    "Banana": "yellow",
    "Beef-Tomato": "red",
    "Brown-Cap-Mushroom": "brown white grey",
    "Cabbage": "green white",
    "Carrots": "orange",
    "Conference": "green yellow",
    "Cucumber": "green",
    "Floury-Potato": "brown yellow",
    "Garlic": "white",
    "Ginger": "brown yellow",
    "Golden-Delicious": "green yellow",
    "Granny-Smith": "green",
    "Green-Bell-Pepper": "green",
    "Kiwi": "brown",
    "Leek": "green",
    "Lemon": "yellow",
    "Lime": "green",
    "Orange": "orange",
    "Orange-Bell-Pepper": "orange",
    "Pink-Lady": "red pink",
    "Pomegranate": "red pink",
    "Red-Bell-Pepper": "red",
    "Red-Delicious": "red",
    "Regular-Tomato": "red",
    "Royal-Gala": "red pink orange",
    "Satsumas": "orange",
    "Solid-Potato": "brown yellow",
    "Vine-Tomato": "red",
    "Yellow-Bell-Pepper": "yellow",
    "Yellow-Onion": "brown yellow orange",
    "Zucchini": "green",
}


class Named(NamedTuple):
    kind: str
    share: float
    right: bool
    name: str
    file: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.colours")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--misses", action="store_true", help="list what is said wrongly from 0.6 up")
    args = parser.parse_args()
    began = time.process_time()
    rows = {"chart": list(_chart()), "drawn products": list(_drawn())}
    if args.data:
        rows |= {"groceries": list(_groceries(args.data / "grocery" / args.split))}
    if args.data and args.split == "val":
        rows |= {"clothes": list(_clothes(args.data / "clothing/val"))}
    count = sum(map(len, rows.values()))
    for name, named in rows.items():
        _print(name, named)
        kinds = defaultdict(list)
        for row in named:
            kinds[row.kind].append(row)
        for kind, of_kind in sorted(kinds.items()):
            if len(kinds) > 1:
                _print(f"  {kind}", of_kind)
    if args.misses:
        for row in (row for named in rows.values() for row in named if row.share >= 0.6 and not row.right):
            sys.stdout.write(f"{row.kind} {row.name} {row.share:.2f} {row.file}\n")
    spent = (time.process_time() - began) / count * 1000
    sys.stdout.write(f"{count} pictures, {spent:.1f} ms of processor time each, drawing or reading them included\n")


def _print(name: str, named: list[Named]) -> None:
    sys.stdout.write(f"{name}: {len(named)}")
    for least in SHARES:
        said = [row.right for row in named if row.share >= least]
        share = f"{np.mean(said):.3f}" if said else "–"
        sys.stdout.write(f"; from {least:.1f} {share} right of {len(said)}")
    sys.stdout.write("\n")


def _named(kind: str, pixels: Pixels, accepted: str, file: str) -> Named:
    name, share = next(iter(colours(pixels).items()))
    return Named(kind, share, name.removeprefix("colour.") in accepted.split(), name, file)


def _chart() -> Iterator[Named]:
    """Each patch on the chart's black frame, as somebody would photograph one."""
    for code, accepted in CHART.items():
        pixels = np.full((120, 120, 3), 245, np.uint8)
        pixels[10:110, 10:110] = 30
        pixels[25:95, 25:95] = list(bytes.fromhex(code))
        yield _named("chart", pixels, accepted, code)


def _drawn() -> Iterator[Named]:
    for light, term, pixels in product_pictures():
        yield _named(light, pixels, term, term)


def _groceries(folder: Path) -> Iterator[Named]:
    for path in sorted(folder.rglob("*.jpg")):
        kind = re.sub(r"_\d+.*", "", path.name)
        if kind in GOODS:
            yield _named(kind, _read(path), GOODS[kind], path.name)


def _clothes(folder: Path) -> Iterator[Named]:
    for line in Path(__file__).with_suffix(".tsv").read_text().splitlines():
        if not line.startswith("#"):
            file, accepted = line.split("\t")
            yield _named("clothes", _read(folder / file), accepted, file)


def _read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    main()
