"""Of two real model files each is found by its content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assent.core.errors import ModelUnknown
from assent.perceive.packs.manifest import Input, read_verified
from assent.perceive.packs.pull import from_folder
from tests.unit.real_models import described, entry, models_folder

ENTRY = entry("faces", "net", "yunet", Input(size=(64, 64)))


def test_two_real_files_exchanged_are_found_by_content(tmp_path: Path) -> None:
    one = described(models_folder() / "yunet/yunet_s_dynamic.onnx", ENTRY)
    other = described(models_folder() / "scrfd_500m/det_500m.onnx", ENTRY)
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(models_folder() / "yunet/yunet_s_dynamic.onnx", source / other.path)
    with pytest.raises(ModelUnknown, match="is not the file"):
        from_folder(other, tmp_path / "models", source, lambda _: None)
    from_folder(one, tmp_path / "models", source, lambda _: None)
    assert read_verified(one, tmp_path / "models")
