"""The default pack's files are installed, and used only while they are what the manifest describes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assent.core.errors import ModelUnknown
from assent.perceive.packs.manifest import ModelFile, read_pack, read_verified

PACK = read_pack("embedded")


SAFETY = PACK.one("safety")


@pytest.mark.parametrize("file", PACK.file, ids=lambda file: file.name)
def test_every_file_of_the_default_pack_is_installed_and_is_itself(file: ModelFile) -> None:
    assert len(read_verified(file)) == file.size


def test_one_changed_bit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(read_verified(SAFETY))
    package = tmp_path / "altered_weights"
    package.mkdir()
    (package / "320n.onnx").write_bytes(data)
    monkeypatch.syspath_prepend(tmp_path)
    file = replace(SAFETY, package="altered_weights")
    assert read_verified(file) == data
    data[len(data) // 2] ^= 1
    (package / "320n.onnx").write_bytes(data)
    with pytest.raises(ModelUnknown, match="is not the file"):
        read_verified(file)


def test_another_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "short_weights"
    package.mkdir()
    (package / "320n.onnx").write_bytes(read_verified(SAFETY)[:-1])
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelUnknown):
        read_verified(replace(SAFETY, package="short_weights"))
