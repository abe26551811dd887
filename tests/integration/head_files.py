"""Heads of a test's own: real networks, of which it is known what they say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from assent.perceive.labels.backbone import Backbone, backbone
from assent.perceive.labels.heads import NONE, HeadLabel
from assent.perceive.packs.model_set import default_backbone as default_network


def default_backbone() -> Backbone:
    return backbone(default_network().file)


def write_head(
    folder: Path,
    name: str,
    says: Mapping[str, float],
    *,
    evaluated: bool = True,
    data: str = "photos of a test",
    made_for: Backbone | None = None,
) -> Path:
    """A head that gives each label that probability whatever it sees, and says it from 0.5 up; its TOML file."""
    from assent.learn.classifier import Linear, NoveltyGate  # here: scikit-learn takes a second to import
    from assent.learn.head import describe_head, head_to_onnx
    from assent.learn.head import write_head as write_files

    base = made_for or default_backbone()
    every = {**says, NONE: 1 - sum(says.values())}
    weight = np.zeros((base.width, len(every)), np.float32)
    familiar = NoveltyGate(np.zeros(base.width, np.float32), np.ones(base.width, np.float32), 1e9)  # nothing is strange
    model = head_to_onnx(Linear(weight, np.log(np.array(list(every.values()), np.float32))), familiar)
    measured = (0.95, 0.4) if evaluated else (None, None)
    rows = (*(HeadLabel(label, 40, 0.5, *measured) for label in says), HeadLabel(NONE, 40))
    file = describe_head(
        model,
        name=name,
        backbone=base.id,
        features=base.width,
        licence="CC0-1.0",
        training_data=data,
        trained=date(2026, 11, 25),
        label=rows,
        figures={"photos": 400.0, "accuracy": 0.7} if evaluated else {},
    )
    return write_files(folder, file, model, "card")
