"""Names the colours of the main thing in a frame, by the eleven basic colour terms (Berlin & Kay 1969). Pure.

A pixel has the term of the nearest prototype in `colours.tsv`: in CIELAB (D65), by CIE94's ellipsoid around each. The
prototypes are the centroids of ISCC-NBS (Kelly & Judd, NBS Special Publication 440, 1976) and, of the colour survey of
xkcd.com (Munroe 2010, CC0), the names that are a basic term with a modifier such as "dark". Where a centroid's name
joins two basic terms ("orange yellow", "reddish brown"), photos of goods decided which of them it has.

The main thing is what lies in the middle in other colours than the frame's border shows; where both show the same, it
is the middle. Nothing is said of people: a frame with a face has no colours, nor one whose middle bodies fill, and
where a body is seen is neither thing nor background. How often it is right: docs/models.md (`tests.bench.colours`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import Corners, corners_of
from assent.core.taxonomy import BY_NAME
from assent.core.values import Face, Frame, Pixels, Tag
from assent.perceive.packs.manifest import LOWEST_SCORE
from assent.perceive.safety.detect import Detection

_Floats = NDArray[np.float64]

_TABLE = files("assent.perceive").joinpath("colours.tsv").read_bytes()
COLOURS_ID = f"colours@{hashlib.sha256(_TABLE).hexdigest()[:12]}"
_SIDE = 48  # pixels of the longer side in which colours are counted
_MIDDLE = 0.45  # standard deviation of the weight of places, in half sides
_BORDER = 0.08  # share of the shorter side
_PEOPLE = 0.25  # share of the middle from which people are the main thing
_NEUTRAL = 3.0  # chroma below which a colour is black, grey or white
# Scores from which a face may be one, and a body part or person is one. Of 120 clothes and 100 groceries 1 and 6 have a
# face from 0.15 up, 3 and 27 a part from 0.25 up; at 0.10 it were 2, 10, 25 and 60.
_PERHAPS, _SURE = 0.15, 0.25
_FLAT = 3.0  # standard deviation in CIELAB up to which a frame has one colour, and nothing to tell the light by
# CIE 1931, IEC 61966-2-1: linear sRGB → XYZ, divided by the white of D65.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_XYZ /= _XYZ.sum(axis=1, keepdims=True)
_LUMINANCE = _XYZ[1]
_FROM_CUBE_ROOTS = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], float)  # → L*, a*, b*
# L*, a*, b* → place among 9 × 12 × 12 cells of 12.5, 24 and 24, by which thing and background are told apart.
_TO_CELLS = np.array([[1 / 12.5, 0, 0, 0], [0, 1 / 24, 0, 5], [0, 0, 1 / 24, 5]])
_CELL_NUMBER = np.array([[12 * 12, 12, 1]], float)


class _Prototypes(NamedTuple):
    names: tuple[str, ...]  # the labels, in the order of `terms`
    terms: NDArray[np.intp]  # of each prototype, an index in `names`
    hued: NDArray[np.bool_]  # which of them are neither black, grey nor white
    weights: _Floats  # (8, n): a colour's eight products times these are its squared distances


def colour_tags(frame: Frame, parts: Sequence[Detection], tags: Sequence[Tag], faces: Sequence[Face]) -> list[Tag]:
    """Returns a tag for each colour of the main thing in a frame; the score is its share, from 0.05 up.

    Nothing where somebody's face is seen: skin and hair have no colour here. `parts`: the safety network's detections
    in the frame; `tags` and `faces`: what was seen in its picture. Bodies and people are left out of the thing."""
    if any(face.frame == frame.index for face in faces):
        return []
    if any(part.name == "face" and part.score >= _PERHAPS for part in parts):
        return []
    people = [part.corners for part in parts if part.score >= _SURE]
    people += [
        corners_of(tag.box, frame.scale)
        for tag in tags
        if tag.name == "object.person" and tag.box and tag.frame == frame.index and tag.score >= _SURE
    ]
    return [
        Tag(name, BY_NAME[name].category, round(share, 4), None, frame.index, COLOURS_ID)
        for name, share in colours(frame.pixels, people).items()
        if share >= LOWEST_SCORE
    ]


def colours(pixels: Pixels, people: Sequence[Corners] = ()) -> dict[str, float]:
    """Returns the share of each colour of the main thing in a frame (h, w, 3), the largest first.

    Nothing where `people` are the main thing."""
    small = _shrunk(pixels)
    height, width = small.shape[:2]
    shown = _without(people, (height / pixels.shape[0], width / pixels.shape[1]), (height, width))
    middle = _middle(height, width)
    if (middle * shown).sum() <= (1 - _PEOPLE) * middle.sum():
        return {}
    colour = lab(small)
    thing = _thing(colour, middle * shown, shown)
    names = prototypes().names
    weights = np.bincount(_terms(_in_plain_light(small, colour)).ravel(), thing.ravel(), len(names))
    shares = weights / weights.sum()
    return {names[n]: float(shares[n]) for n in np.argsort(-shares, kind="stable") if shares[n] > 0}


def _shrunk(pixels: Pixels) -> Pixels:
    """Returns the frame with its longer side at _SIDE; of large frames only every so many pixels are read.

    Each pixel is the mean of what it covers, as by cv2.INTER_AREA, which takes 2 to 3 times as long."""
    step = max(1, max(pixels.shape[:2]) // (8 * _SIDE))
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    ratio = min(1.0, _SIDE / max(pixels.shape[:2]))
    if ratio == 1.0:
        return pixels
    (down, below), (across, right) = (_cuts(side, max(1, round(side * ratio))) for side in pixels.shape[:2])
    sums = np.asarray(cv2.integral(pixels), np.int32)
    upper, lower = (_between(sums.take(rows, axis=0), across, right) for rows in (down, down + 1))
    covered = np.diff(np.diff(upper + (lower - upper) * below[:, None], axis=0), axis=1)
    area = pixels.shape[0] / (len(down) - 1) * pixels.shape[1] / (len(across) - 1)
    return np.asarray(np.rint(covered / area), np.uint8)


def _between(sums: NDArray[np.int32], across: NDArray[np.intp], right: _Floats) -> _Floats:
    """Returns the sums (n, w, 3) at places that lie between those of columns `across` and the next ones."""
    here = sums.take(across, axis=1)
    return here + (sums.take(across + 1, axis=1) - here) * right


def _cuts(side: int, parts: int) -> tuple[NDArray[np.intp], _Floats]:
    """Returns where a side is cut into equal parts (parts + 1,): in which pixel, and by which share (…, 1) of it."""
    cuts = np.arange(parts + 1) * (side / parts)
    whole = np.minimum(cuts.astype(np.intp), side - 1)
    return whole, np.asarray(cuts - whole, np.float64)[:, None]


def _without(people: Sequence[Corners], scale: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns which pixels (h, w) lie in no box of `people`."""
    shown = np.ones(shape, bool)
    for left, top, right, bottom in people:
        rows = slice(max(0, int(top * scale[0])), max(0, int(np.ceil(bottom * scale[0]))))
        shown[rows, max(0, int(left * scale[1])) : max(0, int(np.ceil(right * scale[1])))] = False
    return shown


