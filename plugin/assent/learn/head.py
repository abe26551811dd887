"""Writes a trained head as files: `<name>.onnx`, `<name>.toml` and a card for people, `<name>.md`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from assent.core.files import replace_file
from assent.learn.classifier import GATE_EXPONENT, Linear, NoveltyGate
from assent.learn.measure import wilson
from assent.learn.report import Cell, format_cell
from assent.perceive.labels.heads import NONE, HeadFile, HeadLabel

_OPSET = 17
_IR_VERSION = 8  # read by every onnxruntime ≥ 1.13
# The graph's nodes: operator, inputs, output, attributes. Softmax of the class scores, times the novelty gate's factor.
_NODES: tuple[tuple[str, list[str], str, dict[str, int | list[int]]], ...] = (
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


def head_to_onnx(model: Linear, gate: NoveltyGate) -> bytes:
    """Builds the head's ONNX file from the classifier and its novelty gate.

    Input `features` float32 (n, width), output `probabilities` float32 (n, classes): softmax of the class scores,
    times the gate's factor."""
    width, classes = model.weight.shape
    graph = helper.make_graph(
        _nodes(),
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
        _weights(model, gate),
    )
    proto = helper.make_model(
        graph, producer_name="assent", opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _nodes() -> list[NodeProto]:
    nodes = []
    for operator, inputs, output, attributes in _NODES:
        nodes.append(helper.make_node(operator, inputs, [output]))
        nodes[-1].attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return nodes


def _weights(model: Linear, gate: NoveltyGate) -> list[TensorProto]:
    numbers = {
        "weight": model.weight,
        "bias": model.bias,
        "mean": gate.mean,
        "spread": gate.spread,
        "limit": np.array(gate.limit, np.float32),
        "least": np.array(1e-6, np.float32),
        "one": np.array(1, np.float32),
        "steep": np.array(GATE_EXPONENT, np.float32),
    }
    return [numpy_helper.from_array(values, name) for name, values in numbers.items()]


def write_head(folder: Path, file: HeadFile, model: bytes, card: str) -> Path:
    """Writes the three files and returns the path of the TOML file.

    That one comes last, so that a half-written head is never read."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file.name}.toml"
    path.unlink(missing_ok=True)
    path.with_suffix(".onnx").write_bytes(model)
    path.with_suffix(".md").write_text(card, "utf-8")
    replace_file(path, to_toml(file), mode=0o666)
    return path


def describe_head(model: bytes, **fields: object) -> HeadFile:
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


def render_card(file: HeadFile, command: str, precision: float, elsewhere: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the model card: what the head is, its training data, its figures on held-out images, and its limits.

    elsewhere: more figures, by what they are of."""
    labels = [label for label in file.label if label.name != NONE]
    columns = {_measured_on(file): file.figures, **elsewhere}
    sections = (_description(file, len(labels), command), _measured(file, columns), _by_label(labels, precision))
    return "\n".join(line for section in sections for line in section)


def _description(file: HeadFile, labels: int, command: str) -> list[str]:
    return [
        f"# {file.name} (`{file.id}`)",
        "",
        f"**What it is.** A linear classifier of {labels} labels on the features of `{file.backbone}`,",
        f"{file.size / 1000:.0f} kB. It looks at the whole picture and gives no boxes.",
        "",
        f"**Training data.** {file.training_data}",
        f"Their fingerprint: `{file.data_sha256}`.",
        "",
        f"**Licence.** {file.licence}",
        "",
        f"**Made by** `{command}` on {file.trained.isoformat()}.",
        "",
    ]


def _measured(file: HeadFile, columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    method = _VALIDATED.format(file.validation_sha256) if file.validation_sha256 else _CROSS_VALIDATED
    return [
        "## Measured on pictures that it was not trained on",
        "",
        *method.split("\n"),
        "A picture unlike those that had a label is scored down, whatever it resembles most.",
        "",
        "| figure | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *_figure_rows(columns),
        "",
    ]


def _figure_rows(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = dict.fromkeys(name for figures in columns.values() for name in figures)
    rows = ((name, *(_format_figure(name, figures) for figures in columns.values())) for name in names)
    return ["| " + " | ".join(row) + " |" for row in rows]


def _by_label(labels: Sequence[HeadLabel], precision: float) -> list[str]:
    silent = [label.name for label in labels if label.threshold is None]
    cells: list[tuple[Cell, ...]] = [
        (label.name, label.photos, label.threshold, label.precision, label.said, label.recall) for label in labels
    ]
    return [
        f"A label is said from the lowest score that gave a precision of {precision:g}; one that never",
        f"reached it is never said{': ' + ', '.join(silent) if silent else ' (there is none)'}.",
        "",
        "| label | photos | threshold | precision | of | recall |",
        "|---|---|---|---|---|---|",
        *("| " + " | ".join(map(format_cell, row)) + " |" for row in cells),
        "",
    ]


_CROSS_VALIDATED = """\
Cross-validated: every picture was judged by a classifier that had not seen it or its neighbours in the folder. Pictures
of one set are more like each other than pictures from elsewhere are like them: expect less of those, and measure."""

_VALIDATED = """\
C was chosen by cross-validation on the training data, temperature and thresholds on the pictures for validation, of
fingerprint `{}`: figures on those flatter it.
In halves, temperature and thresholds were chosen on one half of each label's pictures and measured on the other, both
ways: expect that. Cross-validated, every picture was judged by a classifier that had not seen it or its neighbours in
the folder, with thresholds from there. All that is said on pictures for validation together reaches the precision; each
label reaches it on these and the cross-validated ones together, and its row below counts both. In brackets: Wilson's
95 % interval."""


def _measured_on(file: HeadFile) -> str:
    return "on validation" if file.validation_sha256 else "cross-validated"


# The figure that says of how many images, or tags, a figure is a share.
_SHARE_OF = {
    "accuracy": "labelled photos",
    "precision of what is said": "tags",
    "labelled photos with a tag": "labelled photos",
    "labelled photos said rightly": "labelled photos",
    "photos of none with a tag": "photos of none",
}


def _format_figure(name: str, figures: Mapping[str, float]) -> str:
    """Returns a figure with Wilson's 95 % interval where it is a share, or – where it was not measured."""
    if (value := figures.get(name)) is None:
        return "–"
    cell = format_cell(round(value, 4))
    of = round(figures.get(_SHARE_OF.get(name, ""), 0))
    interval = wilson(round(value * of), of)
    return cell if interval is None else f"{cell} ({interval[0]:.3f}–{interval[1]:.3f})"
