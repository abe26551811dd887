"""A model file is used only when it is the one that the manifest describes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assent.core.errors import ModelMissing, ModelUnknown, PackUnknown
from assent.core.resources import resource
from assent.perceive.packs.manifest import ModelFile, Pack, classes, locate, read_pack, read_verified

PACK = read_pack("embedded")
SAFETY = PACK.one("safety")


@pytest.mark.parametrize("file", PACK.file, ids=lambda file: file.name)
def test_every_file_says_where_it_comes_from(file: ModelFile) -> None:
    assert len(file.licence) > 20
    assert len(file.training_data) > 20
    assert (resource("models") / file.card).is_file()
    assert file.calibration is None or (resource("models") / file.calibration).is_file()


def test_nudenets_two_licences_are_both_told() -> None:
    assert "MIT" in SAFETY.licence
    assert "AGPL-3.0" in SAFETY.licence
    assert SAFETY.commercial_use == "unclear"


def test_a_model_is_named_by_its_file() -> None:
    assert SAFETY.id == "nudenet-320n@c15d8273adad"


@pytest.mark.parametrize("name", ["none", "", "Embedded", "../models/embedded", "embedded.toml", "/etc/passwd"])
def test_an_unknown_pack_is_refused(name: str) -> None:
    with pytest.raises(PackUnknown, match="there is no pack"):
        read_pack(name)


@pytest.mark.parametrize("text", ["name = ", 'name = "bad"', 'name = "other"\nsummary = ""\nfile = []', "x = 1"])
def test_a_malformed_manifest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    monkeypatch.setattr("assent.perceive.packs.manifest.resource", lambda _: tmp_path)
    with pytest.raises(ModelUnknown, match="manifest of pack bad"):
        read_pack("bad")


def test_a_role_must_be_filled_once() -> None:
    for files in ((), (SAFETY, SAFETY)):
        with pytest.raises(ModelUnknown, match="role safety"):
            Pack("twice", "", files).one("safety")


@pytest.mark.parametrize("file", [replace(SAFETY, package="no_such_package"), replace(SAFETY, path="none.onnx")])
def test_a_file_that_is_not_installed_is_missing(file: ModelFile) -> None:
    with pytest.raises(ModelMissing, match="not installed"):
        read_verified(file)


def test_the_manifest_points_into_the_installed_package() -> None:
    assert locate(SAFETY).parent.name == "nudenet"


def test_a_safety_network_takes_a_letterbox_in_the_corner(tmp_path: Path) -> None:
    text = (resource("models") / "embedded.toml").read_text("utf-8").replace('name = "embedded"', 'name = "own"')
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs/own.toml").write_text(text.replace('place = "corner"', 'place = "centre"'))
    with pytest.raises(ModelUnknown, match="letterbox in the corner"):
        read_pack("own", tmp_path)


def test_classes_without_a_table_are_labels_of_the_taxonomy() -> None:
    known = replace(SAFETY, table=None, labels=("face", "body.covered.feet"))
    assert classes(PACK, known) == ("face", "body.covered.feet")
    with pytest.raises(ModelUnknown, match="does not map: FACE_MALE"):
        classes(PACK, replace(known, labels=("face", "FACE_MALE")))