def _middle(height: int, width: int) -> _Floats:
    """Returns the weight of each place (h, w): 1 in the middle, a Gaussian towards the sides."""
    down, across = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in (height, width))
    return np.asarray(np.exp(-(down[:, None] ** 2 + across[None] ** 2) / (2 * _MIDDLE**2)))


def _thing(colour: _Floats, middle: _Floats, shown: NDArray[np.bool_]) -> _Floats:
    """Returns the weight (h, w) with which each pixel of a CIELAB frame (h, w, 3) belongs to the main thing.

    A colour is the thing's where its share of the middle is larger than its share of the border. A thing that would be
    less than a tenth of the middle is none: then all of the middle counts."""
    height, width = colour.shape[:2]
    edge = max(1, round(_BORDER * min(height, width)))
    border = shown.copy()
    border[edge : height - edge, edge : width - edge] = False
    inside = middle * ~border
    if not border.any() or not inside.any():
        return middle
    cell = _times(np.rint(_times(colour, _TO_CELLS)), _CELL_NUMBER).astype(np.intp)
    ours, theirs = _histograms(cell, inside, border.astype(np.float64))
    thing = middle * (ours > theirs)[cell]
    return thing if thing.sum() > 0.1 * middle.sum() else middle


def _histograms(cell: NDArray[np.intp], *weights: _Floats) -> _Floats:
    """Returns the share of each colour cell (n, 1296) by each weight of places, smoothed over neighbouring cells."""
    counts: Any = np.stack([np.bincount(cell.ravel(), weight.ravel(), 9 * 12 * 12) for weight in weights])
    counts = _smoother(9) @ counts.reshape(-1, 9, 12 * 12)
    counts = _smoother(12) @ counts.reshape(-1, 12, 12) @ _smoother(12)
    counts = counts.reshape(-1, 9 * 12 * 12)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


