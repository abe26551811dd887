"""Converts colours that a file declares by code points into the sRGB that browsers show. Pure.

Code points, chromaticities and curves are those of ITU-T H.273 (07/2024), tables 2 and 3; PQ and HLG those of ITU-R
BT.2100-2. Light is relative to white: 1.0. HDR is brought into the range of a screen by the reference white tone
mapping of SMPTE ST 2094-50, from 1,000 to 203 cd/m² (BT.2408), as Chromium does:
tests/adversarial/test_decode_browser.py compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Light = NDArray[np.float64]  # (n, 3), or (n, 1) where the three are equal
Curve = Callable[[Light], Light]  # code values 0–1 → light
Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of white, red, green, blue

_D65, _C, _E, _DCI = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3), (0.314, 0.351)
SRGB: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
BT2020: Chromaticities = (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
_NTSC_1987 = (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: _NTSC_1987,
    7: _NTSC_1987,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: BT2020,
    10: (*_E, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
UNSPECIFIED, BT709, SRGB_CURVE, PQ, HLG = 2, 1, 13, 16, 18
WHITE_NITS, PEAK_NITS = 203.0, 1_000.0  # cd/m²
_SHARE = 0.65  # of the curve's middle point, between knee and peak
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])  # of BT.2020


class ColourCoding(NamedTuple):
    """Says how code values of red, green and blue are meant: their primaries, and the curve from value to light."""

    primaries: Chromaticities
    curve: Curve
    nits: float | None = None  # of HDR, whose light is tone-mapped: the strongest, cd/m²


def power(exponent: float) -> Curve:
    """Returns the curve value ** exponent."""
    return lambda values: values**exponent


def _piecewise(gain: float, offset: float, exponent: float, slope: float, knee: float) -> Curve:
    return lambda values: np.where(values < knee, values / slope, ((values + offset) / gain) ** exponent)


def _of_pq(values: Light) -> Light:
    root = values ** (32 / 2523)
    return (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16_384 / 2_610) * 10_000 / WHITE_NITS


def _of_hlg(values: Light) -> Light:
    """Returns the light of a display of 1,000 cd/m², whose system gamma is 1.2."""
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    luminance = scene @ _LUMINANCE[:, None] if scene.shape[1] == 3 else scene
    return np.asarray(scene * np.maximum(luminance, 1e-12) ** 0.2 * PEAK_NITS / WHITE_NITS)


_OF_SRGB = _piecewise(1.055, 0.055, 2.4, 12.92, 0.04045)
_OF_BT709 = power(2.4)  # ITU-R BT.1886: how displays show what cameras wrote by BT.709, 601 and 2020
CURVES: dict[int, Curve] = {
    BT709: _OF_BT709,
    4: power(2.2),
    5: power(2.8),
    6: _OF_BT709,
    7: _piecewise(1.1115, 0.1115, 1 / 0.45, 4.0, 4.0 * 0.0228),
    8: power(1.0),
    11: _OF_BT709,
    SRGB_CURVE: _OF_SRGB,
    14: _OF_BT709,
    15: _OF_BT709,
    PQ: _of_pq,
    17: lambda values: values**2.6 * 52.37 / 48,
    HLG: _of_hlg,
}
IS_SRGB = ColourCoding(SRGB, _OF_SRGB)


def in_srgb(values: Light, coding: ColourCoding) -> Light:
    """Converts code values 0–1, shape (n, 3), or (n, 1) for greys, to those of sRGB: 0–1."""
    light = coding.curve(values)
    grey = light.shape[1] == 1
    if coding.nits is not None:
        wide = light if grey else light @ _between(coding.primaries, BT2020).T
        strongest = np.maximum(wide.max(axis=1, keepdims=True), 1e-12)
        wide = wide * _tone_mapped(strongest, coding.nits / WHITE_NITS) / strongest
        light = wide if grey else wide @ _between(BT2020, SRGB).T
    elif not grey:
        light = light @ _between(coding.primaries, SRGB).T
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _tone_mapped(light: Light, peak: float) -> Light:
    """Dims light up to white; beyond, a quadratic Bézier curve leads from there to the peak, which becomes white.

    From 1,000 cd/m² white is halved, from less dimmed by less."""
    if peak <= 1:
        return light
    knee = 1 - 0.5 * min(1.0, np.log(peak) / np.log(PEAK_NITS / WHITE_NITS))
    middle_x = 1 + _SHARE * (1 / knee - 1)
    middle_y = knee + _SHARE * (1 - knee)
    square, linear = 1 - 2 * middle_x + peak, 2 * (middle_x - 1)
    at = (np.sqrt(linear**2 + 4 * square * (np.clip(light, 1, peak) - 1)) - linear) / (2 * square)
    curve = (1 - at) ** 2 * knee + 2 * at * (1 - at) * middle_y + at**2
    return np.asarray(np.where(light <= 1, light * knee, curve))


def _between(source: Chromaticities, target: Chromaticities) -> NDArray[np.float64]:
    """Returns the matrix (3, 3) from light of one set of primaries to light of another, whites adapted by Bradford."""
    first, second = _to_xyz(source), _to_xyz(target)
    cones = np.diag((_BRADFORD @ second.sum(axis=1)) / (_BRADFORD @ first.sum(axis=1)))
    return np.asarray(np.linalg.inv(second) @ np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ first)


def _to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """Returns the matrix from RGB to CIE XYZ with white at Y = 1. Raises LinAlgError where they span no colours."""
    xy = np.array(primaries).reshape(4, 2)
    xyz = np.column_stack([xy, 1 - xy.sum(axis=1)])
    return np.asarray(xyz[1:].T * np.linalg.solve(xyz[1:].T, xyz[0] / xy[0, 1]))
