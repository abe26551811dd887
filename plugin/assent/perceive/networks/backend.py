"""Opens, checks and runs any ONNX file that a manifest describes, on frames, faces or chips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.errors import ModelUnknown
from assent.core.values import Pixels
from assent.perceive.frames.prepare import Corners, Placed, around, placed, tensor
from assent.perceive.networks.decoders import CLASSIFIERS, DETECTORS, Boxes, Outputs
from assent.perceive.networks.runtime import ONNX_ERRORS, Net, open_net
from assent.perceive.packs.manifest import Input, ModelFile, Pack, classes, read_verified

LOWEST_SCORE = 0.05
MOST_BOXES = 100  # kept of one frame, best first
_OVERLAP = 0.45  # intersection over union from which the weaker of two boxes of one class goes
# Of large inputs few at a time: what a batch needs is never given back.
_BATCHES = {"CPUExecutionProvider": 4, "CUDAExecutionProvider": 16}
_UNFIT: tuple[type[Exception], ...] = (*ONNX_ERRORS, ValueError, IndexError)  # of a net that does otherwise
_CHIP_BATCHES = {"CPUExecutionProvider": 8, "CUDAExecutionProvider": 32}


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A verified file, ready to run. `names`: the taxonomy's label of each class, None where it gives no tag."""

    file: ModelFile
    net: Net
    spec: Input
    names: tuple[str | None, ...]

    @property
    def id(self) -> str:
        return self.file.id


class FloatBox(NamedTuple):
    """A detection: class, score 0–1, corners and, of a face, five points, in pixels of the frame."""

    kind: int
    score: float
    corners: Corners
    points: NDArray[np.float32] | None


def open_file(pack: Pack, file: ModelFile, models_dir: Path | None, threads: int) -> LoadedModel:
    """Opens a file of a pack and runs it once on an empty input.

    Raises ModelMissing, and ModelUnknown where the file is not the manifest's, is no ONNX network, or takes or gives
    other shapes than the manifest says."""
    if file.input is None:
        raise ModelUnknown(f"the manifest of pack {pack.name} does not say what {file.name} takes")
    names = classes(pack, file) if file.labels or file.table else ()
    net = open_verified(file, read_verified(file, models_dir), threads)
    opened = LoadedModel(file, net, file.input, names)
    _try_out(opened)
    return opened


def open_verified(file: ModelFile, data: bytes, threads: int) -> Net:
    """Opens a session on verified bytes, with the batch that the network allows. Raises ModelUnknown."""
    chips = file.input is not None and file.input.fit in ("aligned", "around-face")
    try:
        net = open_net(file.name, data, threads, _CHIP_BATCHES if chips else _BATCHES)
    except ONNX_ERRORS as error:
        raise ModelUnknown(f"{file.path} is no ONNX network that can be opened") from error
    inputs = net.session.get_inputs()
    wrong = "" if len(inputs) == 1 else f"it has {len(inputs)} inputs"
    if not wrong and file.input is not None:
        wrong = _mismatch(inputs[0], file.input)
    if wrong:
        raise ModelUnknown(f"{file.path} is another network than the manifest describes: {wrong}")
    fixed = inputs[0].shape[0]
    return replace(net, batch=fixed) if isinstance(fixed, int) else net


def _mismatch(found: Any, spec: Input) -> str:
    """Describes how an ONNX input's declared type or shape differs from the manifest; empty where neither does."""
    width, height = (0, 0) if spec.dynamic else spec.size  # 0: any size is welcome
    want = [3, height, width] if spec.layout == "nchw" else [height, width, 3]
    kind = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[spec.dtype]
    shape = list(found.shape)
    if found.type != kind:
        return f"it takes {found.type}, not {kind}"
    fits = len(shape) == 4 and all(
        not isinstance(have, int) or have == w or not w for have, w in zip(shape[1:], want, strict=True)
    )
    return "" if fits else f"it takes {shape}, not {['n', *want]}"


def _try_out(opened: LoadedModel) -> None:
    empty = np.zeros((opened.spec.size[1], opened.spec.size[0], 3), np.uint8)
    try:
        if opened.file.decoder in DETECTORS:
            run_detector(opened, [empty])
        elif opened.file.decoder in CLASSIFIERS:
            scores = classify(opened, [empty])[0]
            if len(scores) != len(opened.names):
                raise ModelUnknown(f"{opened.file.path} has {len(scores)} classes, its labels are {len(opened.names)}")
        else:
            vectors(opened, [empty])
    except _UNFIT as error:
        raise ModelUnknown(f"{opened.file.path} does not do what the manifest says: {type(error).__name__}") from error


