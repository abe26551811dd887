"""Fitting a head: held-out scores are honest, probabilities as sure as right, labels only what a head may say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assent.core.errors import DatasetUnusable
from assent.learn.cache import Cache
from assent.learn.classifier import (
    FAMILIAR_QUANTILE,
    FOLDS,
    STRENGTHS,
    Augmented,
    Fitted,
    ValidationSet,
    at_temperature,
    fit,
    probabilities,
    recalibrate,
)
from assent.learn.dataset import Example
from assent.learn.features import ExampleFeatures
from assent.learn.head import head_to_onnx
from assent.learn.labelled import class_labels, doubtful, select_for_validation, select_trainable
from assent.learn.thresholds import UNREACHED, choose_thresholds, figures_by_label, held_out_scores
from assent.perceive.networks.runtime import open_net, run_network

ORDER = ("product.a", "product.b", "none")


def clouds(apart: float, each: int = 60, classes: int = 3) -> tuple[NDArray[np.float32], list[int]]:
    """Points of that many classes around centres so far apart, in 20 dimensions of spread 1."""
    random = np.random.default_rng(7)
    truth = np.repeat(np.arange(classes), each)
    points = random.normal(size=(len(truth), 20))
    points[np.arange(len(truth)), truth] += apart
    return points.astype(np.float32), truth.tolist()


@cache
def fitted(apart: float, classes: int = 3) -> tuple[Fitted, NDArray[np.float32], list[int]]:
    points, truth = clouds(apart, classes=classes)
    ticks: list[int] = []
    made = fit(points, truth, lambda: ticks.append(1))
    assert len(ticks) == FOLDS * len(STRENGTHS)
    return made, points, truth


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_that_lie_apart_are_told_apart_unseen(classes: int) -> None:
    made, points, truth = fitted(6.0, classes)
    factor = made.novelty_gate.factor(points)
    assert np.allclose(made.held_out.sum(axis=1), factor)
    assert (factor == 1).mean() == pytest.approx(FAMILIAR_QUANTILE, abs=0.02)
    assert (made.held_out.argmax(axis=1) == truth).mean() > 0.95
    net = open_net("test", head_to_onnx(made.model, made.novelty_gate), 1, {"CPUExecutionProvider": 64})
    found = run_network(net, points)
    assert (found.argmax(axis=1) == truth).mean() > 0.95
    assert np.allclose(found.sum(axis=1), factor, atol=1e-4)
    assert run_network(net, points[:1] + 50).max() < 0.01  # nothing like it was ever seen


def test_what_cannot_be_learned_is_not_claimed() -> None:
    made, _, truth = fitted(0.0)
    assert (made.held_out.argmax(axis=1) == truth).mean() < 0.5
    assert made.held_out.max() < 0.8  # the temperature leaves no room for false certainty
    found = held_out_scores(made, ORDER, truth)
    limits = choose_thresholds(found, 0.9)
    assert limits == (UNREACHED,) * 3
    assert [label.threshold for label in figures_by_label(found, limits, [60] * 3)] == [None] * 3


def test_thresholds_keep_the_precision_and_none_has_no_threshold() -> None:
    made, _, truth = fitted(2.0)
    found = held_out_scores(made, ORDER, truth)
    rows = figures_by_label(found, choose_thresholds(found, 0.9), [60] * 3)
    for column, label in enumerate(rows[:2]):
        assert label.threshold is not None
        said = np.round(made.held_out[:, column], 4) >= label.threshold
        assert (np.array(truth)[said] == column).mean() == label.precision
        assert said.sum() == label.said
        assert label.precision is not None
        assert label.precision >= 0.9
        assert label.threshold >= 0.5
    assert rows[2].threshold is None


def test_copies_are_learned_from_and_never_judged() -> None:
    points, truth = clouds(3.0)
    # Copies lie elsewhere: without them the classifier knows nothing of that place.
    of = np.arange(0, len(truth), 2)
    shift = np.zeros(20, np.float32)
    shift[10:] = 4
    turned = np.roll(points[of], 5, axis=1) + shift
    kinds = np.array(truth)
    without, made = fitted(3.0)[0], fit(points, truth, lambda: None, copies=Augmented(turned, of))
    assert made.held_out.shape == without.held_out.shape == (len(truth), 3)
    right = [
        (np.argmax(turned @ one.model.weight + one.model.bias, axis=1) == kinds[of]).mean() for one in (without, made)
    ]
    assert right[0] < 0.5 < 0.8 < right[1]


def test_the_temperature_and_answers_of_pictures_from_elsewhere() -> None:
    made, points, truth = fitted(3.0)
    random = np.random.default_rng(3)
    other = (points + random.normal(0, 1, points.shape)).astype(np.float32)  # harder than what was trained on
    tuned = recalibrate(made, ValidationSet(other, np.array(truth)))
    assert tuned.temperature > made.temperature
    assert np.allclose(tuned.held_out, probabilities(tuned, other))
    assert np.allclose(at_temperature(made, made.temperature), made.held_out)
    softer = at_temperature(made, tuned.temperature)
    assert np.allclose(softer.sum(axis=1), made.held_out.sum(axis=1))
    assert (softer.max(axis=1) <= made.held_out.max(axis=1) + 1e-9).all()
    net = open_net("test", head_to_onnx(tuned.model, tuned.novelty_gate), 1, {"CPUExecutionProvider": 256})
    assert np.allclose(run_network(net, other), tuned.held_out, atol=1e-4)


def test_what_validates_was_not_trained_on_and_has_a_trained_label() -> None:
    names = ("a", "a", "none", "z")
    examples = tuple(Example(Path(f"{at}.jpg"), name) for at, name in enumerate(names))
    seen = ExampleFeatures(examples, np.zeros((4, 2), np.float32), ("1", "2", "3", "4"), ())
    columns = {"a": "product.a", "b": "product.b"}
    kept, classes, skipped = select_for_validation(seen, ("product.a", "product.b"), columns, {"2"})
    assert (kept, classes) == ([0, 2], [0, -1])
    assert [(one.item, one.reason) for one in skipped] == [
        ("1.jpg", "the head was trained on it"),
        ("3.jpg", "no class z was trained"),
    ]
    with pytest.raises(DatasetUnusable, match="trained on all"):
        select_for_validation(seen, ("product.a", "product.b"), columns, {"1", "2"})


def test_a_picture_in_the_wrong_folder_is_named() -> None:
    points, truth = clouds(8.0)
    truth[0] = 1
    made = fit(points, truth, lambda: None)
    examples = [Example(Path(f"{at}.jpg"), str(label)) for at, label in enumerate(truth)]
    (line,) = doubtful(made, ["a", "b", "c"], truth, examples)
    assert line.startswith("0.jpg: in 1, looks like a")


def test_too_few_pictures_of_a_class() -> None:
    with pytest.raises(ValueError, match="at least"):
        fit(np.zeros((9, 3), np.float32), [0] * 6 + [1] * 3, lambda: None)
    examples = [Example(Path("a"), "many")] * FOLDS + [Example(Path("b"), "few")]
    kept, skipped = select_trainable(examples)
    assert kept == list(range(FOLDS))
    assert [one.item for one in skipped] == ["class few"]


def test_the_labels_of_classes() -> None:
    assert class_labels(["T-shirt", "none"], "product.clothing") == {
        "T-shirt": "product.clothing.tshirt",
        "none": "none",
    }
    assert (
        class_labels(["product.clothing.hat", "cap"], "product.mine")["product.clothing.hat"] == "product.clothing.hat"
    )
    for classes, prefix in ((["a"], "product"), (["a", "A"], "product"), (["a", "b"], "text"), (["a", "!"], "product")):
        with pytest.raises(DatasetUnusable):
            class_labels(classes, prefix)


def test_the_cache_is_private_bounded_and_trusts_no_torn_file(tmp_path: Path) -> None:
    Cache(tmp_path, "net@0", 3).put("aa1", np.array([1, 2, 0.5], np.float32))
    cache = Cache(tmp_path, "net@1", 3)
    for name in ("aa1", "bb2", "cc3"):
        cache.put(name, np.array([1, 2, 0.5], np.float32))
    held = cache.get("aa1")
    assert held is not None
    assert held.tolist() == [1, 2, 0.5]
    assert cache.get("dd4") is None
    (tmp_path / "net@1" / "bb" / "2").write_bytes(b"torn")
    assert cache.get("bb2") is None
    assert (tmp_path / "net@1").stat().st_mode & 0o077 == 0
    assert cache.trim(most=1) == 2
    assert [folder.name for folder in tmp_path.iterdir()] == ["net@1"]  # nothing reads another backbone's again
