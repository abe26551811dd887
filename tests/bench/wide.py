"""Are things named that lie at the ends of a wide picture? `python -m tests.bench.wide PHOTOS …`

Takes 240 photos of those folders, and of them the ones of which the default pack's labels network is sure (a class at
0.7 or more). Puts them in rows of two, three and four, and prints how many of their classes reach 0.5 and 0.7 in the
row by its middle alone, squeezed into a square, and by its parts, and how many reach it that no photo of it shows.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assent.core.values import Frame, Pixels
from assent.perceive import open_backbone
from assent.perceive.frames.tiles import tiles_of_wide
from assent.perceive.networks.backend import LoadedModel, classify

COUNT, HEIGHT, SURE = 240, 300, 0.7
SHOWN = 0.1  # from here a class is no mistake for the photo it stands in
Scores = NDArray[np.float32]


def _by_middle(model: LoadedModel, row: Pixels) -> Scores:
    return classify(model, [row])[0]


def _squeezed(model: LoadedModel, row: Pixels) -> Scores:
    return classify(model, [np.asarray(cv2.resize(row, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)])[0]


def _by_parts(model: LoadedModel, row: Pixels) -> Scores:
    parts = tiles_of_wide([Frame(0, row, 1.0)])
    return np.asarray(np.max(classify(model, [row, *(part.pixels for part in parts)]), axis=0), np.float32)


WAYS: dict[str, Callable[[LoadedModel, Pixels], Scores]] = {
    "by its middle": _by_middle,
    "squeezed": _squeezed,
    "by its parts": _by_parts,
}


def photos(folders: Sequence[Path]) -> list[Pixels]:
    """240 photos of the folders, all of one height."""
    paths = sorted(path for folder in folders for path in folder.rglob("*.jp*g"))
    random.Random(4).shuffle(paths)
    read = (np.array(Image.open(path).convert("RGB")) for path in paths[:COUNT])
    sizes = ((pixels, (max(1, round(pixels.shape[1] * HEIGHT / pixels.shape[0])), HEIGHT)) for pixels in read)
    return [np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8) for pixels, size in sizes]


def rows(model: LoadedModel, sure: Sequence[tuple[Pixels, Scores]], count: int) -> None:
    """Prints what is found in rows of that many photos."""
    groups = [sure[at : at + count] for at in range(0, len(sure) - count + 1, count)]
    things = sum(len({int(scores.argmax()) for _, scores in group}) for group in groups)
    print(f"{len(groups)} rows of {count}, {things} things")
    for name, way in WAYS.items():
        found: dict[float, list[int]] = {0.5: [0, 0], 0.7: [0, 0]}
        for group in groups:
            scores = way(model, np.concatenate([pixels for pixels, _ in group], axis=1))
            there = {int(one.argmax()) for _, one in group}
            shown = np.max([one for _, one in group], axis=0) >= SHOWN
            for least, counts in found.items():
                said = set(np.flatnonzero(scores >= least).tolist())
                counts[0] += len(said & there)
                counts[1] += sum(not shown[one] for one in said)
        print(f"  {name:<14}" + "   ".join(f"≥ {t}: {n} named, {m} not there" for t, (n, m) in found.items()))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _, model = open_backbone(2, Path(scratch))
        seen = photos([Path(folder) for folder in sys.argv[1:]])
        scored = zip(seen, classify(model, seen), strict=True)
        sure = [(pixels, scores) for pixels, scores in scored if scores.max() >= SURE]
        for count in (2, 3, 4):
            rows(model, sure, count)


if __name__ == "__main__":
    main()
