"""A backbone is named by its file and by how frames are prepared for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assent.core.errors import ModelUnknown
from assent.core.resources import resource
from assent.perceive.labels.backbone import backbone
from assent.perceive.labels.heads import head_files, read_head
from assent.perceive.packs.manifest import input_of, read_pack

PACK = read_pack("embedded")
FILE = PACK.one("labels")


def test_the_backbones_name_tells_file_and_input() -> None:
    spec = input_of(PACK, FILE)
    others = [replace(spec, before=240), replace(spec, mean=(0.0,) * 3), replace(spec, fit="stretch", before=None)]
    names = {backbone(replace(FILE, input=one)).id for one in (spec, *others)}
    assert len(names) == 4
    assert all(name.startswith(f"{FILE.id}+") for name in names)
    assert backbone(FILE) == ("efficientnet-lite0@579344248a93+b5d96d9a", 1280)


def test_a_network_without_features_is_no_backbone() -> None:
    with pytest.raises(ModelUnknown, match="names no `features`"):
        backbone(PACK.one("safety"))


def test_the_shipped_heads_belong_to_the_default_packs_backbone() -> None:
    heads = head_files([resource("models") / "heads"]).values()
    assert {read_head(path).backbone for path in heads} == {backbone(FILE).id}
