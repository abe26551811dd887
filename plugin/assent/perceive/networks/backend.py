"""Opens, checks and runs any ONNX file that a manifest describes, on frames, faces or chips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import Corners, clipped, sizes_of
from assent.core.errors import ModelUnknown
from assent.core.taxonomy import BY_NAME, above
from assent.core.values import Pixels, Vector
from assent.perceive.frames.prepare import Placed, around, placed, tensor
from assent.perceive.labels.backbone import OUTPUT
from assent.perceive.networks.decoders import CLASSIFIERS, DETECTORS, Boxes, Outputs
from assent.perceive.networks.runtime import CHIP_BATCH, FRAME_BATCH, ONNX_ERRORS, Net, open_net
from assent.perceive.networks.suppression import suppress
from assent.perceive.packs.converted import read_network
from assent.perceive.packs.manifest import LOWEST_SCORE, Input, ModelFile, Pack, classes, input_of

MOST_BOXES = 100  # of one frame, best first
_UNFIT: tuple[type[Exception], ...] = (*ONNX_ERRORS, ValueError, IndexError)  # of a network of another kind


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


class NetworkDetection(NamedTuple):
    """A detection that has no label yet: class, score 0–1 and corners in pixels of the frame; of a face five points."""

    kind: int
    score: float
    corners: Corners
    points: NDArray[np.float32] | None


class Classified(NamedTuple):
    """A network's scores of its classes, and its features where its manifest names some."""

    scores: NDArray[np.float32]
    features: Vector | None


def open_file(pack: Pack, file: ModelFile, models_dir: Path | None, threads: int) -> LoadedModel:
    """Opens a file of a pack and runs it once on an empty input.

    Raises ModelMissing, and ModelUnknown where the file is not the manifest's, is no ONNX network, or takes or gives
    other shapes than the manifest says."""
    spec = input_of(pack, file)
    names = classes(pack, file) if file.labels or file.table else ()
    model = LoadedModel(file, open_verified(file, read_network(file, models_dir), threads), spec, names)
    _try_out(model)
    return model


def open_verified(file: ModelFile, data: bytes, threads: int) -> Net:
    """Opens a session on verified bytes, with the batch that the network allows. Raises ModelUnknown."""
    chips = file.input is not None and file.input.fit in ("aligned", "around-face")
    try:
        net = open_net(file.name, data, threads, CHIP_BATCH if chips else FRAME_BATCH)
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


def _mismatch(declared: Any, spec: Input) -> str:
    """Describes how an ONNX input's declared type or shape differs from the manifest; empty where neither does."""
    width, height = (0, 0) if spec.dynamic else spec.size  # 0: any size
    want = [3, height, width] if spec.layout == "nchw" else [height, width, 3]
    kind = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[spec.dtype]
    shape = list(declared.shape)
    if declared.type != kind:
        return f"it takes {declared.type}, not {kind}"
    fits = len(shape) == 4 and all(
        not isinstance(have, int) or have == w or not w for have, w in zip(shape[1:], want, strict=True)
    )
    return "" if fits else f"it takes {shape}, not {['n', *want]}"


def _try_out(model: LoadedModel) -> None:
    empty = np.zeros((model.spec.size[1], model.spec.size[0], 3), np.uint8)
    try:
        if model.file.decoder in DETECTORS:
            run_detector(model, [empty])
        elif model.file.decoder in CLASSIFIERS:
            scores, features = classify_with_features(model, [empty])[0]
            if len(scores) != len(model.names):
                raise ModelUnknown(f"{model.file.path} has {len(scores)} classes, its labels are {len(model.names)}")
            if model.file.features is not None and (features is None or features.shape != (model.file.features,)):
                raise ModelUnknown(
                    f"{model.file.path} does not give the {model.file.features} features of its manifest"
                )
        else:
            vectors(model, [empty])
    except _UNFIT as error:
        raise ModelUnknown(f"{model.file.path} does not do what the manifest says: {type(error).__name__}") from error


def run_detector(model: LoadedModel, frames: Sequence[Pixels]) -> list[list[NetworkDetection]]:
    """Returns the boxes in each frame from score 0.05 up, best first, at most 100.

    Of two boxes of one class that overlap the weaker is dropped."""
    decode = DETECTORS[model.file.decoder]
    detections: list[list[NetworkDetection]] = []
    for batch in _alike(placed(pixels, model.spec) for pixels in frames):
        size = batch[0].pixels.shape[1], batch[0].pixels.shape[0]
        for outputs, frame in zip(_run(model, [one.pixels for one in batch]), batch, strict=True):
            height, width = frames[len(detections)].shape[:2]
            detections.append(_detections(decode(outputs, size), frame, width, height, len(model.names)))
    return detections


def classify(model: LoadedModel, frames: Sequence[Pixels]) -> list[NDArray[np.float32]]:
    """Returns the scores of all classes, for each frame as a whole.

    `around-face` networks take what `prepare.around` cuts."""
    return [seen.scores for seen in classify_with_features(model, frames)]


