"""Every name that files of the eight formats go by is taken from a folder, and what has it is decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assent.media.decode import decode
from assent.media.files import images_below, read_file
from tests.unit.picture_files import heic

PICTURE = Image.fromarray(np.full((48, 64, 3), (200, 90, 30), np.uint8))


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.MPO", "a.apng", "a.avifs"])
def test_names_of_formats(tmp_path: Path, name: str) -> None:
    kind = {"mpo": "MPO", "apng": "PNG", "avifs": "AVIF"}.get(name.lower()[2:], "JPEG")
    PICTURE.save(tmp_path / name, kind, **({} if kind == "JPEG" else {"save_all": True, "append_images": [PICTURE]}))
    [path] = images_below(tmp_path)
    assert decode(read_file(path)).frames[0].pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["a.hif", "a.heics", "a.heifs"])
def test_names_of_heif(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(heic(1))
    [path] = images_below(tmp_path)
    assert decode(read_file(path)).format == "heic"


def test_other_names_are_left_alone(tmp_path: Path) -> None:
    for name in ("a.txt", "jpg", "a.jpg.part"):
        (tmp_path / name).write_bytes(b"text")
    assert list(images_below(tmp_path)) == []
