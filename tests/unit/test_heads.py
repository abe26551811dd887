"""Heads say their labels from each label's own threshold up, and only the file that is described is used."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from assent.core.errors import ModelMissing, ModelUnknown
from assent.learn.classifier import Linear, NoveltyGate
from assent.learn.head import describe_head, head_to_onnx, to_toml, write_head
from assent.perceive.labels.heads import (
    Head,
    HeadFile,
    HeadLabel,
    category,
    load_heads,
    open_head,
    predict_tags,
    read_head,
)

WIDTH = 4
ROWS = (
    HeadLabel("product.clothing.hat", 30, 0.6, 0.93, 0.5),
    HeadLabel("product.tools.hammer", 30, 0.8, 0.91, 0.4),
    HeadLabel("product.grocery.milk", 30),
    HeadLabel("none", 30),
)
# Each class looks at one of the four features.
MODEL = head_to_onnx(
    Linear(np.eye(WIDTH, dtype=np.float32), np.zeros(WIDTH, np.float32)),
    NoveltyGate(
        np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32), limit=30.0
    ),  # features up to 10.9 are familiar
)


def head_file(**changes: object) -> HeadFile:
    fields = {
        "name": "tools",
        "backbone": "net@1+2",
        "features": WIDTH,
        "licence": "MIT",
        "training_data": 'a "quoted" line',
    }
    made = describe_head(MODEL, label=ROWS, trained=date(2026, 1, 2), figures={"accuracy": 0.5}, **fields)
    return replace(made, **changes)  # type: ignore[arg-type]  # by name


def saved(folder: Path, **changes: object) -> Path:
    return write_head(folder, head_file(**changes), MODEL, "card")


def opened(folder: Path) -> Head:
    return open_head(saved(folder), threads=1)


def features(*hot: tuple[int, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Rows in which that feature has that value: softmax of 3 against three zeros is 0.87, of 1.5 is 0.60."""
    made = np.zeros((len(hot), WIDTH), np.float32)
    for row, (column, value) in enumerate(hot):
        made[row, column] = value
    return made


def test_a_label_is_said_from_its_own_threshold_up(tmp_path: Path) -> None:
    heads = [opened(tmp_path)]
    (tag,) = predict_tags(heads, features((0, 3.0)), [0])
    assert (tag.name, tag.category, tag.box, tag.frame, tag.model) == (
        "product.clothing.hat",
        "product",
        None,
        0,
        heads[0].file.id,
    )
    assert tag.score == pytest.approx(0.870, abs=1e-3)
    assert predict_tags(heads, features((0, 1.4)), [0]) == ()  # 0.575
    assert predict_tags(heads, features((1, 2.0)), [0]) == ()  # 0.71 of a label that begins at 0.8


def test_what_is_unlike_everything_known_is_not_said(tmp_path: Path) -> None:
    heads = [opened(tmp_path)]
    assert len(predict_tags(heads, features((0, 10.0)), [0])) == 1
    assert predict_tags(heads, features((0, 20.0)), [0]) == ()  # as sure, but strange: mean square 100 against 30


def test_labels_without_threshold_and_none_are_never_said(tmp_path: Path) -> None:
    assert predict_tags([opened(tmp_path)], features((2, 9.0), (3, 9.0)), [0, 1]) == ()


def test_of_several_frames_the_strongest_speaks(tmp_path: Path) -> None:
    tags = predict_tags([opened(tmp_path)], features((0, 2.0), (0, 3.0), (1, 4.0)), [0, 4, 8])
    assert [(tag.name, tag.frame) for tag in tags] == [("product.clothing.hat", 4), ("product.tools.hammer", 8)]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert read_head(path) == head_file()
    assert {one.suffix for one in tmp_path.iterdir()} == {".toml", ".onnx", ".md"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "other"}, "calls itself other"),
        ({"label": (HeadLabel("face.of.somebody", 3),)}, "cannot be said"),
        ({"label": (HeadLabel("text.contact.phone", 3),)}, "cannot be said"),
        ({"label": (HeadLabel("nonsense", 3),)}, "cannot be said"),
        ({"label": (ROWS[0], ROWS[0])}, "cannot be said"),
        ({"label": (HeadLabel("none", 3),)}, "cannot be said"),
        ({"sha256": "0" * 64}, "is not the file"),
        ({"size": 1}, "is not the file"),
        ({"features": WIDTH + 1}, "not what"),
        ({"label": ROWS[:3]}, "not what"),
    ],
)
def test_a_head_that_is_not_what_it_says_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    path = tmp_path / "tools.toml"
    saved(tmp_path)
    path.write_text(to_toml(head_file(**changes)))
    with pytest.raises(ModelUnknown, match=said):
        open_head(path, threads=1)


def test_a_malformed_description_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.with_suffix(".onnx").unlink()
    with pytest.raises(ModelMissing):
        open_head(path, threads=1)
    for text in ("", "name = 3", path.read_text() + "\n[more]\n", "\x00"):
        path.write_text(text)
        with pytest.raises(ModelUnknown, match="malformed"):
            read_head(path)


def test_an_operators_head_replaces_a_shipped_one_of_its_name(tmp_path: Path) -> None:
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    saved(shipped)
    saved(own, licence="mine")
    (head,) = load_heads((shipped, own), "net@1+2", threads=1)
    assert head.file.licence == "mine"


def test_a_head_of_another_backbone_is_left_out(tmp_path: Path) -> None:
    saved(tmp_path)
    assert load_heads((tmp_path, tmp_path / "nowhere"), "net@1+3", threads=1) == ()


def test_what_a_head_may_say() -> None:
    allowed = {"product.tools.hammer": "product", "nudity.explicit.breast": "safety", "product.clothing.hat": "product"}
    assert {label: category(label) for label in allowed} == allowed
    refused = ("face", "text.code", "hash.known.severe", "nonsense.more", "product", "Product.x", "product..x", "none")
    assert [category(label) for label in refused] == [None] * len(refused)
