"""Finds and reads text in pixels. It runs PP-OCRv6 small, two networks that the wheel of rapidocr carries.

The first (a DB detector) gives the probability of text at every pixel; what lies above 0.3 is outlined by rectangles
that are then widened, since it marks only the core of a line. The second (CTC) reads each line, turned level and 48
pixels high. Latin, Greek, Chinese and Japanese script; no Cyrillic, Arabic or Hebrew. Numbers as in the package's own
config.yaml. The package's own code is not used: it would bring a downloader and session options of its own.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import Corners, bounding_corners
from assent.core.errors import ModelMissing, ModelUnknown
from assent.core.values import Pixels
from assent.perceive.networks.runtime import Net, open_net, run_network

PACKAGE = "rapidocr"
INSTALL = "pip install --no-deps rapidocr==3.10.0 phonenumbers python-stdnum linkify-it-py"
MOST_LINES = 64  # of a frame, the largest first
_SIDE = 960  # pixels of the longer side that the detector sees
_GRID = 32
_TEXT, _BOX = 0.3, 0.5  # probability of a pixel, and on average of a rectangle
_WIDEN = 1.6
_LEAST = 5  # pixels, a rectangle's shorter side in what the detector sees
_HEIGHT, _MOST_WIDTH, _STEP = 48, 960, 160  # of a line as it is read; widths are filled up to the next step
_LEAST_SCORE = 0.5  # of a line's characters on average; below it nothing was read
_BATCH = {"CPUExecutionProvider": 6, "CUDAExecutionProvider": 16}


class _File(NamedTuple):
    path: str
    size: int
    sha256: str


# Weights Apache-2.0, by the PaddleOCR project; converted by RapidOCR (its MODEL_LICENSES.md).
_DETECTOR = _File(
    "models/PP-OCRv6_det_small.onnx", 9_929_594, "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
)
_READER = _File(
    "models/PP-OCRv6_rec_small.onnx", 21_234_383, "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"
)
MODEL_ID = f"pp-ocrv6-small@{_READER.sha256[:12]}"


@dataclass(frozen=True, slots=True, eq=False)
class Ocr:
    """Both networks, open and verified; `characters`: what each class of the reader stands for."""

    detector: Net
    reader: Net
    characters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text: its text, the mean probability of its characters and its upright box in pixels of the frame.

    The box is (left, top, right, bottom). The text is in no representation of it, and goes no further than
    `perceive.text`."""

    text: str = field(repr=False)
    score: float
    corners: Corners


