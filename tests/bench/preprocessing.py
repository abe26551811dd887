"""Does it help to work on pictures before the networks see them? `python -m tests.bench.preprocessing FACES`

FACES holds a folder of photos per person. Prints, for copies of them that are dark, noisy or small, the genuine pairs
that reach the threshold of one template, as they are, smoothed, and after noise reduction or exposure normalisation;
and, for rows of such photos, the faces found with and without tiles.

`FACES --large HARMLESS …` prints instead, for very large frames, the faces of a crowd that are found, the milliseconds,
and the explicit boxes on harmless photos (folders of them), as a whole and in grids of tiles.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from PIL import Image, ImageOps

from assent.core.values import Frame, Picture, Pixels
from assent.perceive import Models, _detect_in_frames, load_models, perceive
from assent.perceive.faces import quality as faces
from assent.perceive.frames.noise import cleaned
from assent.perceive.frames.tiles import grid, merge_detections
from assent.perceive.safety import detect as safety
from assent.perceive.safety.detect import Detection
from tests.installed import package_file
from tests.photos import FACES

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
            row, lefts = _row(rng, stills, count)
            whole, parts = (
                safety.detect(models.safety, [row])[0],
                _detect_in_frames(models, [Frame(0, row, 1.0)])[0],
            )
            total += count
            for n, detections in enumerate((whole, parts)):
                boxes = [one.corners for one in faces.select_faces(detections, models.safety.file.threshold)]
                hits[n] += sum(any(x - 20 <= b[0] and b[2] <= x + 170 for b in boxes) for x in lefts)
        print(f"{row.shape[1] / row.shape[0]:.1f}:1  {total} faces: whole {hits[0]}, with tiles {hits[1]}")


def _row(rng: random.Random, stills: Sequence[Pixels], count: int) -> tuple[Pixels, list[int]]:
    row = np.full((600, 300 * count, 3), 90, np.uint8)
    lefts = []
    for n, still in enumerate(rng.sample(list(stills), count)):
        x, y = 300 * n + rng.randrange(150), rng.randrange(450)
        row[y : y + 150, x : x + 150] = cv2.resize(still, (150, 150))
        lefts.append(x)
    return row, lefts


GRIDS = (1, 2, 3)  # tiles across and down; 1: the frame as a whole
FRAMES = ((3000, 2000), (4096, 3072))


def large(models: Models, stills: Sequence[Pixels], harmless: Sequence[Path]) -> None:
    """Very large frames: what grids of tiles find, what they cost, and what they say of harmless photos."""
    rng = random.Random(1)
    group = np.array(Image.open(package_file("insightface", "data/images/t1.jpg")).convert("RGB"))
    for width, height in FRAMES:
        crowds = {"faces": [_crowd(rng, stills, width, height) for _ in range(6)]}
        crowds["people"] = [_groups(rng, group, width, height) for _ in range(6)]
        photos = [rng.sample(harmless, 1) for _ in range(60)]
        collages = [rng.sample(harmless, 12) for _ in range(30)]
        for across in GRIDS:
            begun = time.perf_counter()
            for crowd, _ in crowds["faces"]:
                _detect_tiled(models, crowd, across)
            took = 1000 * (time.perf_counter() - begun) / len(crowds["faces"])
            print(f"{width}x{height} {across}x{across}: {took:.0f} ms")
            for name, some in crowds.items():
                counts = _count_found(models, some, across)
                text = ", ".join(f"{band} pixels {hits} of {total}" for band, (hits, total) in counts.items())
                print(f"    crowds of {name}, found by their width: {text}")
            for name, frames in (("photos", photos), ("collages of 12", collages)):
                rates = []
                for limit in (True, False):
                    filled = (_filled(paths, width, height) for paths in frames)
                    scores = [_explicit(_detect_tiled(models, pixels, across, limit)) for pixels in filled]
                    rates.append("{} explicit from 0.25, {} from 0.60".format(*_reached(scores)))
                print(f"    of {len(frames)} harmless {name} {rates[0]} (with boxes large in a tile: {rates[1]})")


def _crowd(
    rng: random.Random, stills: Sequence[Pixels], width: int, height: int
) -> tuple[Pixels, list[tuple[int, int, int]]]:
    """40 stills of 60 to 150 pixels on grey, and where each lies: left, top, side."""
    frame, positions = np.full((height, width, 3), 90, np.uint8), []
    for cell, still in zip(rng.sample(range(80), 40), rng.sample(list(stills), 40), strict=True):
        side = rng.randint(60, 150)
        x = cell % 10 * width // 10 + rng.randrange(width // 10 - side)
        y = cell // 10 * height // 8 + rng.randrange(height // 8 - side)
        frame[y : y + side, x : x + side] = cv2.resize(still, (side, side), interpolation=cv2.INTER_AREA)
        positions.append((x, y, side))
    return frame, positions


def _groups(rng: random.Random, group: Pixels, width: int, height: int) -> tuple[Pixels, list[tuple[int, int, int]]]:
    """Six copies of the group photo on grey, its faces 57 to 135 pixels wide, and where each face lies."""
    frame, positions = np.full((height, width, 3), 90, np.uint8), []
    for cell in range(6):
        scale = min(rng.uniform(0.6, 1.2), width / 3 / group.shape[1], height / 2 / group.shape[0])
        copy = cv2.resize(group, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x = cell % 3 * width // 3 + rng.randint(0, width // 3 - copy.shape[1])
        y = cell // 3 * height // 2 + rng.randint(0, height // 2 - copy.shape[0])
        frame[y : y + copy.shape[0], x : x + copy.shape[1]] = copy
        positions += [
            (x + round(a * scale), y + round(b * scale), round(side * scale)) for a, b, side, _ in FACES.values()
        ]
    return frame, positions


def _count_found(
    models: Models, crowds: Sequence[tuple[Pixels, list[tuple[int, int, int]]]], across: int
) -> dict[str, list[int]]:
    """By the width of the faces: how many are found, of how many."""
    counts = {"up to 89": [0, 0], "90 to 119": [0, 0], "from 120": [0, 0]}
    for crowd, positions in crowds:
        detections = faces.select_faces(_detect_tiled(models, crowd, across), models.safety.file.threshold)
        boxes = [one.corners for one in detections]
        for x, y, side in positions:
            band = counts["up to 89" if side < 90 else "90 to 119" if side < 120 else "from 120"]
            band[0] += any(_within(box, x, y, side) for box in boxes)
            band[1] += 1
    return counts


def _filled(paths: Sequence[Path], width: int, height: int) -> Pixels:
    """A frame filled by one photo, or four across and three down of twelve."""
    across, down = (4, 3) if len(paths) > 1 else (1, 1)
    size = width // across, height // down
    photos = [np.array(ImageOps.fit(Image.open(path).convert("RGB"), size)) for path in paths]
    return np.vstack([np.hstack(photos[row * across : (row + 1) * across]) for row in range(down)])


def _detect_tiled(models: Models, frame: Pixels, across: int, limit: bool = True) -> Sequence[Detection]:
    """What the safety network sees in the frame and in that many overlapping tiles across and down; without `limit`,
    boxes that are large in a tile count too."""
    parts = grid(0, frame, across) if across > 1 else []
    parts = parts if limit else [part._replace(most=math.inf) for part in parts]
    whole, *in_parts = safety.detect(models.safety, [frame, *(part.pixels for part in parts)])
    return merge_detections(whole, list(zip(parts, in_parts, strict=True)))


def _within(box: tuple[float, float, float, float], x: int, y: int, side: int) -> bool:
    """Whether a box is the face of the still that lies there."""
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x <= middle[0] <= x + side and y <= middle[1] <= y + side and side / 3 <= box[2] - box[0] <= 1.5 * side


def _reached(scores: Sequence[float]) -> tuple[int, int]:
    return sum(score >= 0.25 for score in scores), sum(score >= 0.6 for score in scores)


def _explicit(detections: Sequence[Detection]) -> float:
    return max((one.score for one in detections if one.name.startswith("nudity.explicit")), default=0.0)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("faces", type=Path)
    asked.add_argument("models", type=Path, nargs="?")
    asked.add_argument("--large", type=Path, nargs="+", metavar="HARMLESS")
    given = asked.parse_args()
    people = {
        folder.name: [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
        for folder in sorted(given.faces.iterdir())
        if folder.is_dir()
    }
    stills = [photo for photos in people.values() for photo in photos]
    with tempfile.TemporaryDirectory() as scratch:
        models = load_models(given.models or Path(scratch), threads=2)
        print(models.embedder_id)
        if given.large:
            large(models, stills, sorted(path for folder in given.large for path in folder.rglob("*.jp*g")))
            return
        degraded(models, people)
        tiled(models, stills)


if __name__ == "__main__":
    main()
