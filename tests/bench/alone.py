"""Are people called animals or things? `python -m tests.bench.alone DATA`, with DATA/faces and DATA/everyday.

Views of people alone: the stills in faces, the group photo and its faces, the astronaut; whole and cut to the face with
margins, in three sizes, mirrored; and the same with masks (pictures of four, in insightface) laid over the lower half
of each face. Prints how many have a wrong label by the default pack's labels network from 0.6, 0.5 and 0.2 up, before
and after the rule (`perceive/labels/people.py`), of views with a face that is listed and without; and how many everyday
photos with a right label, read from labels.csv, lose one by the rule.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from assent.core.boxes import Corners
from assent.core.resources import resource
from assent.core.taxonomy import above
from assent.core.values import Frame, Pixels, Tag
from assent.perceive import Models, load_models
from assent.perceive.faces.detect import detect_faces
from assent.perceive.labels.people import beside_people, is_of_things
from assent.perceive.labels.whole_frames import label_frames
from assent.perceive.packs.manifest import read_table
from assent.perceive.safety import detect as safety
from tests.photos import FACES
from tests.unit.perceive_photos import photo, read

LEAST = (0.6, 0.5, 0.2)
SIZES = (448, 224, 112)  # pixels of the longer side
FACE = 0.25  # from here up the detector lists a face
Seen = tuple[list[Tag], list[Tag], bool]  # before the rule, after it, whether a face was found


def _look(models: Models, pixels: Pixels) -> Seen:
    frame = Frame(0, pixels, 1.0)
    (parts,) = safety.detect(models.safety, [pixels])
    faces = [(part.corners, part.score) for part in parts if part.name == "face"]
    (labels,) = label_frames(models, [frame])
    return list(labels.tags), beside_people(labels.tags, faces, frame), any(score >= FACE for _, score in faces)


def _people(models: Models, faces: Path) -> Iterator[Pixels]:
    """The photos of people alone, whole, and cut around the faces that are found in them."""
    group = photo("t1.jpg")
    stills = [read(path) for path in sorted(faces.rglob("*.png"))]
    for pixels in (photo("astronaut.png"), *stills):
        yield pixels
        (found,) = detect_faces(models, [pixels], safety.detect(models.safety, [pixels]))
        yield from (_cut(pixels, face.box.corners, margin) for face in found[:1] for margin in (0.3, 1.0))
    yield group
    for x, y, width, height in FACES.values():
        yield from (_cut(group, (x, y, x + width, y + height), margin) for margin in (0.3, 1.0))


def _masked(models: Models, faces: Path) -> Iterator[Pixels]:
    """The stills and the group photo with masks over all faces that are found, whole and cut around the first."""
    masks = cycle(photo(f"mask_{colour}.jpg") for colour in ("black", "blue", "green", "white"))
    for pixels in (photo("t1.jpg"), photo("astronaut.png"), *(read(path) for path in sorted(faces.rglob("*.png")))):
        (found,) = detect_faces(models, [pixels], safety.detect(models.safety, [pixels]))
        if found:
            covered = pixels.copy()
            for face in found:
                _cover(covered, face.box.corners, next(masks))
            yield covered
            yield from (_cut(covered, found[0].box.corners, margin) for margin in (0.3, 1.0))


def _cover(pixels: Pixels, corners: Corners, mask: Pixels) -> None:
    height, width = pixels.shape[:2]
    left, right = max(0, int(corners[0])), min(width, int(corners[2]))
    top, bottom = max(0, int(0.5 * (corners[1] + corners[3]))), min(height, int(corners[3]))
    if right > left and bottom > top:
        pixels[top:bottom, left:right] = cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_AREA)


def _cut(pixels: Pixels, corners: Corners, margin: float) -> Pixels:
    left, top, right, bottom = corners
    x, y = margin * (right - left), margin * (bottom - top)
    return pixels[max(0, int(top - y)) : int(bottom + y), max(0, int(left - x)) : int(right + x)]


def _views(pixels: Pixels) -> Iterator[Pixels]:
    for side in SIZES:
        scale = side / max(pixels.shape)
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        view = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield from (view, np.ascontiguousarray(view[:, ::-1]))


def _wrong(tags: list[Tag], least: float) -> bool:
    return any(tag.score >= least and is_of_things(tag.name) for tag in tags)


def _print_people(models: Models, name: str, pictures: Iterator[Pixels]) -> None:
    seen = [_look(models, view) for pixels in pictures for view in _views(pixels)]
    for found in (True, False):
        own = [(before, after) for before, after, face in seen if face == found]
        counts = [f"{sum(_wrong(tags[n], least) for tags in own)} from {least}" for n in (0, 1) for least in LEAST]
        kind = "with a face found" if found else "without"
        sys.stdout.write(
            f"{len(own)} views of {name} {kind}: wrong {', '.join(counts[:3])}; now {', '.join(counts[3:])}\n"
        )


def _print_everyday(models: Models, folder: Path) -> None:
    classes = read_table(resource("models") / "tables" / "imagenet.tsv")
    counts: Counter[float] = Counter()
    with (folder / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            before, after, _ = _look(models, read(folder / row["path"]))
            right = {*above(classes[int(row["class"])][1])}
            for least in LEAST:
                kept = [[tag for tag in tags if tag.score >= least and tag.name in right] for tags in (before, after)]
                counts[least] += bool(kept[0])
                counts[-least] += len(kept[1]) < len(kept[0])
    for least in LEAST:
        sys.stdout.write(f"everyday from {least}: {counts[least]} with a right label, {counts[-least]} lose one\n")


def main() -> None:
    data = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        models = load_models(Path(scratch), 2, (), second_opinion=False)
        _print_people(models, "people", _people(models, data / "faces"))
        _print_people(models, "people under masks", _masked(models, data / "faces"))
        _print_everyday(models, data / "everyday")


if __name__ == "__main__":
    main()