def is_installed() -> bool:
    """Tells whether the extra `text` is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def load_ocr(threads: int) -> Ocr:
    """Opens both networks. Raises ModelMissing when the extra is not installed, ModelUnknown when a file is another."""
    reader = open_net("pp-ocrv6-small-rec", _verified(_READER), threads, _BATCH)
    listed = reader.session.get_modelmeta().custom_metadata_map["character"].split("\n")
    characters = ("", *listed, " ")  # class 0 is the gap between characters
    return Ocr(open_net("pp-ocrv6-small-det", _verified(_DETECTOR), threads, _BATCH), reader, characters)


def lines(ocr: Ocr, pixels: Pixels) -> tuple[Line, ...]:
    """Returns the lines of text in a frame (h, w, 3), from above to below."""
    quads = _quads(ocr, pixels)
    strips = [_strip(pixels, quad) for quad in quads]
    texts = _read(ocr, strips)
    strong = [
        Line(text, score, bounding_corners(quad))
        for quad, (text, score) in zip(quads, texts, strict=True)
        if score >= _LEAST_SCORE and text.strip()
    ]
    return tuple(sorted(strong, key=lambda line: (line.corners[1], line.corners[0])))


def _verified(file: _File) -> bytes:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(f"reading text needs the extra `text`: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / file.path
    try:
        data = path.read_bytes() if path.stat().st_size == file.size else b""
    except OSError as error:
        raise ModelMissing(f"{file.path} of {PACKAGE} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ModelUnknown(f"{file.path} of {PACKAGE} is another file than that of 3.10.0: {INSTALL}")
    return data


def _quads(ocr: Ocr, pixels: Pixels) -> list[NDArray[np.float32]]:
    """Returns the corners (4, 2) of each line of text in pixels of the frame.

    They go clockwise from the top left one of the text."""
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    input_height, input_width = (max(_GRID, round(side * scale / _GRID) * _GRID) for side in (height, width))
    resized = cv2.resize(pixels, (input_width, input_height), interpolation=cv2.INTER_AREA)
    probability = run_network(ocr.detector, _normal(np.asarray(resized, np.uint8))[None])[0, 0]
    mask = cv2.dilate((probability > _TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    rects = [cv2.minAreaRect(contour) for contour in contours]
    lines = [rect for rect in rects if min(rect[1]) >= _LEAST and _mean(probability, rect) >= _BOX]
    largest = sorted(lines, key=lambda rect: -rect[1][0] * rect[1][1])[:MOST_LINES]
    to_frame = np.array([width / input_width, height / input_height], np.float32)
    return [_upright(cv2.boxPoints(_widened(rect)) * to_frame) for rect in largest]


_Rect = tuple[tuple[float, float], tuple[float, float], float]  # as OpenCV has them: middle, size, angle


def _mean(probability: NDArray[np.float32], rect: cv2.typing.RotatedRect) -> float:
    """Returns the mean probability of the pixels inside the rectangle."""
    corners = cv2.boxPoints(rect)
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    part = probability[top : int(corners[:, 1].max()) + 1, left : int(corners[:, 0].max()) + 1]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])


def _widened(rect: cv2.typing.RotatedRect) -> _Rect:
    middle, (width, height), angle = rect
    more = _WIDEN * width * height / (width + height)  # on both sides together
    return (middle[0], middle[1]), (width + more, height + more), angle


def _upright(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orders the corners of a line that runs to the right: top left, top right, bottom right, bottom left."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    (top_left, bottom_left), (top_right, bottom_right) = (pair[np.argsort(pair[:, 1])] for pair in (by_x[:2], by_x[2:]))
    return np.stack([top_left, top_right, bottom_right, bottom_left])


def _strip(pixels: Pixels, quad: NDArray[np.float32]) -> Pixels:
    """Cuts out a line, level, 48 pixels high and at most 960 wide; an upright one is turned to the left."""
    width, height = float(np.linalg.norm(quad[1] - quad[0])), float(np.linalg.norm(quad[3] - quad[0]))
    if height > 1.5 * width:
        quad, width, height = np.roll(quad, -1, axis=0), height, width
    wide = int(np.clip(round(width * _HEIGHT / max(height, 1.0)), 1, _MOST_WIDTH))
    level = np.array([[0, 0], [wide, 0], [wide, _HEIGHT], [0, _HEIGHT]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad.astype(np.float32), level)
    strip = cv2.warpPerspective(pixels, matrix, (wide, _HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(strip, np.uint8)


def _read(ocr: Ocr, strips: Sequence[Pixels]) -> list[tuple[str, float]]:
    """Returns text and score of each strip; strips of about one width go through the network together."""
    steps = [-(-strip.shape[1] // _STEP) * _STEP for strip in strips]
    read: list[tuple[str, float]] = [("", 0.0)] * len(strips)
    for step in sorted(set(steps)):
        same = [n for n, width in enumerate(steps) if width == step]
        for start in range(0, len(same), ocr.reader.batch):
            batch = same[start : start + ocr.reader.batch]
            inputs = np.zeros((len(batch), 3, _HEIGHT, step), np.float32)
            for row, n in zip(inputs, batch, strict=True):
                row[:, :, : strips[n].shape[1]] = _normal(strips[n])
            for n, output in zip(batch, run_network(ocr.reader, inputs), strict=True):
                read[n] = _collapsed(output, ocr.characters)
    return read


def _collapsed(output: NDArray[np.float32], characters: Sequence[str]) -> tuple[str, float]:
    """Decodes a CTC output (steps, classes) into text and score, by the best class at each step.

    Repeats are one, gaps are none."""
    best = output.argmax(axis=1)
    new = (best != 0) & (best != np.concatenate([[0], best[:-1]]))
    if not new.any():
        return "", 0.0
    return "".join(characters[n] for n in best[new]), float(output[new, best[new]].mean())


def _normal(pixels: Pixels) -> NDArray[np.float32]:
    """Returns the pixels as (3, h, w), blue first, from -1 to 1."""
    return np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1), np.float32) / np.float32(127.5) - np.float32(1)
