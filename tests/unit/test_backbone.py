"""A backbone is named by its file, by how frames are prepared for it and by its features."""

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


def test_the_backbones_name_tells_file_input_and_features() -> None:
    spec = input_of(PACK, FILE)
    others = [replace(spec, before=240), replace(spec, mean=(0.0,) * 3), replace(spec, fit="stretch", before=None)]
    names = {backbone(replace(FILE, input=one)).id for one in (spec, *others)}
    names.add(backbone(replace(FILE, features=1280)).id)
    assert len(names) == 5
    assert all(name.startswith(f"{FILE.id}+") for name in names)
    assert backbone(FILE) == ("efficientnet-lite0@579344248a93+ac7c83a9", 3840)


def test_a_network_without_features_is_no_backbone() -> None:
    with pytest.raises(ModelUnknown, match="names no `features`"):
        backbone(PACK.one("safety"))


def test_the_shipped_heads_belong_to_the_default_packs_backbone() -> None:
    heads = head_files([resource("models") / "heads"]).values()
    assert {read_head(path).backbone for path in heads} == {backbone(FILE).id}
