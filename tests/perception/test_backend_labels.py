"""Classifiers and object detectors run by their manifests alone, and say what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assent.core.taxonomy import BY_NAME, above
from assent.core.values import Tag
from assent.perceive import Models
from assent.perceive.networks import backend
from assent.perceive.packs.manifest import LOWEST_SCORE, read_pack
from assent.perceive.safety import detect as safety
from assent.policy.input import most_specific
from tests.unit.perceive_photos import photo
from tests.unit.real_models import real

MOBILENET = "mobilenet_v2/mobilenet_v2_1.0_224_from_quant.onnx"
COUNTS = 0.5  # the default policy's threshold of things
YOLOX = "yolox_nano/yolox_nano.onnx"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize(
    ("name", "label", "least"),
    [
        ("chelsea.png", "animal.cat", 0.9),
        ("coffee.png", "food.drink.coffee", 0.9),
        ("motorcycle_left.png", "object.vehicle.motorcycle", 0.9),
        ("rocket.jpg", "object.rocket", 0.8),
    ],
)
def test_what_counts_of_a_photo_is_one_label_and_those_above_it(
    scratch: Path, name: str, label: str, least: float
) -> None:
    opened = real(MOBILENET, scratch)
    (scores,) = backend.classify(opened, [photo(name)])
    assert scores.sum() == pytest.approx(1.0, abs=1e-3)
    labels = backend.by_label(opened, scores)
    assert {group for group, score in labels.items() if score >= COUNTS} == {*above(label)} & {*BY_NAME}
    assert labels[label] >= least
    assert list(labels.values()) == sorted(labels.values(), reverse=True)
    assert min(labels.values()) >= LOWEST_SCORE


@pytest.mark.parametrize(
    ("name", "label"),
    [("chelsea.png", "animal.cat"), ("coffee.png", "food.drink.coffee"), ("rocket.jpg", "object.rocket")],
)
def test_the_most_specific_label_that_counts_is_told(scratch: Path, name: str, label: str) -> None:
    opened = real(MOBILENET, scratch)
    (scores,) = backend.classify(opened, [photo(name)])
    labels = backend.by_label(opened, scores)
    tags = [Tag(group, BY_NAME[group].category, score, None, 0, opened.id) for group, score in labels.items()]
    told = most_specific({n: tag for n, tag in enumerate(tags) if tag.score >= COUNTS})
    assert [tag.name for tag in told.values()] == [label]


def test_classes_of_one_label_add_up(scratch: Path) -> None:
    opened = real(MOBILENET, scratch)
    (scores,) = backend.classify(opened, [photo("chelsea.png")])
    cats = [score for name, score in zip(opened.names, scores, strict=True) if name and "animal.cat" in above(name)]
    assert backend.by_label(opened, scores)["animal.cat"] == pytest.approx(sum(cats), abs=1e-6)
    assert max(cats) < sum(cats)


def test_of_a_silent_class_nothing_is_said(scratch: Path) -> None:
    opened = real(MOBILENET, scratch)
    silent = np.array([name is None for name in opened.names])
    assert silent[0]
    assert silent.sum() > 20
    assert backend.by_label(opened, silent.astype(np.float32)) == {}


@pytest.mark.parametrize(
    ("name", "label", "box"),
    [
        ("chelsea.png", "animal.cat", (0, 0, 451, 300)),
        ("coffee.png", "object.kitchenware.cup", (162, 16, 422, 294)),
        ("motorcycle_left.png", "object.vehicle.motorcycle", (110, 67, 711, 446)),
        ("astronaut.png", "object.person", (11, 0, 369, 512)),
    ],
)
def test_a_photos_strongest_box_is_where_the_thing_is(
    scratch: Path, name: str, label: str, box: tuple[int, int, int, int]
) -> None:
    opened = real(YOLOX, scratch)
    (boxes,) = backend.run_detector(opened, [photo(name)])
    assert opened.names[boxes[0].kind] == label
    assert boxes[0].score > 0.6
    assert boxes[0].corners == pytest.approx(box, abs=40)
    assert [found.score for found in boxes] == sorted((found.score for found in boxes), reverse=True)


def test_six_people_are_six_objects(scratch: Path) -> None:
    opened = real(YOLOX, scratch)
    (boxes,) = backend.run_detector(opened, [photo("t1.jpg")])
    assert sum(opened.names[box.kind] == "object.person" and box.score > 0.5 for box in boxes) == 6


def test_the_generic_backend_reads_nudenet_as_its_own_code_does(models: Models) -> None:
    pack = read_pack("embedded")
    generic = backend.open_file(pack, pack.one("safety"), None, threads=2)
    frames = [photo("t1.jpg"), photo("astronaut.png")]
    for own, boxes in zip(safety.detect(models.safety, frames), backend.run_detector(generic, frames), strict=True):
        strong = [one for one in own if one.score >= 0.4]
        assert strong
        for one in strong:
            near = [b for b in boxes if generic.names[b.kind] == one.name and b.score > one.score - 0.1]
            assert min(np.abs(np.subtract(b.corners, one.corners)).max() for b in near) < 12