@cache
def _smoother(side: int) -> _Floats:
    """Returns the matrix (side, side) that takes half of each cell and a quarter of both beside it."""
    return np.asarray(np.eye(side) / 2 + np.eye(side, k=1) / 4 + np.eye(side, k=-1) / 4)


def _in_plain_light(small: Pixels, colour: _Floats) -> Pixels:
    """Returns a frame as if lit more plainly: half of the light's cast is taken out, and dark frames are lifted.

    colour: the frame in CIELAB.
    The light's colour is the median of the brightest twentieth of what is not overexposed (white patch); one as strong
    as chroma 40 is a thing's own colour. Lifted until the brightest fiftieth reaches white, twice at most."""
    if cv2.meanStdDev(colour)[1].max() < _FLAT:
        return small
    light = _linear(small)
    bright = _largest(light) < 0.98
    if bright.sum() < 20:
        bright[:] = True
    luminance = _times(light, _LUMINANCE[None])
    patch = np.median(light[bright & (luminance >= _quantile(luminance[bright], 0.95))], axis=0)
    patch /= max(float(patch.max()), 1e-6)
    if np.hypot(*_lab(patch)[1:]) <= 40:
        gain = np.maximum(patch, 1e-3) ** -0.5
        light = _times(light, np.diag(gain / gain.max()))
    light = light * np.clip(1 / max(_quantile(_largest(light).ravel(), 0.98), 1e-3), 1, 2)
    return np.asarray(np.rint(255 * _encoded(np.clip(light, 0, 1))), np.uint8)


def _largest(light: _Floats) -> _Floats:
    red, green, blue = cv2.split(light)
    return np.asarray(cv2.max(cv2.max(red, green), blue))


def _quantile(values: _Floats, share: float) -> float:
    """Returns what np.quantile does of values (n,), in a tenth of the time."""
    place = share * (len(values) - 1)
    low, high = int(place), min(int(place) + 1, len(values) - 1)
    parted = np.partition(values, (low, high))
    return float(parted[low] + (parted[high] - parted[low]) * (place - low))


def _terms(pixels: Pixels) -> NDArray[np.intp]:
    """Returns the term (h, w) of each pixel, an index in the prototypes' `names`."""
    coarse = pixels >> 3
    return np.asarray(_table()[coarse[..., 0], coarse[..., 1], coarse[..., 2]])


