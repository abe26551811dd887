"""Detections and tags of several frames and models are merged: of each label the strongest stays."""

from __future__ import annotations

from assent.core.values import Tag
from assent.perceive.faces.detect import merge_tags


def test_merging_keeps_the_order_and_looks_at_each_model_alone() -> None:
    def tag(score: float, frame: int, model: str = "m") -> Tag:
        return Tag("animal.cat", "object", score, None, frame, model)

    weak, strong, other = tag(0.2, 0), tag(0.7, 1), tag(0.1, 0, "n")
    assert merge_tags([weak, other, strong]) == (other, strong)
    assert merge_tags([]) == ()
