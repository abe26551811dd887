"""A backbone is named by its file and by the maps that are pooled from it."""

from __future__ import annotations

import pytest

from assent.perceive.labels.backbone import POOLED, backbone
from assent.perceive.packs.manifest import read_pack

FILE = read_pack("embedded").one("safety")


def test_the_backbones_name_tells_file_and_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    before = backbone(FILE)
    assert before.id.startswith(f"{FILE.id}+")
    monkeypatch.setitem(POOLED, FILE.name, POOLED[FILE.name][1:])
    assert backbone(FILE).id != before.id
    assert backbone(FILE).width < before.width
    monkeypatch.undo()
    monkeypatch.setattr("assent.perceive.labels.backbone.POOLING", "mean, deviation")
    assert backbone(FILE).id != before.id
    assert backbone(FILE).width == before.width
