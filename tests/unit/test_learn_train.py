"""Fitting a head: held-out scores are honest, probabilities as sure as right, labels only what a head may say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from assent.errors import DatasetUnusable
from assent.learn.cache import Cache
from assent.learn.dataset import Example
from assent.learn.head import to_onnx
from assent.learn.labelled import class_labels, describe, doubtful, large_enough
from assent.learn.train import FOLDS, STRENGTHS, Fitted, fit
from assent.perceive.runtime import open_net, run


def clouds(apart: float, each: int = 60, classes: int = 3) -> tuple[NDArray[np.float32], list[int]]:
    """Points of that many classes around centres so far apart, in 20 dimensions of spread 1."""
    random = np.random.default_rng(7)
    truth = np.repeat(np.arange(classes), each)
    points = random.normal(size=(len(truth), 20))
    points[np.arange(len(truth)), truth] += apart
    return points.astype(np.float32), truth.tolist()


def fitted(apart: float, classes: int = 3) -> tuple[Fitted, NDArray[np.float32], list[int]]:
    points, truth = clouds(apart, classes=classes)
    ticks: list[int] = []
    made = fit(points, truth, lambda: ticks.append(1))
    assert len(ticks) == FOLDS * len(STRENGTHS)
    return made, points, truth


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_that_lie_apart_are_told_apart_unseen(classes: int) -> None:
    made, points, truth = fitted(6.0, classes)
    factor = made.familiar.factor(points)
    assert np.allclose(made.held_out.sum(axis=1), factor)
    assert 0.95 < (factor == 1).mean() < 1
    assert (made.held_out.argmax(axis=1) == truth).mean() > 0.95
    net = open_net("test", to_onnx(made.model, made.familiar), 1, {"CPUExecutionProvider": 64})
    found = run(net, points)
    assert (found.argmax(axis=1) == truth).mean() > 0.95
    assert np.allclose(found.sum(axis=1), factor, atol=1e-4)
    assert run(net, points[:1] + 50).max() < 0.01  # nothing like it was ever seen


def test_what_cannot_be_learned_is_not_claimed() -> None:
    made, _, truth = fitted(0.0)
    assert (made.held_out.argmax(axis=1) == truth).mean() < 0.5
    assert made.held_out.max() < 0.8  # the temperature leaves no room for false certainty
    head = describe(made, ["product.a", "product.b", "none"], truth, 0.9, b"", name="x", backbone="y", licence="",
                    training_data="", trained="2026-01-01")  # fmt: skip
    assert [label.threshold for label in head.label] == [None, None, None]


def test_thresholds_keep_the_precision_and_none_has_no_threshold() -> None:
    made, _, truth = fitted(2.0)
    head = describe(made, ["product.a", "product.b", "none"], truth, 0.9, b"", name="x", backbone="y", licence="",
                    training_data="", trained="2026-01-01")  # fmt: skip
    for column, label in enumerate(head.label[:2]):
        assert label.threshold is not None
        said = np.round(made.held_out[:, column], 4) >= label.threshold
        assert (np.array(truth)[said] == column).mean() == label.precision
        assert label.precision is not None
        assert label.precision >= 0.9
        assert label.threshold >= 0.5
    assert head.label[2].threshold is None


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
    kept, skipped = large_enough(examples)
    assert kept == list(range(FOLDS))
    assert [one.what for one in skipped] == ["class few"]


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
