"""Prepares pixels as a network takes them, as its manifest's `input` describes. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import Corners
from assent.core.values import Pixels
from assent.perceive.packs.manifest import Input

_STEP = 32  # what the sides of a dynamic input are divided by; the coarsest stride of the detectors


class Placed(NamedTuple):
    """A frame as it lies in a network's input: x of the input = x of the frame × scale[0] + offset[0], likewise y."""

    pixels: Pixels
    scale: tuple[float, float]
    offset: tuple[float, float]

    def back(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Converts points (…, 2) of the input into points of the frame."""
        return np.asarray((points - np.array(self.offset, np.float32)) / np.array(self.scale, np.float32), np.float32)


def placed(pixels: Pixels, spec: Input) -> Placed:
    """Returns the frame (h, w, 3) at the input's size, as its `fit` says; RGB as before."""
    height, width = pixels.shape[:2]
    across, down = spec.size
    if spec.fit == "crop" and spec.before:
        return _cropped(pixels, spec.before, across, down)
    if spec.fit == "stretch":
        return Placed(_resized(pixels, across, down), (across / width, down / height), (0.0, 0.0))
    if spec.fit == "squeeze-crop" and spec.before:
        left, top = (spec.before - across) // 2, (spec.before - down) // 2
        # Halved to no less than twice the size: the rest, by area, keeps the scores.
        whole = _resized(_halved(pixels, 2 * spec.before, 2 * spec.before), spec.before, spec.before)
        middle = whole[top : top + down, left : left + across]
        return Placed(middle, (spec.before / width, spec.before / height), (-left, -top))
    ratio = min(across / width, down / height)
    ratio = ratio if spec.enlarge else min(1.0, ratio)
    new = max(1, round(width * ratio)), max(1, round(height * ratio))
    if spec.dynamic:
        across, down = (-(-side // _STEP) * _STEP for side in new)
    left, top = ((across - new[0]) // 2, (down - new[1]) // 2) if spec.place == "centre" else (0, 0)
    canvas = np.full((down, across, 3), spec.pad, np.uint8)
    canvas[top : top + new[1], left : left + new[0]] = _resized(pixels, *new)
    return Placed(canvas, (new[0] / width, new[1] / height), (left, top))


def _cropped(pixels: Pixels, before: int, across: int, down: int) -> Placed:
    """Scales the middle of a frame, as if its shorter side had been scaled to `before` pixels and then been cut.

    It is cut first, so that a frame of 30,000 pixels by one never becomes millions wide."""
    height, width = pixels.shape[:2]
    ratio = before / min(width, height)
    wide, high = (max(1, min(side, round(part / ratio))) for side, part in ((width, across), (height, down)))
    left, top = (width - wide) // 2, (height - high) // 2
    scale = across / wide, down / high
    middle = _halved(pixels[top : top + high, left : left + wide], across, down)
    return Placed(_resized(middle, across, down), scale, (-left * scale[0], -top * scale[1]))


def _halved(pixels: Pixels, across: int, down: int) -> Pixels:
    """Returns the frame halved for as long as both sides stay that long; an odd last row or column is left out.

    To shrink 12 megapixels by area at once takes five times as long."""
    height, width = pixels.shape[:2]
    while width >= 2 * across and height >= 2 * down:
        width, height = width // 2, height // 2
        half: Any = cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        pixels = np.asarray(half, np.uint8)
    return pixels


def around(pixels: Pixels, corners: Corners, spec: Input) -> Pixels:
    """Cuts a face with its surroundings, at the input's size. The box's shape is not kept.

    The part is the box, `crop` times as wide and high, or as much of that as the frame holds; it is moved into the
    frame where it would leave it.

    Resized linearly, as MiniFASNet was trained: shrunk by area, living faces score as low as 0.27, linearly 0.57 at
    the least (models/cards/minifasnet.md). With squares, no difference that seven faces could show."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = corners
    times = min(spec.crop or 1.0, (width - 1) / (right - left), (height - 1) / (bottom - top))
    wide, high = times * (right - left), times * (bottom - top)
    x = min(max(0.0, (left + right - wide) / 2), width - wide)
    y = min(max(0.0, (top + bottom - high) / 2), height - high)
    part = np.ascontiguousarray(pixels[int(y) : int(y + high) + 1, int(x) : int(x + wide) + 1])
    return np.asarray(cv2.resize(part, spec.size, interpolation=cv2.INTER_LINEAR), np.uint8)


def tensor(images: NDArray[np.uint8], spec: Input) -> NDArray[Any]:
    """Converts images (n, h, w, 3) RGB into a network's input.

    Layout, colour order, scale, mean and std are those of the manifest."""
    planes = spec.layout == "nchw"
    ordered = images if spec.colour == "rgb" else images[..., ::-1]
    laid_out = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2) if planes else ordered)
    if spec.dtype == "uint8":
        return laid_out
    values = laid_out.astype(np.float32)
    shape = (3, 1, 1) if planes else (3,)
    if spec.scale != 1.0:
        values *= spec.scale
    if any(spec.mean):
        values -= np.array(spec.mean, np.float32).reshape(shape)
    if spec.std != (1.0, 1.0, 1.0):
        values /= np.array(spec.std, np.float32).reshape(shape)
    return values


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resizes a frame: shrinks by area, so that fine patterns do not turn into others; enlarges linearly."""
    shrinks = width < pixels.shape[1] or height < pixels.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: Any = cv2.resize(pixels, (width, height), interpolation=how)
    return np.asarray(resized, np.uint8)