def classify_with_features(model: LoadedModel, frames: Sequence[Pixels]) -> list[Classified]:
    """Returns scores as `classify` does, with the features (width,) of the same pass."""
    decode = CLASSIFIERS[model.file.decoder]
    ready = frames if model.spec.fit == "around-face" else [placed(pixels, model.spec).pixels for pixels in frames]
    return [
        Classified(decode(outputs, model.spec.size), outputs.get(OUTPUT) if model.file.features else None)
        for outputs in _run(model, ready)
    ]


def by_label(model: LoadedModel, scores: NDArray[np.float32]) -> dict[str, float]:
    """Returns the taxonomy's labels from score 0.05 up, strongest first.

    Classes exclude one another, so a label's score is the sum of its classes' and of all that lie below it."""
    tree = _classes_below(model.names)
    totals = np.add.reduceat(scores[tree.classes].astype(np.float64), tree.starts)
    strong = np.flatnonzero(totals >= LOWEST_SCORE)
    strong = strong[np.argsort(-totals[strong], kind="stable")]
    return {tree.labels[n]: min(1.0, total) for n, total in zip(strong.tolist(), totals[strong].tolist(), strict=True)}


class _Tree(NamedTuple):
    """The classes at or below each label, one label after the other; `starts`: where each label's begin."""

    labels: tuple[str, ...]
    classes: NDArray[np.intp]
    starts: NDArray[np.intp]


@cache
def _classes_below(names: tuple[str | None, ...]) -> _Tree:
    below: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        for label in above(name) if name is not None else ():
            if label in BY_NAME:
                below.setdefault(label, []).append(number)
    starts = np.cumsum([0, *map(len, below.values())])[:-1]
    return _Tree(tuple(below), np.array([n for own in below.values() for n in own], np.intp), starts)


def vectors(model: LoadedModel, chips: Sequence[Pixels]) -> NDArray[np.float32]:
    """Returns the network's raw vector of each chip."""
    rows = [next(iter(outputs.values())).ravel() for outputs in _run(model, chips)]
    return np.stack(rows)


def around_faces(model: LoadedModel, pixels: Pixels, faces: Sequence[Corners]) -> list[NDArray[np.float32]]:
    """Returns the classes' scores for each face of a frame, by a network that takes faces with their surroundings."""
    return classify(model, [around(pixels, corners, model.spec) for corners in faces])


class Fed:
    """An embedder's session that takes chips (n, h, w, 3) RGB uint8 and prepares them itself."""

    def __init__(self, session: Any, feed: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> None:
        self._session, self._feed = session, feed

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, names: None, feed: dict[str, Any]) -> Any:
        return self._session.run(names, {name: self._feed(chips) for name, chips in feed.items()})


def as_embedder(model: LoadedModel) -> Net:
    """Returns the network in the form that `embed.embed` takes: chips in, raw vectors out."""
    return replace(model.net, session=Fed(model.net.session, lambda chips: tensor(chips, model.spec)))


def _run(model: LoadedModel, images: Sequence[Pixels]) -> Iterator[Outputs]:
    """Yields the outputs of each image, images of one size; in batches of at most `net.batch`."""
    session, step = model.net.session, model.net.batch
    feed = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    for start in range(0, len(images), step):
        batch = tensor(np.stack(images[start : start + step]), model.spec)
        outputs = session.run(None, {feed: batch})
        for number in range(len(batch)):
            # Some networks of batch 1 leave the batch's axis out.
            yield {n: out[number] if len(out) == len(batch) else out for n, out in zip(names, outputs, strict=True)}


def _alike(frames: Iterable[Placed]) -> Iterator[list[Placed]]:
    """Groups neighbours of one size, which can go through a network together."""
    for _, group in groupby(frames, key=lambda frame: frame.pixels.shape):
        yield list(group)


def _detections(boxes: Boxes, frame: Placed, width: int, height: int, labels: int) -> list[NetworkDetection]:
    """Converts decoded boxes to detections in pixels of the frame, whose size is `width` × `height`."""
    strong = np.flatnonzero(boxes.scores >= LOWEST_SCORE)
    corners, scores, kinds = boxes.corners[strong], boxes.scores[strong], boxes.classes[strong]
    if labels and len(kinds) and kinds.max() >= labels:
        raise ModelUnknown(f"the network has more classes than its {labels} labels")
    points = None if boxes.points is None else frame.back(boxes.points[strong])
    corners = clipped(frame.back(corners.reshape(-1, 2, 2)).reshape(-1, 4), width, height)
    whole = np.flatnonzero((sizes_of(corners) >= 1).all(axis=1))
    best = whole[suppress(corners[whole], scores[whole], LOWEST_SCORE, kinds[whole])]
    five = [None] * len(strong) if points is None else list(points)
    return [
        NetworkDetection(int(kinds[i]), min(1.0, float(scores[i])), tuple(corners[i].tolist()), five[i])
        for i in best[:MOST_BOXES]
    ]