@cache
def _table() -> NDArray[np.intp]:
    """Returns the term of each colour (32, 32, 32), told apart in steps of 8 of 256: an index in `names`.

    Made once a process, in parts that a processor's cache holds: 25 ms."""
    named = prototypes()
    steps = np.arange(32, dtype=np.uint8) * 8 + 4
    colour = lab(np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)).reshape(-1, 3)
    products, nearest = _products(colour), np.empty(len(colour), np.intp)
    distances = np.empty((256, len(named.terms)))
    for start in range(0, len(colour), 256):
        np.matmul(products[start : start + 256], named.weights, out=distances)
        nearest[start : start + 256] = distances.argmin(axis=1)
    plain, neutral = np.flatnonzero(np.hypot(colour[:, 1], colour[:, 2]) < _NEUTRAL), np.flatnonzero(~named.hued)
    nearest[plain] = neutral[(products[plain] @ named.weights[:, neutral]).argmin(axis=1)]
    return np.asarray(named.terms[nearest].reshape(32, 32, 32), np.intp)


def _products(colour: _Floats) -> _Floats:
    """Returns what the squared distances of colours (n, 3) are sums of, (n, 8)."""
    light, a, b = colour.T
    return np.stack([light**2, a**2, b**2, a * b, light, a, b, np.ones_like(a)], axis=1)


@cache
def prototypes() -> _Prototypes:
    """Returns the prototypes of `colours.tsv`, with the weights of the squared distances from them.

    ΔL² + (Δalong / (1 + 0.045 C))² + (Δacross / (1 + 0.015 C))²: C is the prototype's chroma, along and across its
    hue's direction (CIE94, graphic arts, with straight axes for its ΔC and ΔH)."""
    rows = [line.split("\t") for line in _TABLE.decode().splitlines() if not line.startswith("#")]
    names = tuple(dict.fromkeys(f"colour.{term}" for term, *_ in rows))
    rgb = np.array([list(bytes.fromhex(code)) for _, code, *_ in rows], np.uint8)
    light, a, b = lab(rgb).T
    chroma = np.hypot(a, b)
    hue = np.arctan2(b, a)
    u, v = np.cos(hue), np.sin(hue)
    along, across = (1 + 0.045 * chroma) ** -2.0, (1 + 0.015 * chroma) ** -2.0
    aa, bb, ab = along * u**2 + across * v**2, along * v**2 + across * u**2, 2 * (along - across) * u * v
    constant = light**2 + aa * a**2 + bb * b**2 + ab * a * b
    weights = [np.ones_like(a), aa, bb, ab, -2 * light, -2 * aa * a - ab * b, -2 * bb * b - ab * a, constant]
    terms = np.array([names.index(f"colour.{term}") for term, *_ in rows], np.intp)
    hued = np.array([term not in ("black", "grey", "white") for term, *_ in rows])
    return _Prototypes(names, terms, hued, np.stack(weights))


def lab(pixels: NDArray[np.uint8]) -> _Floats:
    """Converts sRGB (…, 3) into CIELAB under D65."""
    return _lab(_linear(pixels))


def _lab(light: _Floats) -> _Floats:
    xyz = _times(light.reshape(1, -1, 3), _XYZ)
    f = np.where(xyz > 216 / 24389, cv2.pow(xyz, 1 / 3), (24389 / 27 * xyz + 16) / 116)
    return _times(f, _FROM_CUBE_ROOTS).reshape(light.shape)


def _times(pixels: _Floats, matrix: _Floats) -> _Floats:
    """Returns each pixel (h, w, 3) times a matrix (n, 3), or (n, 4) with what is added behind."""
    return np.asarray(cv2.transform(pixels, matrix), np.float64)


_LINEAR = np.array([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255])


def _linear(pixels: NDArray[np.uint8]) -> _Floats:
    return np.asarray(cv2.LUT(pixels, _LINEAR))


def _encoded(light: _Floats) -> _Floats:
    curve = 1.055 * cv2.pow(np.maximum(light, 1e-9), 1 / 2.4) - 0.055
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, curve), np.float64)
