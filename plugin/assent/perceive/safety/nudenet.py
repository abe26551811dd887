"""Runs NudeNet 320n (YOLOv8n, 18 classes of body parts) on frames and returns boxes with the taxonomy's labels.

Preparation and suppression follow the package's own `NudeDetector.detect(path)`, because every published figure and the
thresholds measured with it rest on that. Two of its habits stand out: it feeds blue first although it means red first
(two swaps in a row), and it shifts boxes that begin outside the image; the first is kept, the second is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from assent.core.values import Pixels, Vector
from assent.perceive.networks.runtime import Net, run_all

FRAME_BATCH = {"CPUExecutionProvider": 4, "CUDAExecutionProvider": 16}  # CPU: 16 is no faster an image, 228 for 63 MB
LOWEST_SCORE = 0.05
_SIDE = 320
_OVERLAP = 0.45  # intersection over union from which the weaker of two boxes goes, whatever their classes


@dataclass(frozen=True, slots=True)
class Detection:
    """A detected body part: label of the taxonomy, score 0.05–1, corners in pixels of the frame.

    Corners are (left, top, right, bottom)."""

    name: str
    score: float
    corners: tuple[float, float, float, float]


class FrameDetections(NamedTuple):
    """The result of one frame: its boxes, and its pooled features (width,) where the network gives them."""

    detections: tuple[Detection, ...]
    features: Vector | None


def prepare_frames(frames: Sequence[Pixels]) -> NDArray[np.float32]:
    """Converts frames (h, w, 3) into the network's input: (n, 3, 320, 320), blue first, 0–1.

    It is black at the bottom or right. One affine map scales and pads a large frame without a copy of it (0.4 ms for
    12 megapixels, within one grey level of scaling the padded square; measured); a small one is enlarged as the
    package does it, with repeated edges."""
    made = np.empty((len(frames), 3, _SIDE, _SIDE), np.float32)
    for planes, pixels in zip(made, frames, strict=True):
        for plane, grey in zip(planes, reversed(cv2.split(_square(pixels))), strict=True):
            np.divide(grey, np.float32(255), out=plane)
    return made


def _square(pixels: Pixels) -> MatLike:
    """Returns the frame scaled and padded to (320, 320, 3), red first."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest < _SIDE:
        square = np.pad(pixels, ((0, longest - height), (0, longest - width), (0, 0)))
        return cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    scale = _SIDE / longest
    offset = (scale - 1) / 2  # the middle of a pixel stays its middle
    matrix = np.array([[scale, 0, offset], [0, scale, offset]])
    return cv2.warpAffine(pixels, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def decode_boxes(output: NDArray[np.float32], names: Sequence[str], width: int, height: int) -> tuple[Detection, ...]:
    """Returns the boxes in one output (4 + classes, 2100) of YOLOv8 for a frame of that size, best score first.

    `names`: the taxonomy's label of each class; classes of one label are one, so that a face has no gender from here
    on."""
    best = output[4:].max(axis=0)
    seen = np.flatnonzero(best >= LOWEST_SCORE)
    centre, size = output[:2, seen], output[2:4, seen]
    limit = np.array([[width], [height]], np.float32)
    corners = np.concatenate([centre - size / 2, centre + size / 2]) * (max(width, height) / _SIDE)
    corners = np.clip(corners, 0, np.concatenate([limit, limit])).T
    seen, corners = seen[whole := (corners[:, 2:] - corners[:, :2] >= 1).all(axis=1)], corners[whole]
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), best[seen].tolist(), LOWEST_SCORE, _OVERLAP)
    classes = output[4:, seen].argmax(axis=0)
    return tuple(
        Detection(names[classes[i]], float(best[seen[i]]), tuple(corners[i].tolist()))
        for i in np.ravel(kept).astype(int)
    )


def detect_body_parts(net: Net, names: Sequence[str], frames: Sequence[Pixels]) -> tuple[FrameDetections, ...]:
    """Returns the network's boxes in each frame, from score 0.05 up, and the features.

    Frames go through the network in batches of `net.batch`."""
    seen: list[FrameDetections] = []
    for at in range(0, len(frames), net.batch):
        batch = frames[at : at + net.batch]
        outputs, *more = run_all(net, prepare_frames(batch))
        features = more[0] if more else [None] * len(batch)
        for output, pooled, pixels in zip(outputs, features, batch, strict=True):
            seen.append(FrameDetections(decode_boxes(output, names, pixels.shape[1], pixels.shape[0]), pooled))
    return tuple(seen)


def detect(net: Net, names: Sequence[str], frames: Sequence[Pixels]) -> tuple[tuple[Detection, ...], ...]:
    """Returns the boxes of each frame, without features."""
    return tuple(seen.detections for seen in detect_body_parts(net, names, frames))
