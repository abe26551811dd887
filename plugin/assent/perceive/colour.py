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
    thing = _thing(small, middle * shown, shown)
    named = prototypes()
    weights = np.bincount(_terms(named, _in_plain_light(small)).ravel(), thing.ravel(), len(named.names))
    shares = weights / weights.sum()
    return {named.names[n]: float(shares[n]) for n in np.argsort(-shares, kind="stable") if shares[n] > 0}


def _shrunk(pixels: Pixels) -> Pixels:
    """Returns the frame with its longer side at _SIDE; of large frames only every so many pixels are read."""
    step = max(1, max(pixels.shape[:2]) // (8 * _SIDE))
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    ratio = min(1.0, _SIDE / max(pixels.shape[:2]))
    size = max(1, round(pixels.shape[1] * ratio)), max(1, round(pixels.shape[0] * ratio))
    shrunk: Any = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


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


def _thing(small: Pixels, middle: _Floats, shown: NDArray[np.bool_]) -> _Floats:
    """Returns the weight (h, w) with which each pixel belongs to the main thing.

    A colour is the thing's where its share of the middle is larger than its share of the border. A thing that would be
    less than a tenth of the middle is none: then all of the middle counts."""
    height, width = small.shape[:2]
    edge = max(1, round(_BORDER * min(height, width)))
    border = shown.copy()
    border[edge : height - edge, edge : width - edge] = False
    inside = middle * ~border
    if not border.any() or not inside.any():
        return middle
    step = np.array([12.5, 24.0, 24.0])  # of L*, a*, b*
    cells = np.clip(np.rint(lab(small) / step + [0, 5, 5]).astype(np.intp), 0, [8, 11, 11])
    cell = np.ravel_multi_index(tuple(np.moveaxis(cells, -1, 0)), (9, 12, 12))
    ours, theirs = _histogram(cell, inside), _histogram(cell, border.astype(np.float64))
    thing = middle * (ours > theirs)[cell]
    return thing if thing.sum() > 0.1 * middle.sum() else middle


def _histogram(cell: NDArray[np.intp], weight: _Floats) -> _Floats:
    """Returns the share of each colour cell (1296,), smoothed over its neighbours."""
    counts: Any = np.bincount(cell.ravel(), weight.ravel(), 9 * 12 * 12).reshape(9, 12, 12)
    for axis in range(3):
        old = np.moveaxis(counts, axis, 0)
        new = old / 2
        new[1:] += old[:-1] / 4
        new[:-1] += old[1:] / 4
        counts = np.moveaxis(new, 0, axis)
    return np.asarray(counts / counts.sum()).ravel()


def _in_plain_light(small: Pixels) -> Pixels:
    """Returns the frame as if lit more plainly: half of the light's cast is taken out, and dark frames are lifted.

    The light's colour is the median of the brightest twentieth of what is not overexposed (white patch); one as strong
    as chroma 40 is a thing's own colour. Lifted until the brightest fiftieth reaches white, twice at most."""
    light = _linear(small)
    if _lab(light).std(axis=(0, 1)).max() < _FLAT:
        return small
    bright = light.max(axis=-1) < 0.98
    if bright.sum() < 20:
        bright[:] = True
    luminance = light @ _LUMINANCE
    patch = np.median(light[bright & (luminance >= np.quantile(luminance[bright], 0.95))], axis=0)
    patch /= max(float(patch.max()), 1e-6)
    if np.hypot(*_lab(patch)[1:]) <= 40:
        gain = np.maximum(patch, 1e-3) ** -0.5
        light = light * (gain / gain.max())
    light = light * np.clip(1 / max(float(np.quantile(light.max(axis=-1), 0.98)), 1e-3), 1, 2)
    return np.asarray(np.rint(255 * _encoded(np.clip(light, 0, 1))), np.uint8)


def _terms(named: _Prototypes, pixels: Pixels) -> NDArray[np.intp]:
    """Returns the term (h, w) of each pixel, an index in `named.names`; colours are told apart in steps of 8 of 256."""
    coarse = (pixels >> 3).astype(np.intp)
    codes, places = np.unique((coarse[..., 0] * 32 + coarse[..., 1]) * 32 + coarse[..., 2], return_inverse=True)
    rgb = np.stack([codes >> 10, codes >> 5 & 31, codes & 31], axis=-1) * 8 + 4
    colour = lab(rgb.astype(np.uint8))
    distances = _products(colour) @ named.weights
    distances[np.ix_(np.hypot(colour[:, 1], colour[:, 2]) < _NEUTRAL, named.hued)] = np.inf
    nearest = distances.argmin(axis=1)
    return np.asarray(named.terms[nearest][places].reshape(pixels.shape[:2]), np.intp)


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
    xyz = light @ _XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_LINEAR = np.array([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255])


def _linear(pixels: NDArray[np.uint8]) -> _Floats:
    return np.asarray(_LINEAR[pixels])


def _encoded(light: _Floats) -> _Floats:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
