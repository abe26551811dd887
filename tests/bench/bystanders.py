"""How many faces could be spared the embedder by their quality, and how many matches that would cost.

`python -m tests.bench.bystanders`, two minutes. Found matches are those of the stills of ASSENT_TEST_DATA/faces and of
copies of them, made smaller, blurred and tilted, with another still of the person as the only template. Bystanders are
the faces in everyday/.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageFilter

from assent.core.values import Face
from assent.perceive import Models, load_models, perceive
from examples.server import temporary_data
from tests.bench.identification import picture_of
from tests.data import labelled

WIDTHS, BLURS, TILTS = (100, 60, 50), (0.01, 0.015, 0.02), (30, 40)  # pixels, shares of the face's width, degrees
RATINGS: dict[str, Callable[[Face], float]] = {
    "sharpness": lambda face: face.sharpness,
    "size × sharpness": lambda face: min(1.0, face.box[2] / 100) * face.sharpness,
    "pose": lambda face: face.pose,
    "size × sharpness × pose": lambda face: face.quality,
}


def main() -> None:
    with temporary_data() as folder:
        models = load_models(folder / "models", os.cpu_count() or 1)
        found = [face for person in sorted(labelled("faces").iterdir()) for face in _found(models, person)]
        photos = sorted(path for path in labelled("everyday").rglob("*") if path.suffix in (".jpg", ".png"))
        bystanders = [face for path in photos for face in _embedded(models, _opened(path))]
    sys.stdout.write(f"{len(found)} matches found, {len(bystanders)} bystanders embedded\n")
    for name, rate in RATINGS.items():
        least = min(map(rate, found))
        spared = sum(rate(face) < least for face in bystanders)
        lost, at_zero = (sum(rate(face) == 0 for face in faces) for faces in (found, bystanders))
        sys.stdout.write(f"{name}: below {least:.3f}, where no match is lost, {spared} bystanders;")
        sys.stdout.write(f" at 0 {at_zero} bystanders, and {lost} matches lost\n")


def _found(models: Models, person: Path) -> Iterator[Face]:
    """The faces in a person's stills and in the copies that are matched with another still."""
    stills = [_opened(path) for path in sorted(person.iterdir())]
    templates = [max(_embedded(models, still), key=lambda face: face.score) for still in stills]
    least = models.calibration.threshold(1)
    for still, own in zip(stills, templates, strict=True):
        for copy in _copies(still, own.box[2]):
            best = max(_embedded(models, copy), key=lambda face: face.score, default=None)
            if best is not None and any(_score(best, other) >= least for other in templates if other is not own):
                yield best


def _copies(still: Image.Image, width: int) -> Iterator[Image.Image]:
    for tilt in (0, *TILTS):
        tilted = still.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
        yield tilted
        for narrow in WIDTHS:
            size = round(tilted.width * narrow / width), round(tilted.height * narrow / width)
            yield tilted.resize(size, Image.Resampling.LANCZOS)
    for blur in BLURS:
        yield still.filter(ImageFilter.GaussianBlur(blur * width))


def _embedded(models: Models, image: Image.Image) -> list[Face]:
    (seen,) = perceive(models, [picture_of(image)])
    return [face for face in seen.faces if face.embedding is not None]


def _score(face: Face, template: Face) -> float:
    assert face.embedding is not None
    assert template.embedding is not None
    return float(face.embedding @ template.embedding)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


if __name__ == "__main__":
    main()