def run_detector(opened: LoadedModel, frames: Sequence[Pixels]) -> list[list[FloatBox]]:
    """Returns the boxes in each frame from score 0.05 up, best first, at most 100.

    Of two boxes of one class that overlap the weaker is dropped."""
    decode = DETECTORS[opened.file.decoder]
    found: list[list[FloatBox]] = []
    for batch in _alike(placed(pixels, opened.spec) for pixels in frames):
        size = batch[0].pixels.shape[1], batch[0].pixels.shape[0]
        for outputs, place in zip(_run(opened, [one.pixels for one in batch]), batch, strict=True):
            pixels = frames[len(found)]
            found.append(_kept(decode(outputs, size), place, pixels.shape[1], pixels.shape[0], len(opened.names)))
    return found


def classify(opened: LoadedModel, frames: Sequence[Pixels]) -> list[NDArray[np.float32]]:
    """Returns the scores of all classes, for each frame as a whole.

    `around-face` networks take what `prepare.around` cuts."""
    decode = CLASSIFIERS[opened.file.decoder]
    ready = frames if opened.spec.fit == "around-face" else [placed(pixels, opened.spec).pixels for pixels in frames]
    return [decode(outputs, opened.spec.size) for outputs in _run(opened, ready)]


def by_label(opened: LoadedModel, scores: NDArray[np.float32]) -> dict[str, float]:
    """Returns the taxonomy's labels from score 0.05 up, strongest first.

    Classes that exclude one another add up to their label's score."""
    sums: dict[str, float] = {}
    for name, score in zip(opened.names, scores.tolist(), strict=True):
        if name is not None:
            sums[name] = sums.get(name, 0.0) + score
    kept = [(name, min(1.0, total)) for name, total in sums.items() if total >= LOWEST_SCORE]
    return dict(sorted(kept, key=lambda one: -one[1]))


def vectors(opened: LoadedModel, chips: Sequence[Pixels]) -> NDArray[np.float32]:
    """Returns the network's raw vector of each chip."""
    rows = [next(iter(outputs.values())).ravel() for outputs in _run(opened, chips)]
    return np.stack(rows)


def around_faces(opened: LoadedModel, pixels: Pixels, faces: Sequence[Corners]) -> list[NDArray[np.float32]]:
    """Returns the classes' scores for each face of a frame, by a network that takes faces with their surroundings."""
    return classify(opened, [around(pixels, corners, opened.spec) for corners in faces])


class Fed:
    """An embedder's session that takes chips (n, h, w, 3) RGB uint8 and prepares them itself."""

    def __init__(self, session: Any, feed: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> None:
        self._session, self._feed = session, feed

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, names: None, feed: dict[str, Any]) -> Any:
        return self._session.run(names, {name: self._feed(chips) for name, chips in feed.items()})


def as_embedder(opened: LoadedModel) -> Net:
    """Returns the network in the form that `embed.embed` takes: chips in, raw vectors out."""
    return replace(opened.net, session=Fed(opened.net.session, lambda chips: tensor(chips, opened.spec)))


def _run(opened: LoadedModel, images: Sequence[Pixels]) -> Iterator[Outputs]:
    """Yields the outputs of each image, images of one size; in batches of at most `net.batch`."""
    session, step = opened.net.session, opened.net.batch
    feed = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    for at in range(0, len(images), step):
        batch = tensor(np.stack(images[at : at + step]), opened.spec)
        outputs = session.run(None, {feed: batch})
        for number in range(len(batch)):
            # Some networks of batch 1 leave the batch's axis out.
            yield {n: out[number] if len(out) == len(batch) else out for n, out in zip(names, outputs, strict=True)}


def _alike(places: Iterable[Placed]) -> Iterator[list[Placed]]:
    """Groups neighbours of one size, which can go through a network together."""
    for _, group in groupby(places, key=lambda place: place.pixels.shape):
        yield list(group)


def _kept(boxes: Boxes, place: Placed, width: int, height: int, known: int) -> list[FloatBox]:
    seen = np.flatnonzero(boxes.scores >= LOWEST_SCORE)
    corners, scores, kinds = boxes.corners[seen], boxes.scores[seen], boxes.classes[seen]
    if known and len(kinds) and kinds.max() >= known:
        raise ModelUnknown(f"the network has more classes than its {known} labels")
    limit = np.array([width, height], np.float32)
    points = None if boxes.points is None else place.back(boxes.points[seen])
    corners = np.clip(place.back(corners.reshape(-1, 2, 2)), 0, limit).reshape(-1, 4)
    whole = (corners[:, 2:] - corners[:, :2] >= 1).all(axis=1)
    sizes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    usable = np.flatnonzero(whole)
    kept = cv2.dnn.NMSBoxesBatched(
        sizes[usable].tolist(), scores[usable].tolist(), kinds[usable].tolist(), LOWEST_SCORE, _OVERLAP
    )
    best = usable[np.ravel(kept).astype(int)] if len(usable) else usable
    five = [None] * len(seen) if points is None else list(points)
    return [
        FloatBox(int(kinds[i]), min(1.0, float(scores[i])), tuple(corners[i].tolist()), five[i])
        for i in best[:MOST_BOXES]
    ]
