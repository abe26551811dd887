"""`assent …` that neither labels whole pictures nor asks a second opinion: `python -m tests.bench.without_labels …`.

Neither network is converted, opened or run. Heads look at zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from assent import perceive
from assent.cli import main
from assent.core.values import Frame
from assent.perceive.labels.whole_frames import FrameLabels
from assent.perceive.packs import model_set
from assent.perceive.packs.active import ResolvedRole, fill
from assent.perceive.packs.manifest import ModelFile, Pack, Role


def _fill(*choice: Any) -> dict[Role, tuple[ResolvedRole, ...]]:
    return {role: files for role, files in fill(*choice).items() if role not in ("labels", "nsfw")}


def _unopened(_pack: Pack, file: ModelFile, *_: Any) -> SimpleNamespace:
    return SimpleNamespace(id=file.id, file=file)


def _unlabelled(models: perceive.Models, frames: Sequence[Frame]) -> list[FrameLabels]:
    zeros = np.zeros(models.backbone.file.features or 0, np.float32)
    return [FrameLabels((), zeros) for _ in frames]


if __name__ == "__main__":
    vars(model_set).update(fill=_fill, open_file=_unopened)
    vars(perceive).update(label_frames=_unlabelled)
    main()
