"""Does it help to work on pictures before the networks see them? `python -m tests.bench.preprocessing FACES`

FACES holds a folder of photos per person. Prints, for copies of them that are dark, noisy or small, the genuine pairs
that reach the threshold of one template, as they are, smoothed, and after noise reduction or exposure normalisation;
and, for rows of such photos, the faces found with and without tiles.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from PIL import Image

from assent.perceive import Models, _seen, faces, load, perceive, safety
from assent.perceive.noise import cleaned
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


def main() -> None:
    root = Path(sys.argv[1])
    people = {
        folder.name: [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
        for folder in sorted(root.iterdir())
        if folder.is_dir()
    }
    with tempfile.TemporaryDirectory() as scratch:
        models = load(Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch), threads=2)
        print(models.embedder_id)
        degraded(models, people)
        tiled(models, [photo for photos in people.values() for photo in photos])


if __name__ == "__main__":
    main()
