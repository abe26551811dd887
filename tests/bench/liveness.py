"""How many honest photos the liveness networks refuse: `python -m tests.bench.liveness MODELS FOLDER…`

MODELS is the models folder of an installation whose packs in use hold one with liveness networks; each FOLDER holds
photos taken of people (bona fide presentations), in any depth. Prints the share that would be refused (BPCER, ISO/IEC
30107-3) of those in which one face is found that could be enrolled, and the same for the people in two photos that
installed packages carry, cut out with ever less around them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from assent.perceive import Models, load, perceive
from assent.perceive.liveness import score
from assent.perceive.prepare import Corners
from assent.subjects.enrol import LEAST_POSE, LEAST_SHARPNESS
from assent.values import Frame, Picture, Pixels
from tests.conftest import package_file

PACKAGED = (("insightface", "data/images/t1.jpg"), ("skimage", "data/astronaut.png"))
AROUND = (1.0, 1.2, 1.5, 2.0, 2.7, 4.0)  # sides of the cut-out square over the longer side of the face's box


def said(name: str, scores: Sequence[float], threshold: float) -> None:
    if not scores:
        print(f"{name}: no face that could be enrolled")
        return
    refused = sum(one < threshold for one in scores)
    low, middle, high = np.quantile(scores, [0, 0.5, 1])
    print(f"{name}: {refused} of {len(scores)} refused; scores {low:.2f} to {high:.2f}, median {middle:.2f}")


def enrollable(models: Models, paths: Sequence[Path]) -> Iterator[tuple[Pixels, Corners]]:
    for path in paths:
        pixels = np.array(Image.open(path).convert("RGB"))
        found = _faces(models, pixels)
        if len(found) == 1:
            yield pixels, found[0]


def _faces(models: Models, pixels: Pixels) -> list[Corners]:
    """The boxes of those faces that enrolment would take, if each were alone."""
    height, width = pixels.shape[:2]
    [seen] = perceive(models, [Picture("", "jpeg", width, height, 1, (Frame(0, pixels, 1.0),))])
    good = [one for one in seen.faces if one.sharpness >= LEAST_SHARPNESS and one.pose >= LEAST_POSE]
    boxes = [one.box for one in good if one.embedding is not None]
    return [(x, y, x + w, y + h) for x, y, w, h in boxes]


def cut_out(pixels: Pixels, corners: Corners, share: float) -> tuple[Pixels, Corners]:
    """The square around the face, and where the face lies in it."""
    left, top, right, bottom = corners
    side = min(share * max(right - left, bottom - top), *pixels.shape[:2])
    x = round(min(max(0.0, (left + right - side) / 2), pixels.shape[1] - side))
    y = round(min(max(0.0, (top + bottom - side) / 2), pixels.shape[0] - side))
    return pixels[y : y + round(side), x : x + round(side)], (left - x, top - y, right - x, bottom - y)


def main() -> None:
    models = load(Path(sys.argv[1]), threads=2)
    threshold = float(np.mean([net.file.threshold for net in models.liveness]))
    print(f"{', '.join(net.id for net in models.liveness)}, threshold {threshold:.2f}, faces of {models.finder_id}")
    for folder in map(Path, sys.argv[2:]):
        found = enrollable(models, sorted(folder.rglob("*.[jp][pn]*g")))
        said(folder.name, [score(models.liveness, *one) for one in found], threshold)
    photos = [np.array(Image.open(package_file(*one)).convert("RGB")) for one in PACKAGED]
    people = [(pixels, corners) for pixels in photos for corners in _faces(models, pixels)]
    said("people in packaged photos, whole", [score(models.liveness, *one) for one in people], threshold)
    for share in AROUND:
        said(
            f"cut to {share} of the face", [score(models.liveness, *cut_out(*one, share)) for one in people], threshold
        )


if __name__ == "__main__":
    main()
