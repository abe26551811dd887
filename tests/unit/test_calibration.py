"""How many templates a calibration supports, which score they ask for, and what a score may be called."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.core.errors import GalleryTooLarge, ModelUnknown
from assent.core.resources import resource
from assent.perceive.faces.calibration import read_calibration

SHIPPED = resource("models") / "calibration" / "dlib.json"
DLIB = read_calibration(SHIPPED)


def test_the_shipped_calibration_is_the_measured_one() -> None:
    assert DLIB.mean.shape == (128,)
    assert DLIB.mean.dtype == np.float32
    assert DLIB.impostor_pairs == 173_751


@pytest.mark.parametrize(("templates", "fpir", "score"), [(1, 0.01, 0.4269), (1, 0.001, 0.5789), (1, 0.5, -0.0118)])
def test_one_template_asks_for_the_quantile_itself(templates: int, fpir: float, score: float) -> None:
    assert DLIB.threshold(templates, fpir) == pytest.approx(score, abs=1e-6)


def test_between_quantiles_the_threshold_is_interpolated_over_the_logarithm() -> None:
    fmr = math.sqrt(0.001 * 0.0005)  # half way between two quantiles
    assert DLIB.threshold(1, fmr) == pytest.approx((0.5789 + 0.6263) / 2, abs=1e-6)


def test_beyond_the_last_quantile_the_threshold_is_the_highest_impostor_score() -> None:
    assert DLIB.threshold(500) == 0.7695


def test_the_claim_ends_where_three_in_n_comparisons_end() -> None:
    supported = DLIB.templates_supported()
    assert supported == 582
    assert 1 - 0.99 ** (1 / supported) >= 3 / DLIB.impostor_pairs > 1 - 0.99 ** (1 / (supported + 1))
    assert DLIB.threshold(supported) == 0.7695
    with pytest.raises(GalleryTooLarge, match="583 templates"):
        DLIB.threshold(supported + 1)


def test_a_stricter_promise_supports_fewer_templates() -> None:
    assert DLIB.templates_supported(0.001) == 57
    assert DLIB.templates_supported(1e-5) == 0
    with pytest.raises(GalleryTooLarge):
        DLIB.threshold(1, 1e-5)


@given(st.integers(1, 581), st.sampled_from([0.05, 0.02, 0.01]))
def test_more_templates_never_ask_for_less(templates: int, fpir: float) -> None:
    assert DLIB.threshold(templates, fpir) <= DLIB.threshold(templates + 1, fpir) <= DLIB.impostor_max


@pytest.mark.parametrize(("templates", "fpir"), [(0, 0.01), (-1, 0.01), (1, 0.0), (1, 1.0), (1, -0.1)])
def test_nonsense_is_refused(templates: int, fpir: float) -> None:
    with pytest.raises(ValueError, match=r"lies between|at least one"):
        DLIB.threshold(templates, fpir)


@pytest.mark.parametrize(
    ("score", "templates", "band"),
    [
        (0.42, 1, None),
        (0.43, 1, "likely"),
        (0.57, 1, "likely"),
        (0.58, 1, "strong"),
        (0.70, 100, "likely"),  # FPIR 0.1 % is not supported here: strong begins at the highest impostor
        (0.76, 100, "likely"),
        (0.77, 100, "strong"),
        (0.76, 500, None),
        (-1.0, 1, None),
    ],
)
def test_bands(score: float, templates: int, band: str | None) -> None:
    assert DLIB.band(score, templates) == band


def test_a_score_that_is_no_number_has_no_band() -> None:
    assert DLIB.band(math.nan, 1) is None


def test_no_band_beyond_the_claim() -> None:
    with pytest.raises(GalleryTooLarge):
        DLIB.band(0.99, 583)


def broken(**changes: Any) -> dict[str, Any]:
    good: dict[str, Any] = json.loads(SHIPPED.read_text())
    return {**good, **changes}


@pytest.mark.parametrize(
    "content",
    [
        broken(mean=[0.0] * 127),
        broken(mean=["nan"] * 128),
        broken(impostor_quantiles={"0.5": 0.4, "0.9": 0.3}),
        broken(impostor_quantiles={"0.5": 0.1, "1.0": 0.3}),
        broken(impostor_quantiles={"0.9": 0.1}),
        broken(impostor_max=0.1),
        broken(impostor_max=1.5),
        broken(impostor_pairs=0),
        broken(impostor_pairs="many"),
        {"model": "dlib-resnet"},
        [],
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ModelUnknown, match=r"bad\.json"):
        read_calibration(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnknown):
        read_calibration(tmp_path / "none.json")


def test_the_mean_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        DLIB.mean[0] = 1.0
