"""Decodes a network's raw outputs into boxes, probabilities or vectors: one literal table of pure functions.

Each takes the outputs of one image by name, without the batch's axis, and the input's size in pixels (width, height).
They raise ModelUnknown where the outputs are not those of the network that the decoder reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import corners_from_centres
from assent.core.errors import ModelUnknown
from assent.perceive.packs.manifest import DecoderName

FloatArray = NDArray[np.float32]
Outputs = Mapping[str, FloatArray]
InputSize = tuple[int, int]
STRIDES = (8, 16, 32)


class Boxes(NamedTuple):
    """Candidates before suppression, in pixels of the network's input."""

    corners: FloatArray  # (n, 4): left, top, right, bottom
    scores: FloatArray  # (n,), 0–1
    classes: NDArray[np.intp]  # (n,)
    points: FloatArray | None = None  # (n, 5, 2): eyes, nose, corners of the mouth; left in the image first


def yolov8(outputs: Outputs, size: InputSize) -> Boxes:
    """Decodes Ultralytics YOLOv8: (4 + classes, cells), boxes as centre and size, probabilities as they are."""
    out = _only(outputs)
    _expect(out.ndim == 2 and out.shape[0] > 4 and out.shape[1] == _cells(size), "yolov8", out)
    return _best(out[:4].T, out[4:].T)


def yolox(outputs: Outputs, size: InputSize) -> Boxes:
    """Decodes YOLOX without its own decoding (Ge et al. 2021): (cells, 5 + classes), offsets and log sizes."""
    out = _only(outputs)
    _expect(out.ndim == 2 and out.shape[0] == _cells(size) and out.shape[1] > 5, "yolox", out)
    grid, stride = _grid(size)
    centre = (out[:, :2] + grid) * stride
    return _best(np.concatenate([centre, np.exp(out[:, 2:4]) * stride], 1), out[:, 5:] * out[:, 4:5])


def yunet(outputs: Outputs, size: InputSize) -> Boxes:
    """Decodes YuNet (Wu et al. 2023): cls, obj, bbox and kps of each stride.

    A score is the root of cls × obj."""
    parts = {
        kind: np.concatenate([_named(outputs, f"{kind}_{stride}") for stride in STRIDES])
        for kind in ("cls", "obj", "bbox", "kps")
    }
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        _expect(parts[kind].shape == (_cells(size), width), "yunet", parts[kind])
    grid, stride = _grid(size)
    scores = np.sqrt(np.clip(parts["cls"], 0, 1) * np.clip(parts["obj"], 0, 1))
    centre = (parts["bbox"][:, :2] + grid) * stride
    points = (parts["kps"].reshape(-1, 5, 2) + grid[:, None]) * stride[:, None]
    return _best(np.concatenate([centre, np.exp(parts["bbox"][:, 2:]) * stride], 1), scores)._replace(points=points)


def scrfd(outputs: Outputs, size: InputSize) -> Boxes:
    """Decodes SCRFD (Guo et al. 2021) with two anchors a cell: scores, distances to the edges, points of each stride.

    The outputs are told apart by their shapes: exports name them by number."""
    by_width = {w: [out for out in outputs.values() if out.ndim == 2 and out.shape[1] == w] for w in (1, 4, 10)}
    flat: dict[int, FloatArray] = {
        width: np.concatenate(sorted(parts, key=len, reverse=True) or [np.empty((0, width), np.float32)])
        for width, parts in by_width.items()
    }
    for width, out in flat.items():
        _expect(out.shape == (2 * _cells(size), width), "scrfd", out)
    grid, stride = (np.repeat(part, 2, axis=0) for part in _grid(size))
    centre: FloatArray = grid * stride
    away: FloatArray = flat[4] * stride
    corners = np.concatenate([centre - away[:, :2], centre + away[:, 2:]], 1)
    points: FloatArray = centre[:, None] + flat[10].reshape(-1, 5, 2) * stride[:, None]
    scores = np.asarray(flat[1][:, 0], np.float32)
    return Boxes(corners, scores, np.zeros(len(scores), np.intp), points)


def softmax(outputs: Outputs, size: InputSize) -> FloatArray:  # noqa: ARG001 - as the others are called
    """Converts logits to one score a class: probabilities, which add up to 1."""
    raw = probabilities_of(outputs, "softmax")
    powers = np.exp(raw - raw.max())
    return np.asarray(powers / powers.sum(), np.float32)


def decode_probabilities(outputs: Outputs, size: InputSize) -> FloatArray:  # noqa: ARG001 - as the others are called
    """Returns one score a class, which the network gives between 0 and 1."""
    raw = probabilities_of(outputs, "probabilities")
    _expect(bool(((raw >= -1e-4) & (raw <= 1 + 1e-4)).all()), "probabilities", raw)
    return raw


def probabilities_of(outputs: Outputs, decoder: str) -> FloatArray:
    """Returns the first output, a vector with at least two classes."""
    first = next(iter(outputs.values()))
    _expect(first.ndim == 1 and len(first) > 1, decoder, first)
    return first


DETECTORS: dict[DecoderName, Callable[[Outputs, InputSize], Boxes]] = {
    "yolov8": yolov8,
    "yolox": yolox,
    "yunet": yunet,
    "scrfd": scrfd,
}
CLASSIFIERS: dict[DecoderName, Callable[[Outputs, InputSize], FloatArray]] = {
    "softmax": softmax,
    "probabilities": decode_probabilities,
    "efficientnet-lite": decode_probabilities,
}


def _best(boxes: FloatArray, scores: FloatArray) -> Boxes:
    """Gives each box its best class: boxes as centre and size (n, 4), scores (n, classes)."""
    return Boxes(corners_from_centres(boxes), scores.max(axis=1), scores.argmax(axis=1))


def _cells(size: InputSize) -> int:
    return sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)


def _grid(size: InputSize) -> tuple[FloatArray, FloatArray]:
    """Returns column and row of each cell (cells, 2), row by row, stride by stride, and its stride (cells, 1)."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: size[1] // stride, : size[0] // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], 1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _only(outputs: Outputs) -> FloatArray:
    return next(iter(outputs.values()))


def _named(outputs: Outputs, name: str) -> FloatArray:
    if name not in outputs:
        raise ModelUnknown(f"the network has no output {name}; it has {', '.join(outputs)}")
    return outputs[name]


def _expect(holds: bool, decoder: str, output: FloatArray) -> None:
    if not holds:
        raise ModelUnknown(f"decoder {decoder} cannot read an output of shape {output.shape}")
