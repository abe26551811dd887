"""A file that is not what its manifest says is refused when it is opened, not when the first picture comes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from onnx import TensorProto

from assent.core.errors import ModelUnknown
from assent.perceive.packs.manifest import DecoderName, Input, ModelFile
from tests.unit.real_models import entry, opened_from
from tests.unit.small_nets import net

LABELS = entry("labels", "small", "softmax", Input(size=(64, 64), fit="stretch"), table="t.tsv")
CHIPS = entry("embedder", "small", "embedding", Input(size=(112, 112), fit="aligned", align="arcface"))


def refused(
    folder: Path, data: bytes, file: ModelFile, why: str, table: str = "a\tanimal.cat\nb\tanimal.dog\n"
) -> None:
    path = folder / "small.onnx"
    path.write_bytes(data)
    (folder / "t.tsv").write_text(table)
    with pytest.raises(ModelUnknown, match=why):
        opened_from(path, file, folder, folder)


def test_the_small_net_itself_is_taken(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(net(["n", 3, 64, 64], 2))
    (tmp_path / "t.tsv").write_text("a\tanimal.cat\nb\tanimal.dog\n")
    opened = opened_from(tmp_path / "small.onnx", LABELS, tmp_path, tmp_path)
    assert opened.names == ("animal.cat", "animal.dog")


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (["n", 3, 65, 64], "takes"),
        (["n", 1, 64, 64], "takes"),
        (["n", 64, 64, 3], "takes"),
    ],
)
def test_another_input_shape(tmp_path: Path, shape: list[int | str], why: str) -> None:
    refused(tmp_path, net(shape, 2), LABELS, why)


def test_another_input_type(tmp_path: Path) -> None:
    refused(tmp_path, net(["n", 3, 64, 64], 2, kind=TensorProto.UINT8), LABELS, "takes tensor\\(uint8\\)")


def test_two_inputs(tmp_path: Path) -> None:
    refused(tmp_path, net(["n", 3, 64, 64], 2, inputs=2), LABELS, "2 inputs")


@pytest.mark.parametrize("classes", [1, 3])
def test_more_or_fewer_classes_than_labels(tmp_path: Path, classes: int) -> None:
    refused(tmp_path, net(["n", 3, 64, 64], classes), LABELS, "classes|cannot read")


def test_logits_where_probabilities_were_meant(tmp_path: Path) -> None:
    file = replace(LABELS, decoder="probabilities", input=Input(size=(64, 64), fit="stretch", mean=(-9.0, 5.0, 99.0)))
    refused(tmp_path, net(["n", 3, 64, 64], 2), file, "probabilities cannot read")


@pytest.mark.parametrize("reader", ["yunet", "scrfd"])
def test_a_detectors_decoder_on_another_network(tmp_path: Path, reader: DecoderName) -> None:
    file = entry("faces", "small", reader, Input(size=(64, 64)))
    refused(tmp_path, net(["n", 3, 64, 64], 2), file, "no output cls_8|scrfd cannot read")


@pytest.mark.parametrize("reader", ["yolox", "yolov8"])
def test_an_object_detectors_decoder_on_another_network(tmp_path: Path, reader: DecoderName) -> None:
    file = entry("objects", "small", reader, Input(size=(64, 64)), table="t.tsv")
    refused(tmp_path, net(["n", 3, 64, 64], 2), file, f"{reader} cannot read")


def test_bytes_that_are_no_network(tmp_path: Path) -> None:
    refused(tmp_path, b"not a network" * 100, CHIPS, "no ONNX network")
    refused(tmp_path, net(["n", 3, 112, 112], 8)[:-40], CHIPS, "no ONNX network")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("a\tanimal.cat\n", "classes"),
        ("a\tanimal.cat\nb\tanimal.unicorn\n", "no label of the taxonomy"),
        ("a\tanimal.cat\nb\t-\n", "line 2"),
        ("a\tanimal.cat\nb\tanimal.dog\twhy\n", "line 2"),
        ("a\tanimal.cat\nb\n", "line 2"),
        ("", "labels are 0|classes"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path: Path, table: str, why: str) -> None:
    refused(tmp_path, net(["n", 3, 64, 64], 2), LABELS, why, table)


def test_a_missing_table(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(net(["n", 3, 64, 64], 2))
    with pytest.raises(ModelUnknown, match="table"):
        opened_from(tmp_path / "small.onnx", replace(LABELS, table="none.tsv"), tmp_path, tmp_path)
