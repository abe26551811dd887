"""Writes a trained head as files: `<name>.onnx`, `<name>.toml` and a card for people, `<name>.md`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assent.learn.report import show
from assent.learn.train import STEEP, Linear, NoveltyGate
from assent.perceive.labels.heads import NONE, HeadFile

_OPSET = 17
_IR_VERSION = 8  # read by every onnxruntime ≥ 1.13


def head_to_onnx(model: Linear, familiar: NoveltyGate) -> bytes:
    """Builds the head's ONNX file from the classifier and its novelty gate.

    Input `features` float32 (n, width), output `probabilities` float32 (n, classes): softmax of the class scores,
    times how familiar the image is."""
    width, classes = model.weight.shape
    numbers = {
        "weight": model.weight,
        "bias": model.bias,
        "mean": familiar.mean,
        "spread": familiar.spread,
        "limit": np.array(familiar.limit, np.float32),
        "least": np.array(1e-6, np.float32),
        "one": np.array(1, np.float32),
        "steep": np.array(STEEP, np.float32),
    }
    weights = [numpy_helper.from_array(values, name) for name, values in numbers.items()]
    steps: tuple[tuple[str, list[str], str, dict[str, int | list[int]]], ...] = (
        ("Gemm", ["features", "weight", "bias"], "scores", {}),
        ("Softmax", ["scores"], "softmax", {"axis": 1}),
        ("Sub", ["features", "mean"], "centred", {}),
        ("Div", ["centred", "spread"], "standard", {}),
        ("Mul", ["standard", "standard"], "squares", {}),
        ("ReduceMean", ["squares"], "strange", {"axes": [1], "keepdims": 1}),
        ("Max", ["strange", "least"], "positive", {}),
        ("Div", ["limit", "positive"], "ratio", {}),
        ("Min", ["ratio", "one"], "capped", {}),
        ("Pow", ["capped", "steep"], "familiar", {}),
        ("Mul", ["softmax", "familiar"], "probabilities", {}),
    )
    nodes = []
    for kind, inputs, output, attributes in steps:
        nodes.append(helper.make_node(kind, inputs, [output]))
        nodes[-1].attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        weights,
    )
    made = helper.make_model(
        graph, producer_name="assent", opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(made)
    written: bytes = made.SerializeToString()
    return written


def write_head(folder: Path, file: HeadFile, model: bytes, card: str) -> Path:
    """Writes the three files and returns the path of the TOML file.

    That one comes last, so that a half-written head is never read."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file.name}.toml"
    path.unlink(missing_ok=True)
    path.with_suffix(".onnx").write_bytes(model)
    path.with_suffix(".md").write_text(card, "utf-8")
    partial = path.with_suffix(".partial")
    partial.write_text(to_toml(file), "utf-8")
    return partial.replace(path)


def described(model: bytes, **fields: object) -> HeadFile:
    """Returns a head's description with the size and sha256 of its ONNX file."""
    return HeadFile(size=len(model), sha256=hashlib.sha256(model).hexdigest(), **fields)  # type: ignore[arg-type]  # by name


def to_toml(file: HeadFile) -> str:
    """Writes the description as perceive.heads.read_head reads it. JSON's strings and numbers are TOML's too."""
    plain = ("name", "backbone", "features", "size", "sha256", "licence", "training_data", "data_sha256")
    named = (*plain, "validation_sha256") if file.validation_sha256 else plain
    lines = [f"{name} = {json.dumps(getattr(file, name), ensure_ascii=False)}" for name in named]
    lines += [f"trained = {file.trained.isoformat()}", "", "[figures]"]
    lines += [f"{json.dumps(name)} = {json.dumps(round(value, 4))}" for name, value in file.figures.items()]
    for label in file.label:
        lines += ["", "[[label]]", f'name = "{label.name}"', f"photos = {label.photos}"]
        measured = {"threshold": label.threshold, "precision": label.precision, "recall": label.recall}
        lines += [f"{name} = {value:.4f}" for name, value in measured.items() if value is not None]
        lines += [] if label.said is None else [f"said = {label.said}"]
    return "\n".join(lines) + "\n"


def card(file: HeadFile, command: str, precision: float, elsewhere: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the model card: what the head is, its training data, its figures on held-out images, and its limits.

    elsewhere: more figures, by what they are of."""
    silent = [label.name for label in file.label if label.threshold is None and label.name != NONE]
    shown = [label for label in file.label if label.name != NONE]
    rows = [
        f"| {label.name} | {label.photos} | {show(label.threshold)} | {show(label.precision)} | {show(label.said)} "
        f"| {show(label.recall)} |"
        for label in shown
    ]
    columns = {_judged_on(file): file.figures, **elsewhere}
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    figures = [
        f"| {name} | " + " | ".join(show(_rounded(column.get(name))) for column in columns.values()) + " |"
        for name in names
    ]
    return "\n".join(
        [
            f"# {file.name} (`{file.id}`)",
            "",
            f"**What it is.** A linear classifier of {len(shown)} labels on the pooled features of `{file.backbone}`,",
            f"{file.size / 1000:.0f} kB. It looks at the whole picture and gives no boxes.",
            "",
            f"**Training data.** {file.training_data}",
            f"Their fingerprint: `{file.data_sha256}`.",
            "",
            f"**Licence.** {file.licence}",
            "",
            f"**Made by** `{command}` on {file.trained.isoformat()}.",
            "",
            "## Measured on pictures that it was not trained on",
            "",
            *(_VALIDATED.format(file.validation_sha256) if file.validation_sha256 else _CROSS_VALIDATED).split("\n"),
            "A picture unlike those that had a label is scored down, whatever it resembles most.",
            "",
            "| figure | " + " | ".join(columns) + " |",
            "|---" * (len(columns) + 1) + "|",
            *figures,
            "",
            f"A label is said from the lowest score that gave a precision of {precision:g} there; one that never",
            f"reached it is never said{': ' + ', '.join(silent) if silent else ' (there is none)'}.",
            "",
            "| label | photos | threshold | precision | of | recall |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


_CROSS_VALIDATED = """\
Cross-validated: every picture was judged by a classifier that had not seen it or its neighbours in the folder. Pictures
of one set are more like each other than pictures from elsewhere are like them: expect less of those, and measure."""

_VALIDATED = """\
C, temperature and thresholds were chosen on the pictures for validation, of fingerprint
`{}`: figures on those flatter it.
In halves, temperature and thresholds were chosen on one half of each label's pictures and measured on the other, both
ways: expect that. Cross-validated, every picture was judged by a classifier that had not seen it or its neighbours in
the folder, with thresholds from there."""


def _judged_on(file: HeadFile) -> str:
    return "on validation" if file.validation_sha256 else "cross-validated"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
