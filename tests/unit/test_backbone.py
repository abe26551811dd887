"""A backbone is named by its file and by the maps that are pooled from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assent.core.resources import resource
from assent.perceive.labels.backbone import backbone
from assent.perceive.labels.heads import head_files, read_head
from assent.perceive.packs.manifest import read_pack

FILE = read_pack("embedded").one("safety")


def test_the_backbones_name_tells_file_and_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    before = backbone(FILE)
    assert before.id.startswith(f"{FILE.id}+")
    fewer = backbone(replace(FILE, maps=FILE.maps[1:]))
    assert fewer.id != before.id
    assert fewer.width < before.width
    monkeypatch.setattr("assent.perceive.labels.backbone.POOLING", "mean, deviation")
    assert backbone(FILE).id != before.id
    assert backbone(FILE).width == before.width


def test_the_shipped_heads_belong_to_the_default_packs_backbone() -> None:
    heads = head_files([resource("models") / "heads"]).values()
    assert {read_head(path).backbone for path in heads} == {backbone(FILE).id}
