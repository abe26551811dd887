"""Does it help to work on pictures before the networks see them? `python -m tests.bench.preprocessing FACES`

FACES holds a folder of photos per person. Prints, for copies of them that are dark, noisy or small, the genuine pairs
that reach the threshold of one template, as they are, smoothed, and after noise reduction or exposure normalisation;
for rows of such photos, the faces found with and without tiles; and for very large pictures of them the same by grids
of tiles, with the time that these take and, on mosaics of `--harmless` photos, the body parts that are none.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from PIL import Image

from assent.perceive import Models, _seen, faces, load, perceive, safety
from assent.perceive.noise import cleaned
from assent.perceive.tiles import Tile, together
from assent.values import Frame, Picture, Pixels

Change = Callable[[Pixels], Pixels]


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels


def _dark(pixels: Pixels) -> Pixels:
    return _noisy(np.asarray(pixels * 0.2, np.uint8), 6)


def _noisy(pixels: Pixels, spread: float = 25) -> Pixels:
    noise = np.random.default_rng(1).normal(0, spread, pixels.shape)
    return np.asarray(np.clip(pixels + noise, 0, 255), np.uint8)


def _small(pixels: Pixels) -> Pixels:
    side = max(1, pixels.shape[1] // 2), max(1, pixels.shape[0] // 2)
    return np.asarray(cv2.resize(pixels, side, interpolation=cv2.INTER_AREA), np.uint8)


def _denoised(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.fastNlMeansDenoisingColored(pixels, None, 7, 7, 7, 15), np.uint8)


def _exposed(pixels: Pixels) -> Pixels:
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(2.0, (4, 4)).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


DEGRADED: dict[str, Change] = {"as they are": _as_it_is, "dark": _dark, "noisy": _noisy, "half the size": _small}
REPAIRS: dict[str, Change] = {
    "as Assent does": cleaned,
    "nothing": _as_it_is,
    "noise reduction": _denoised,
    "exposure": _exposed,
}


def degraded(models: Models, people: dict[str, list[Pixels]]) -> None:
    """Each sharp photo against each degraded one of the same person."""
    sharp = {name: [_vector(models, p) for p in photos] for name, photos in people.items()}
    threshold = models.calibration.threshold(1)
    print(f"threshold {threshold:.3f}")
    for worse, spoil in DEGRADED.items():
        for name, repair in REPAIRS.items():
            scores, lost = [], 0
            for person, photos in people.items():
                with patch("assent.perceive.cleaned", repair):
                    probes = [_vector(models, spoil(p)) for p in photos]
                lost += sum(probe is None for probe in probes)
                for (a, one), (b, other) in combinations(enumerate(zip(sharp[person], probes, strict=True)), 2):
                    pairs = ((one[0], other[1]), (other[0], one[1])) if a != b else ()
                    scores += [float(u @ v) if u is not None and v is not None else -1.0 for u, v in pairs]
            reached = 100 * np.mean(np.array(scores) >= threshold)
            print(f"{worse:14} {name:16} {reached:5.1f} % reach it, median {np.median(scores):.3f}, no face {lost}")


def _vector(models: Models, pixels: Pixels) -> np.ndarray | None:
    height, width = pixels.shape[:2]
    (seen,) = perceive(models, [Picture("", "png", width, height, 1, (Frame(0, pixels, 1.0),))])
    return seen.faces[0].embedding if seen.faces else None


def tiled(models: Models, stills: Sequence[Pixels]) -> None:
    """Rows of stills on grey, 600 pixels high: faces found as a whole and with tiles."""
    rng = random.Random(1)
    for count in (5, 6, 8, 12):
        hits, total = [0, 0], 0
        for _ in range(6):
            row, places = _row(rng, stills, count)
            whole, parts = safety.detect(models.safety, models.labels, [row])[0], _seen(models, [row])[0].detections
            total += count
            for n, seen in enumerate((whole, parts)):
                boxes = [one.corners for one in faces.listed(seen)]
                hits[n] += sum(any(x - 20 <= b[0] and b[2] <= x + 170 for b in boxes) for x in places)
        print(f"{row.shape[1] / row.shape[0]:.1f}:1  {total} faces: whole {hits[0]}, with tiles {hits[1]}")


def _row(rng: random.Random, stills: Sequence[Pixels], count: int) -> tuple[Pixels, list[int]]:
    row = np.full((600, 300 * count, 3), 90, np.uint8)
    places = []
    for n, still in enumerate(rng.sample(list(stills), count)):
        x, y = 300 * n + rng.randrange(150), rng.randrange(450)
        row[y : y + 150, x : x + 150] = cv2.resize(still, (150, 150))
        places.append(x)
    return row, places


LARGE = {"12 MP": (4096, 3072, 1.0), "24 MP": (4096, 2731, 4096 / 6000)}  # the frame, and its pixels per pixel
GRIDS = (1, 2, 3, 4)  # tiles a side


def large(models: Models, stills: Sequence[Pixels], harmless: Sequence[Path]) -> None:
    """Faces of 60 to 150 pixels in very large pictures: found as a whole and by grids; and false body parts."""
    for name, (width, height, scale) in LARGE.items():
        for face in (60, 80, 100, 150):
            found, total, spent = dict.fromkeys(GRIDS, 0), 0, dict.fromkeys(GRIDS, 0.0)
            for seed in range(3):
                crowd, places = _crowd(random.Random(seed), stills, width, height, round(face * scale))
                total += len(places)
                for count in GRIDS:
                    begun = time.perf_counter()
                    boxes = [one.corners for one in faces.listed(_by_grid(models, crowd, count))]
                    spent[count] += (time.perf_counter() - begun) / 3
                    found[count] += sum(any(_inside(box, place) for box in boxes) for place in places)
            said = ", ".join(f"{n}×{n} {found[n]} ({1000 * spent[n]:.0f} ms)" for n in GRIDS)
            print(f"{name}, faces of {face} pixels, {total}: {said}")
    if not harmless:
        return
    counts = {(count, least): 0 for count in GRIDS for least in (0.25, 0.6)}
    mosaics = 30
    for seed in range(mosaics):
        mosaic = _mosaic(random.Random(seed), harmless)
        for count in GRIDS:
            parts = [one.score for one in _by_grid(models, mosaic, count) if one.name.startswith("nudity.explicit")]
            for least in (0.25, 0.6):
                counts[count, least] += any(score >= least for score in parts)
    for (count, least), hits in counts.items():
        print(f"{mosaics} mosaics of 48 harmless photos, {count}×{count}: {hits} with an explicit part from {least} up")


def _by_grid(models: Models, pixels: Pixels, count: int) -> tuple[safety.Detection, ...]:
    """What the safety network sees as a whole and, with more than one, in count × count tiles that overlap."""
    height, width = pixels.shape[:2]
    share = 1 + (count - 1) * 0.75
    wide, high = -(-width // share), -(-height // share)
    parts = [
        Tile(0, left, top, pixels[top : top + int(high), left : left + int(wide)])
        for top in np.linspace(0, height - high, count).astype(int).tolist()
        for left in np.linspace(0, width - wide, count).astype(int).tolist()
        if count > 1
    ]
    whole, *rest = safety.detect(models.safety, models.labels, [pixels, *(tile.pixels for tile in parts)])
    return together(whole, list(zip(parts, rest, strict=True)))


def _crowd(
    rng: random.Random, stills: Sequence[Pixels], width: int, height: int, face: int
) -> tuple[Pixels, list[tuple[int, int, int]]]:
    """Forty stills on grey, their faces that wide (a still is half as wide again), in cells of a grid."""
    crowd, side = np.full((height, width, 3), 90, np.uint8), round(1.5 * face)
    cells = rng.sample([(x, y) for x in range(8) for y in range(6)], 40)
    places = []
    for still, (x, y) in zip(rng.sample(list(stills), 40), cells, strict=True):
        left = x * width // 8 + rng.randrange(width // 8 - side)
        top = y * height // 6 + rng.randrange(height // 6 - side)
        crowd[top : top + side, left : left + side] = cv2.resize(still, (side, side), interpolation=cv2.INTER_AREA)
        places.append((left, top, side))
    return crowd, places


def _inside(box: faces.Corners, place: tuple[int, int, int]) -> bool:
    left, top, side = place
    middle = (box[0] + box[2]) / 2 - left, (box[1] + box[3]) / 2 - top
    return all(0 <= at <= side for at in middle) and box[2] - box[0] <= 1.3 * side


def _mosaic(rng: random.Random, harmless: Sequence[Path]) -> Pixels:
    """Forty-eight photos, each 512 × 512, in a frame of 4096 × 3072."""
    tiles = [np.asarray(Image.open(path).convert("RGB").resize((512, 512))) for path in rng.sample(list(harmless), 48)]
    return np.concatenate([np.concatenate(tiles[row * 8 : row * 8 + 8], axis=1) for row in range(6)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("faces", type=Path)
    parser.add_argument("--models", type=Path, help="a folder in which another pack was chosen")
    parser.add_argument("--harmless", type=Path, help="photos without nudity, in folders")
    parser.add_argument("--only", choices=("degraded", "rows", "large"))
    asked = parser.parse_args()
    root = asked.faces
    people = {
        folder.name: [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
        for folder in sorted(root.iterdir())
        if folder.is_dir()
    }
    with tempfile.TemporaryDirectory() as scratch:
        models = load(asked.models or Path(scratch), threads=2)
        print(models.embedder_id)
        stills = [photo for photos in people.values() for photo in photos]
        if asked.only in (None, "degraded"):
            degraded(models, people)
        if asked.only in (None, "rows"):
            tiled(models, stills)
        if asked.only in (None, "large"):
            harmless = sorted(asked.harmless.rglob("*.jpg")) if asked.harmless else ()
            large(models, stills, harmless)


if __name__ == "__main__":
    main()
